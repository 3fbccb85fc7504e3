"""Archives of drawn photos with the tables that scoring reads."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_archive(folder: Path, name: str, rows: Sequence[Mapping[str, str]],
                  files: Mapping[str, bytes]) -> None:  # fmt: skip
    """Write NAME.tar with the files, and NAME.csv with the rows."""
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with tarfile.open(folder / f"{name}.tar", "w") as tar:
        for member, content in files.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def png(pixels: np.ndarray | Image.Image) -> bytes:
    """Return a picture as a PNG file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
