"""Convert every mode of Pillow and every embedded profile to 8-bit sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

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
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips values above 255."""
    whole = image.convert("I") if image.mode != "I" else image
    return whole.point(lambda value: value * (1 / 256) + 0).convert("L")


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert with the embedded profile; None if it is broken or for another colour space."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[image.mode]:
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
