"""What is to be handed over: files, directories, patterns and URLs, made one list."""

from __future__ import annotations

from collections.abc import Iterable
from glob import glob
from pathlib import Path

from lookstream.client.photos import Photo, is_url
from lookstream.errors import NothingThere

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".heic", ".heif"})
WILD = frozenset("*?[")


def expand(photos: Photo | Iterable[Photo]) -> list[Photo]:
    """Return photos in order: paths of files, and URLs and bytes as they are.

    Directories are walked for the suffixes of images, sorted; a file named by itself is taken
    whatever its suffix; a pattern (``shirts/**/*.jpg``) stands for the files it fits. Raises
    `NothingThere`.
    """
    given = [photos] if isinstance(photos, str | bytes | Path) else photos
    return [photo for each in given for photo in _photos(each)]


def listed(lines: Iterable[str]) -> list[str]:
    """Return the names in a list, one a line; empty lines and those with a ``#`` first are not."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _photos(photo: Photo) -> list[Photo]:
    if isinstance(photo, bytes) or is_url(photo):
        return [photo]
    path = Path(photo)
    if path.is_dir():
        return _within(path)
    if path.is_file():
        return [path]
    if WILD.intersection(str(photo)):
        return _matching(str(photo))
    raise NothingThere(f"{photo}: no such file or directory")


def _within(folder: Path) -> list[Photo]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise NothingThere(f"{folder}: no photo in this directory")
    return list(found)


def _matching(pattern: str) -> list[Photo]:
    # A shell would have done it; in quotes, in a list or on Windows it is ours to do.
    names = glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(path for path in map(Path, names) if path.is_file())
    if not found:
        raise NothingThere(f"{pattern}: no file is called so")
    return list(found)
