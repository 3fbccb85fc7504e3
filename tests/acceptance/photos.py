"""Photos for the tests: different drawn photos, and real photos if available."""

from __future__ import annotations

import hashlib
import io
import os
import random
import tarfile
from pathlib import Path

from PIL import Image

from tests.garments import dress, jpeg, trousers, tshirt

GARMENTS = (tshirt, dress, trousers)
SUFFIXES = {".jpg", ".png", ".webp"}
FOLDER = os.environ.get("LOOKSTREAM_DATA", "")


def photo(name: str, size: tuple[int, int] = (240, 320)) -> bytes:
    """Draw a photo from ``name``. Equal names give equal photos, other names other photos."""
    rng = random.Random(name)  # noqa: S311 - not for secrets
    garment, background = rng.sample([tuple(rng.randbytes(3)) for _ in range(8)], 2)
    return jpeg(rng.choice(GARMENTS)(size, garment, background), quality=88)


def photos(name: str, count: int) -> list[bytes]:
    """Draw ``count`` different photos."""
    return [photo(f"{name} {number}") for number in range(count)]


def people_s_photos(count: int) -> list[bytes]:
    """Return the first ``count`` real photos; none without `LOOKSTREAM_DATA`."""
    archive = Path(FOLDER) / "photos-train.tar"
    if not FOLDER or not archive.is_file():
        return []
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None:
                found.append(file.read())
            if len(found) == count:
                break
    return found


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pixels(content: bytes) -> bytes:
    """Return the decoded pixels of a photo, which a copy without metadata keeps."""
    with Image.open(io.BytesIO(content)) as image:
        return image.tobytes()
