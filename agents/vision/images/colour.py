"""Colours measured on the garment alone, to check the network's word against."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from agents.vision.networks.prediction import Ranking

# Any of Pillow's modes and any embedded profile to plain 8-bit sRGB.
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(image: Image.Image) -> Image.Image:
    """Return an RGB picture without metadata: profile applied, transparency flattened on white."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode == "I":
        image = _eight_bits(image)
    alpha = None
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in _SPACES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    colours = _by_profile(image, profile) if isinstance(profile, bytes) else None
    colours = colours or image.convert("RGB")
    if alpha is None:
        flat = colours
    else:
        flat = Image.new("RGB", colours.size, "white")
        flat.paste(colours, mask=alpha)
    flat.info = {}
    return flat


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey down; Pillow's own conversion cuts off all above 255."""
    whole = image.convert("I") if image.mode != "I" else image
    return whole.point(lambda value: value * (1 / 256) + 0).convert("L")


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert by the embedded profile; None where it is broken or for another kind of picture."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[image.mode]:
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


Named = dict[str, tuple[float, float, float]]
"""Of each colour's word its place in CIELAB: L* in 0-100, a* and b* around 0."""

_STEP = 2
_MULTICOLOUR = {"multicolour", "metallic"}


def to_lab(photo: NDArray[np.float32]) -> NDArray[np.float32]:
    """RGB (h, w, 3) in 0-1, sRGB, to CIELAB under D65."""
    return np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB), np.float32)


def measured_colours(photo: NDArray[np.float32], mask: NDArray[np.bool_], named: Named) -> Ranking:
    """Which words' colours the pixels under the mask are nearest to, with their shares.

    ``photo`` is RGB (h, w, 3) in 0-1, ``mask`` (h, w). Nearest by CIE76; words with less than 5 %
    are left out; nothing where the mask is empty.
    """
    pixels = to_lab(photo[::_STEP, ::_STEP])[mask[::_STEP, ::_STEP]]
    words = [word for word in named if word not in _MULTICOLOUR]
    if not len(pixels) or not words:
        return ()
    places = np.array([named[word] for word in words], np.float32)
    apart = ((pixels[:, None] - places[None]) ** 2).sum(axis=2)
    counts = np.bincount(apart.argmin(axis=1), minlength=len(words)) / len(pixels)
    shares = [(word, round(float(share), 4)) for word, share in zip(words, counts, strict=True)]
    return tuple(sorted((pair for pair in shares if pair[1] >= 0.05), key=lambda p: (-p[1], p[0])))
