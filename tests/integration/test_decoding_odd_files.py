"""Intact but unusual files through the real child process, and cut files that resemble them."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Iterator

import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from agents.inputs.decoding import Decoder
from agents.stages.errors import Rejected
from tests.garments import dress, encoded, jpeg, textured, tshirt
from tests.odd_files import (
    EOI,
    SAMSUNG,
    TAILS,
    WITH_COLOURS,
    avif_by_exif,
    exif_of,
    grid_heic,
    heic_by_exif,
    png_with,
    restarting,
    ten_bit_heic,
    ycck,
)

register_heif_opener()
SHIRT = tshirt((300, 400), background=textured((300, 400)))
RED = (178, 34, 34)
PINK = (204, 56, 111)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=1)
    yield decoder
    decoder.close()


def code_of(decoder: Decoder, data: bytes) -> str:
    with pytest.raises(Rejected) as refused:
        decoder.inspect(data)
    return refused.value.code


def pixels(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def centre(data: bytes) -> tuple[int, ...]:
    image = pixels(data)
    found = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(found, tuple)
    return tuple(int(part) for part in found)


def assert_near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 6) -> None:
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= by, (found, wanted)


PLAIN: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: jpeg(SHIRT),
    "progressive": lambda: jpeg(SHIRT, progressive=True),
    "mpo": lambda: encoded(SHIRT, "MPO", save_all=True, append_images=[dress()]),
    "png": lambda: encoded(SHIRT, "PNG"),
    "apng": lambda: encoded(SHIRT, "PNG", save_all=True, append_images=[dress((300, 400))]),
    "gif": lambda: encoded(SHIRT, "GIF"),
    "animated gif": lambda: encoded(SHIRT, "GIF", save_all=True, append_images=[dress((300, 400))]),
    "webp": lambda: encoded(SHIRT, "WEBP"),
    "avif": lambda: encoded(SHIRT, "AVIF"),
    "heic": lambda: encoded(SHIRT, "HEIF"),
    "heic of tiles": lambda: grid_heic(SHIRT),
}


@pytest.mark.parametrize("name", PLAIN)
def test_bytes_after_an_image_do_not_matter(decoder: Decoder, name: str) -> None:
    data = PLAIN[name]()
    plain = decoder.inspect(data)
    for tail in TAILS.values():
        found = decoder.inspect(data + tail)
        assert (found.width, found.height, found.working) == (300, 400, plain.working)
    assert decoder.crops(data + SAMSUNG, [(0, 0, 1, 1)]) == decoder.crops(data, [(0, 0, 1, 1)])


@pytest.mark.parametrize("name", sorted(PLAIN.keys() - {"mpo"}))
def test_half_an_image_with_bytes_after_it_is_truncated(decoder: Decoder, name: str) -> None:
    data = PLAIN[name]()
    for tail in (b"", b"\r\n", SAMSUNG, bytes(1000)):
        assert code_of(decoder, data[: len(data) // 2] + tail) in {
            "truncated-image",
            "decode-failed",
        }


WITHOUT_END = {
    "baseline": {},
    "no subsampling": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 20},
    "a restart each row": {"restart_marker_rows": 1},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
}


@pytest.mark.parametrize("name", WITHOUT_END)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_may_lack_its_end_marker_and_nothing_else(
    decoder: Decoder, name: str, mode: str
) -> None:
    options = WITHOUT_END[name]
    whole = jpeg(SHIRT.convert(mode), **options)
    data = whole.removesuffix(EOI)
    assert len(data) == len(whole) - 2
    assert decoder.inspect(data).working == decoder.inspect(whole).working
    assert decoder.inspect(data + b"\xff").working == decoder.inspect(whole).working
    assert decoder.crops(data, [(0, 0, 1, 1)]) == decoder.crops(whole, [(0, 0, 1, 1)])
    for missing in (4, 20, len(data) // 100, len(data) // 3):
        assert code_of(decoder, data[:-missing]) == "truncated-image", missing
        assert code_of(decoder, data[:-missing] + bytes(3 * missing)) == "truncated-image", missing


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("picture", [SHIRT, Image.new("RGB", (300, 400), "white")])
def test_a_jpeg_without_its_last_restart_intervals_is_truncated(
    decoder: Decoder, progressive: bool, picture: Image.Image
) -> None:
    data = jpeg(picture, progressive=progressive, restart_marker_rows=1).removesuffix(EOI)
    for at in restarting(data)[-8:]:
        assert code_of(decoder, data[:at]) == "truncated-image"
        assert code_of(decoder, data[: at + 2]) == "truncated-image"


def test_a_progressive_jpeg_without_its_last_scans_is_truncated(decoder: Decoder) -> None:
    data = jpeg(SHIRT, progressive=True)
    ends = [at for at in range(len(data)) if data[at : at + 2] in (b"\xff\xda", b"\xff\xc4")]
    for end in ends[3:]:
        assert code_of(decoder, data[:end]) == "truncated-image"


def test_a_png_and_a_gif_may_lack_their_end_marker(decoder: Decoder) -> None:
    png, gif = encoded(SHIRT, "PNG"), encoded(SHIRT, "GIF")
    assert decoder.inspect(png[:-12]).working == decoder.inspect(png).working
    assert decoder.inspect(png[:-5]).working == decoder.inspect(png).working
    assert code_of(decoder, png[:-13]) == "truncated-image"
    assert decoder.inspect(gif[:-1]).working == decoder.inspect(gif).working
    assert code_of(decoder, gif[:-2]) == "truncated-image"


def marked() -> Image.Image:
    """Return a picture of which each corner differs."""
    stored = Image.new("RGB", (400, 300), "blue")
    stored.paste("red", (0, 0, 200, 150))
    stored.paste("white", (200, 0, 400, 150))
    return stored


TURNED: dict[str, Callable[[int], bytes]] = {
    "heic by irot": lambda n: encoded(marked(), "HEIF", exif=exif_of(n), quality=90),
    "heic by exif": lambda n: heic_by_exif(marked(), n),
    "heic of tiles by irot": lambda n: grid_heic(marked(), exif=exif_of(n), quality=90),
    "avif by irot": lambda n: encoded(marked(), "AVIF", exif=exif_of(n), quality=90),
    "avif by exif": lambda n: avif_by_exif(marked(), n),
    "webp": lambda n: encoded(marked(), "WEBP", exif=exif_of(n), quality=95),
    "png": lambda n: encoded(marked(), "PNG", exif=exif_of(n)),
    "png, exif after the pixels": lambda n: _exif_last(encoded(marked(), "PNG", exif=exif_of(n))),
}


def _exif_last(data: bytes) -> bytes:
    at = data.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    return data[:at] + data[end:-12] + data[at:end] + data[-12:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", TURNED)
def test_every_format_is_turned_upright(decoder: Decoder, name: str, orientation: int) -> None:
    data = TURNED[name](orientation)
    wanted = decoder.inspect(jpeg(marked(), exif=exif_of(orientation), quality=95))
    found = decoder.inspect(data)
    size = (wanted.width, wanted.height)
    assert (found.width, found.height) == size == decoder.measure(data)
    (cut,) = decoder.crops(data, [(0, 0, 1, 1)])
    for at in ((20, 20), (size[0] - 20, 20), (20, size[1] - 20), (size[0] - 20, size[1] - 20)):
        right = pixels(wanted.working).getpixel(at)
        for copy in (found.working, cut):
            assert_near(pixels(copy).getpixel(at), right, 16)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", [0, 9, 4711, 65535])
@pytest.mark.parametrize("name", ["jpeg", *(name for name in TURNED if "irot" not in name)])
def test_other_orientations_are_ignored(decoder: Decoder, name: str, orientation: int) -> None:
    make = TURNED.get(name, lambda number: jpeg(marked(), exif=exif_of(number), quality=95))
    data = make(orientation)
    found = decoder.inspect(data)
    assert (found.width, found.height) == (400, 300) == decoder.measure(data)
    assert_near(pixels(found.working).getpixel((20, 20)), (254, 0, 0), 16)  # type: ignore[arg-type]


P3 = ((0.8225, 0.1774, 0.0), (0.0332, 0.9669, 0.0), (0.0171, 0.0724, 0.9108))
BT2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
"""Matrices from linear sRGB (BT.2087 and the like)."""


def srgb(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def pq(light: float) -> float:
    part = (light * 203 / 10_000) ** 0.1593017578125
    return float(((0.8359375 + 18.8515625 * part) / (1 + 18.6875 * part)) ** 78.84375)


def hlg(light: float) -> float:
    return (
        math.sqrt(3 * light)
        if light <= 1 / 12
        else 0.17883277 * math.log(12 * light - 0.28466892) + 0.55991073
    )


def stored(numbers: tuple[int, int]) -> tuple[float, float, float]:
    """Return what a file with these numbers stores for the sRGB colour PINK, in 0-1."""
    light = [(part / 255 + 0.055) / 1.055 for part in PINK]
    light = [part**2.4 for part in light]
    matrix = {12: P3, 9: BT2020}.get(numbers[0])
    if matrix:
        light = [sum(a * b for a, b in zip(row, light, strict=True)) for row in matrix]
    if numbers[1] == 18:  # from display light to scene light
        light = [part * 0.203 for part in light]
        shown = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2]
        light = [part * shown ** (1 / 1.2 - 1) for part in light]
    encode = {16: pq, 18: hlg}.get(numbers[1], srgb)
    return encode(light[0]), encode(light[1]), encode(light[2])


NUMBERS = [(1, 13), (1, 1), (12, 13), (9, 13), (9, 16), (9, 18)]


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("name", WITH_COLOURS)
def test_numbered_colours_become_srgb(
    decoder: Decoder, name: str, numbers: tuple[int, int]
) -> None:
    red, green, blue = (round(255 * part) for part in stored(numbers))
    data = WITH_COLOURS[name](Image.new("RGB", (64, 64), (red, green, blue)), *numbers)
    assert_near(centre(decoder.inspect(data).working), PINK)
    assert_near(centre(decoder.crops(data, [(0, 0, 1, 1)])[0]), PINK)


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_with_ten_bits_is_toned_down(decoder: Decoder, transfer: int) -> None:
    data = ten_bit_heic(stored((9, transfer)), 9, transfer)
    assert_near(centre(decoder.inspect(data).working), PINK)
    white = {16: 0.5807, 18: 0.75}[transfer]  # 203 nits
    found = centre(decoder.inspect(ten_bit_heic((white,) * 3, 9, transfer)).working)
    assert_near(found, (249, 249, 249), 4)
    for more in (0.05, 0.1, 0.25):
        brighter = centre(decoder.inspect(ten_bit_heic((white + more,) * 3, 9, transfer)).working)
        assert_near(brighter, (253, 253, 253), 3)


def test_unknown_numbers_count_as_srgb(decoder: Decoder) -> None:
    for name in ("avif", "png"):  # the HEIF decoder refuses such a file
        data = WITH_COLOURS[name](Image.new("RGB", (64, 64), PINK), 200, 99)
        assert_near(centre(decoder.inspect(data).working), PINK)


@pytest.mark.parametrize("make", [ycck, lambda image: jpeg(image.convert("CMYK"), quality=95)])
def test_colours_of_print_jpegs(decoder: Decoder, make: Callable[[Image.Image], bytes]) -> None:
    picture = tshirt((300, 400))
    assert_near(centre(decoder.inspect(make(picture)).working), RED, 8)
    assert_near(centre(decoder.inspect(make(picture).removesuffix(EOI)).working), RED, 8)


def test_transparent_pngs(decoder: Decoder) -> None:
    palette = tshirt((1200, 1600)).quantize(16)
    background = palette.getpixel((5, 5))
    see_through = encoded(palette, "PNG", transparency=background)
    copy = pixels(decoder.inspect(see_through).working)
    assert_near(copy.getpixel((5, 5)), (255, 255, 255), 2)  # type: ignore[arg-type]
    keyed = encoded(tshirt((1200, 1600), background=(0, 255, 0)), "PNG", transparency=(0, 255, 0))
    copy = pixels(decoder.inspect(keyed).working)
    assert_near(copy.getpixel((5, 5)), (255, 255, 255), 2)  # type: ignore[arg-type]
    assert_near(centre(decoder.inspect(keyed).working), RED, 8)
    grey = Image.new("I;16", (64, 64), 30_000)
    deep = png_with(encoded(grey, "PNG"), b"tRNS", (65_535).to_bytes(2, "big"))
    assert_near(centre(decoder.inspect(deep).working), (117, 117, 117), 3)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (16, 16), (2, 40), (16, 900), (4000, 1)])
def test_icons_are_too_small(decoder: Decoder, size: tuple[int, int]) -> None:
    for kind in ("PNG", "GIF", "JPEG"):
        assert code_of(decoder, encoded(Image.new("RGB", size), kind)) == "too-small"


@pytest.mark.parametrize("size", [(17, 17), (4000, 17), (17, 4000)])
def test_pictures_just_large_enough_are_accepted(decoder: Decoder, size: tuple[int, int]) -> None:
    found = decoder.inspect(encoded(Image.new("RGB", size), "PNG"))
    assert (found.width, found.height) == size


def test_a_jpeg_of_many_scans_is_refused_before_it_costs_time(decoder: Decoder) -> None:
    data = jpeg(SHIRT, progressive=True)
    last = data.rindex(b"\xff\xda")
    assert code_of(decoder, data[:-2] + data[last:-2] * 20_000 + EOI) == "too-many-scans"


def test_a_webp_of_many_pixels_is_refused_before_it_costs_memory(decoder: Decoder) -> None:
    data = bytearray(encoded(SHIRT, "WEBP"))
    at = data.index(b"VP8 ") + 14
    data[at : at + 4] = struct.pack("<HH", 16_383, 6_000)
    assert code_of(decoder, bytes(data)) == "too-many-pixels"


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_bytes_after_a_sequence_do_not_matter(decoder: Decoder, kind: str) -> None:
    data = encoded(SHIRT, kind, save_all=True, append_images=[dress((300, 400))])
    plain = decoder.inspect(data)
    for tail in (*TAILS.values(), b"%PDF-1.7\n", b"#!/bin/sh\n", encoded(SHIRT, "AVIF")):
        assert decoder.inspect(data + tail).working == plain.working
    for share in range(5, 100, 5):
        assert code_of(decoder, data[: len(data) * share // 100]) == "truncated-image"


def test_a_heic_may_have_the_general_brand_only(decoder: Decoder) -> None:
    data = encoded(SHIRT, "HEIF")
    head = data[:28].replace(b"heic", b"mif1")
    assert head != data[:28]
    assert decoder.inspect(head + data[28:]).working == decoder.inspect(data).working
    assert code_of(decoder, head.replace(b"mif1", b"isom") + data[28:]) == "unsupported-format"
