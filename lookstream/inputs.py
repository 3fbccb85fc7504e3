"""What `lookstream submit` is given: files, directories and URLs, made one list."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".heic", ".heif"})


class NothingThere(ValueError):
    """An argument that is neither a file, nor a directory with photos, nor a URL."""


def expand(arguments: Iterable[str]) -> list[Path | str]:
    """Return photos in order: paths of files, and URLs as they are.

    Directories are walked for the suffixes of images, sorted; a file named by itself is taken
    whatever its suffix. Raises `NothingThere`.
    """
    return [photo for argument in arguments for photo in _photos(argument)]


def _photos(argument: str) -> list[Path | str]:
    if "://" in argument:
        return [argument]
    path = Path(argument)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise NothingThere(f"{argument}: no photo in this directory")
        return list(found)
    if not path.is_file():
        raise NothingThere(f"{argument}: no such file or directory")
    return [path]
