"""Untrusted photos through the real child process: accepted formats and rejection codes."""

from __future__ import annotations

import io
import os
import signal
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import pytest
from PIL import Image, ImageCms
from pillow_heif import register_heif_opener

from agents.inputs.decoding import Decoder
from agents.stages.errors import Rejected
from tests.acceptance.process_tree import descendants
from tests.garments import dress, encoded, jpeg, trousers, tshirt

register_heif_opener()
SHIRT = tshirt((300, 400))
RED = (178, 34, 34)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=2)
    decoder.warm_up()
    yield decoder
    decoder.close()


def children() -> set[int]:
    """Return the process ids of this process's decoding children."""
    return {each.pid for each in descendants(os.getpid()) if "decoding_child" in each.command}


def working(decoder: Decoder, data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(decoder.inspect(data).working))


def code_of(decoder: Decoder, data: bytes) -> str:
    with pytest.raises(Rejected) as refused:
        decoder.inspect(data)
    assert refused.value.message
    return refused.value.code


def centre(image: Image.Image) -> tuple[int, ...]:
    pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return tuple(int(part) for part in pixel)


def near(one: tuple[int, ...], other: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(a - b) <= by for a, b in zip(one, other, strict=True))


@lru_cache
def huge_png(width: int, height: int) -> bytes:
    """A valid PNG of one colour: 30,000 × 30,000 grey pixels in less than 4 MB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))
        )

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


ACCEPTED: dict[str, tuple[str, Callable[[], bytes], bool]] = {
    "jpeg": ("JPEG", lambda: jpeg(SHIRT), False),
    "progressive": ("JPEG", lambda: jpeg(SHIRT, progressive=True), False),
    "cmyk": ("JPEG", lambda: jpeg(SHIRT.convert("CMYK")), False),
    "mpo": ("JPEG", lambda: encoded(SHIRT, "MPO", save_all=True, append_images=[dress()]), False),
    "png": ("PNG", lambda: encoded(SHIRT, "PNG"), False),
    "palette": (
        "PNG",
        lambda: encoded(SHIRT.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        False,
    ),
    "gif": ("GIF", lambda: encoded(SHIRT, "GIF"), False),
    "animated gif": (
        "GIF",
        lambda: encoded(
            SHIRT, "GIF", save_all=True, append_images=[dress((300, 400)), trousers((300, 400))]
        ),
        True,
    ),
    "webp": ("WEBP", lambda: encoded(SHIRT, "WEBP"), False),
    "animated webp": (
        "WEBP",
        lambda: encoded(SHIRT, "WEBP", save_all=True, append_images=[dress((300, 400))]),
        True,
    ),
    "avif": ("AVIF", lambda: encoded(SHIRT, "AVIF"), False),
    "heic": ("HEIF", lambda: encoded(SHIRT, "HEIF"), False),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts_by_content(decoder: Decoder, name: str) -> None:
    kind, make, animated = ACCEPTED[name]
    found = decoder.inspect(make())
    assert (found.format, found.width, found.height) == (kind, 300, 400)
    assert found.animated is animated
    assert len(found.perceptual_hash) == 16
    copy = Image.open(io.BytesIO(found.working))
    assert (copy.format, copy.mode, copy.size) == ("JPEG", "RGB", (300, 400))
    assert near(centre(copy), RED, 20)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "RGBA", "PA"])
def test_accepts_every_mode(decoder: Decoder, mode: str) -> None:
    grey = SHIRT.convert("L")
    level = int(grey.getpixel((150, 200)))  # type: ignore[arg-type]
    if mode == "I;16":
        picture = Image.new("I;16", grey.size, level * 257)
    elif mode == "PA":
        picture = SHIRT.convert("P")
        picture.info["transparency"] = 0
    else:
        picture = SHIRT.convert(mode)
    copy = working(decoder, encoded(picture, "PNG"))
    assert (copy.mode, copy.size) == ("RGB", (300, 400))
    if mode in ("L", "LA", "I;16"):
        assert near(centre(copy), (level, level, level), 3)


def test_transparency_becomes_white(decoder: Decoder) -> None:
    picture = SHIRT.convert("RGBA")
    picture.putalpha(0)
    assert near(centre(working(decoder, encoded(picture, "PNG"))), (255, 255, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_upright_and_drops_metadata(decoder: Decoder, orientation: int) -> None:
    stored = Image.new("RGB", (400, 300), "blue")
    stored.paste("red", (0, 0, 200, 150))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a camera's maker"
    found = decoder.inspect(jpeg(stored, exif=exif, comment=b"secret"))
    assert (found.width, found.height) == ((300, 400) if orientation >= 5 else (400, 300))
    copy = Image.open(io.BytesIO(found.working))
    assert copy.size == (found.width, found.height)
    assert not copy.getexif()
    assert "comment" not in copy.info
    corner = {1: "lt", 2: "rt", 3: "rb", 4: "lb", 5: "lt", 6: "rt", 7: "rb", 8: "lb"}[orientation]
    x = 10 if corner[0] == "l" else copy.width - 10
    y = 10 if corner[1] == "t" else copy.height - 10
    assert near(copy.getpixel((x, y)), (254, 0, 0), 30)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crops_are_of_the_upright_picture(decoder: Decoder, orientation: int) -> None:
    stored = Image.new("RGB", (400, 300), "blue")
    stored.paste("red", (0, 0, 200, 150))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(stored, exif=exif)
    upright = working(decoder, data)
    boxes = [(0.0, 0.0, 0.4, 0.4), (0.6, 0.0, 1.0, 0.4), (0.0, 0.6, 0.4, 1.0), (0.6, 0.6, 1.0, 1.0)]
    for box, crop in zip(boxes, decoder.crops(data, boxes), strict=True):
        cut = Image.open(io.BytesIO(crop))
        assert cut.size == (round(0.4 * upright.width), round(0.4 * upright.height))
        at = (
            round((box[0] + box[2]) / 2 * upright.width),
            round((box[1] + box[3]) / 2 * upright.height),
        )
        assert near(centre(cut), upright.getpixel(at), 30)  # type: ignore[arg-type]


def test_shrinks_to_1024_and_never_enlarges(decoder: Decoder) -> None:
    assert working(decoder, jpeg(tshirt((2600, 1300)))).size == (1024, 512)
    assert working(decoder, jpeg(tshirt((30, 40)))).size == (30, 40)
    assert working(decoder, encoded(Image.new("RGB", (40_000, 18)), "PNG")).size == (1024, 1)


def test_an_embedded_profile_is_applied(decoder: Decoder) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = centre(working(decoder, jpeg(SHIRT, quality=95)))
    assert near(centre(working(decoder, jpeg(SHIRT, quality=95, icc_profile=lab))), plain, 4)
    assert near(centre(working(decoder, jpeg(SHIRT, quality=95, icc_profile=b"junk"))), plain, 4)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty-file"),
        (b"\xff", "not-an-image"),
        (b"this is a text file named .jpg", "not-an-image"),
        (encoded(SHIRT, "BMP"), "unsupported-format"),
        (encoded(SHIRT, "TIFF"), "unsupported-format"),
        (b"%PDF-1.4 and so on", "unsupported-format"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "decode-failed"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40) + b"IEND", "decode-failed"),
        (jpeg(SHIRT)[:700] + b"\x17\x2a\x93\x5c" * 9, "truncated-image"),
    ],
)  # fmt: skip
def test_refuses_files_that_are_no_photo(decoder: Decoder, data: bytes, code: str) -> None:
    assert code_of(decoder, data) == code


@pytest.mark.parametrize(
    "name", sorted(ACCEPTED.keys() - {"mpo"})
)  # only the first picture of an MPO is used
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_refuses_truncated_photos(decoder: Decoder, name: str, share: float) -> None:
    data = ACCEPTED[name][1]()
    assert code_of(decoder, data[: int(len(data) * share)]) == "truncated-image"


def test_refuses_too_many_pixels_before_decoding_them(decoder: Decoder) -> None:
    data = huge_png(30_000, 30_000)
    assert code_of(decoder, data) == "too-many-pixels"
    with pytest.raises(Rejected, match="30000"):
        decoder.measure(data)


def test_memory_is_limited() -> None:
    small = Decoder(processes=1, memory_bytes=512 << 20, max_pixels=10**9)
    try:
        assert code_of(small, huge_png(30_000, 30_000)) == "too-much-memory"
        assert small.inspect(jpeg(SHIRT)).width == 300
    finally:
        small.close()


def test_time_is_limited_and_the_next_picture_is_fine() -> None:
    hurried = Decoder(processes=1, timeout_s=0.8, max_pixels=10**9, memory_bytes=8 << 30)
    try:
        others = children()
        hurried.warm_up()
        before = children() - others
        assert before
        assert code_of(hurried, huge_png(30_000, 30_000)) == "decode-timeout"
        assert hurried.inspect(jpeg(SHIRT)).width == 300
        assert not before & children()
    finally:
        hurried.close()


def test_computing_time_is_limited_apart_from_the_time_limit() -> None:
    hurried = Decoder(
        processes=1, timeout_s=60.0, cpu_s=0.5, max_pixels=10**9, memory_bytes=8 << 30
    )
    try:
        assert code_of(hurried, huge_png(30_000, 30_000)) == "decode-timeout"
        assert hurried.inspect(jpeg(SHIRT)).width == 300
    finally:
        hurried.close()


def test_a_child_that_was_killed_is_replaced(decoder: Decoder) -> None:
    decoder.warm_up()
    for pid in children():
        os.kill(pid, signal.SIGKILL)
    assert decoder.inspect(jpeg(SHIRT)).width == 300


def test_many_threads_share_few_children() -> None:
    data = [jpeg(tshirt((100 + n, 80))) for n in range(40)]
    others, decoder = children(), Decoder(processes=2)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(decoder.inspect, data))
        assert [one.width for one in found] == [100 + n for n in range(40)]
        assert len(children() - others) <= 2
    finally:
        decoder.close()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_an_idle_child_uses_little_memory_and_has_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOOKSTREAM_SECRET", "the-secret-that-signs-links")
    others, decoder = children(), Decoder(processes=1)
    try:
        decoder.inspect(jpeg(tshirt((4000, 3000))))
        (pid,) = children() - others
        process = Path("/proc") / str(pid)
        resident = next(
            line for line in (process / "status").read_text().splitlines() if "VmRSS" in line
        )
        assert int(resident.split()[1]) < 70_000, "kB"
        assert b"the-secret" not in (process / "environ").read_bytes()
        mapped = (process / "maps").read_text()
        assert not any(heavy in mapped for heavy in ("torch", "mediapipe", "numpy", "cv2"))
    finally:
        decoder.close()


def test_many_fill_bytes_take_no_quadratic_time(decoder: Decoder) -> None:
    """A pattern that begins with any number of 0xFF needs hours; the child ends after 20 s."""
    photo = jpeg(SHIRT).removesuffix(b"\xff\xd9") + b"\xff" * 5_000_000 + b"\0\xff\xd9"
    assert decoder.inspect(photo).copy_format == "JPEG"


def test_a_large_webp_has_a_copy_without_metadata(decoder: Decoder) -> None:
    """Its decoder needs 16 bytes a pixel, for the working copy and then for the copy again."""
    photo = encoded(Image.new("RGB", (7000, 7000), RED), "WEBP", method=0)
    found = decoder.inspect(photo)
    assert found.copy_format == "WEBP"
    assert Image.open(io.BytesIO(found.copy)).size == (7000, 7000)


def test_a_photo_of_an_unusual_structure_is_encoded_again(decoder: Decoder) -> None:
    """Encoding needs more memory than the working copy, so the decoder reserves it separately."""
    photo = encoded(SHIRT, "AVIF") + struct.pack(">I4s", 16, b"moof") + b"secret.."
    found = decoder.inspect(photo)
    assert found.copy_format == "JPEG"
    assert b"secret" not in found.copy
    assert Image.open(io.BytesIO(found.copy)).size == SHIRT.size
