"""Convert every mode of Pillow, every embedded profile and every CICP colour to 8-bit sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from agents.vision.images import numbered_colour

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_SRGB = ImageCms.createProfile("sRGB")


def to_srgb(image: Image.Image, cicp: tuple[int, int] | None = None) -> Image.Image:
    """Return an RGB picture without metadata: profile applied, transparency flattened on white.

    ``cicp`` are the file's numbers of primaries and transfer function. They count if the file has
    no profile, and always for HDR.
    """
    profile = image.info.get("icc_profile")
    if cicp and numbered_colour.is_hdr(cicp):
        profile = None
    if image.mode.startswith("I;16") or image.mode == "I":
        image = _eight_bits(image)
    alpha = None
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in _SPACES:
        image = image.convert("L" if image.mode == "1" else "RGB")
    colours = _by_profile(image, profile) if isinstance(profile, bytes) else None
    if colours is None:
        colours = image.convert("RGB")
        colours = numbered_colour.to_srgb(colours, cicp) if cicp else colours
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
    grey = whole.point(lambda value: value * (1 / 256) + 0).convert("L")
    grey.info.pop("transparency", None)  # one of 65,536 levels: no 8-bit level means the same
    return grey


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert with the embedded profile; None if it is broken or for another colour space."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[image.mode]:
            return None
        return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
