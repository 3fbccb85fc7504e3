"""Photos without metadata have the same pixels, the same profile and the same orientation."""

import io
import struct

import pillow_heif
import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from agents.vision.images import picture
from agents.vision.images.metadata import without_metadata

SECRET = b"52.5200N-13.4050E-secret"
PIXELS = 100_000_000


def drawn() -> Image.Image:
    image = Image.new("RGB", (64, 48), "white")
    ImageDraw.Draw(image).polygon([(5, 5), (40, 10), (30, 40)], fill="crimson")
    return image


def exif(turn: int) -> bytes:
    found = Image.Exif()
    found[0x0112] = turn
    found[0x010F] = SECRET.decode()
    found.get_ifd(0x8825)[29] = SECRET.decode()
    return found.tobytes()


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(kind: str, turn: int) -> bytes:
    buffer = io.BytesIO()
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + SECRET + b"</x:xmpmeta>"
    if kind == "JPEG":
        drawn().save(
            buffer, "JPEG", exif=exif(turn), comment=SECRET, icc_profile=profile(), xmp=xmp
        )
    elif kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Location", SECRET.decode())
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        drawn().save(buffer, "PNG", exif=exif(turn), pnginfo=texts, icc_profile=profile())
    elif kind == "WEBP":
        drawn().save(buffer, "WEBP", exif=exif(turn), xmp=xmp, icc_profile=profile())
    elif kind == "GIF":
        frames = [drawn().convert("P"), Image.new("P", (64, 48), 3)]
        frames[0].save(
            buffer, "GIF", comment=SECRET, save_all=True, append_images=frames[1:], loop=0
        )
    elif kind == "AVIF":
        drawn().save(buffer, "AVIF", exif=exif(turn), xmp=xmp)
    else:
        made = pillow_heif.from_pillow(drawn())
        made.info["exif"], made.info["xmp"] = exif(turn), xmp
        made.save(buffer, quality=90)
    return buffer.getvalue()


def pixels(data: bytes, kind: str) -> bytes:
    if kind == "HEIF":
        return pillow_heif.open_heif(data).to_pillow().tobytes()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.tobytes()


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "HEIF"])
def test_the_metadata_goes_and_the_picture_stays(kind: str, turn: int) -> None:
    data = photo(kind, turn)
    before = picture.inspect(data, max_pixels=PIXELS)
    turned = 1 if kind == "GIF" or (before.width, before.height) == (64, 48) else turn
    clean = without_metadata(data, kind, turned)
    assert SECRET in data
    assert SECRET not in clean
    assert pixels(clean, kind) == pixels(data, kind)
    after = picture.inspect(clean, max_pixels=PIXELS)
    assert (after.width, after.height) == (before.width, before.height)
    assert after.working == before.working
    assert after.animated == before.animated
    assert (b"ICC_PROFILE" in clean or b"ICCP" in clean or b"iCCP" in clean) == (
        kind in ("JPEG", "PNG", "WEBP")
    )


def test_previews_and_makers_segments_go_too() -> None:
    data = photo("JPEG", 1)
    for marker in (b"\xff\xe0", b"\xff\xe2", b"\xff\xe5", b"\xff\xed", b"\xff\xef"):
        name = b"JFXX\0" if marker == b"\xff\xe0" else b"MAKER\0"
        body = name + SECRET
        data = data[:2] + marker + struct.pack(">H", len(body) + 2) + body + data[2:]
    clean = without_metadata(data + SECRET, "JPEG", 1)
    assert SECRET not in clean
    assert pixels(clean, "JPEG") == pixels(data, "JPEG")


@pytest.mark.parametrize(
    "segment",
    [
        (0xE0, b"CIFF\0\0" + SECRET),
        (0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x08\x01" + SECRET),
        (0xEE, b"Maker\0" + SECRET),
        (0xEE, b"Adobe\0\x64\0\0\0\0\x01" + SECRET),
    ],
    ids=["another APP0", "preview of JFIF", "another APP14", "bytes after Adobe"],
)
def test_only_what_a_decoder_needs_stays(segment: tuple[int, bytes]) -> None:
    data, (marker, body) = photo("JPEG", 1), segment
    between = bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
    clean = without_metadata(data[:2] + between + data[2:], "JPEG", 1)
    assert SECRET not in clean
    assert pixels(clean, "JPEG") == pixels(data, "JPEG")


def test_a_progressive_jpeg_keeps_all_scans() -> None:
    buffer = io.BytesIO()
    drawn().save(buffer, "JPEG", progressive=True, exif=exif(1))
    clean = without_metadata(buffer.getvalue(), "JPEG", 1)
    assert pixels(clean, "JPEG") == pixels(buffer.getvalue(), "JPEG")
