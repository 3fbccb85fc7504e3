"""Thumbnailing: thumbnails of the working copy, and a thumbhash as a placeholder."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from agents.stages.resources import Resources
from agents.stages.stage import Stage, one_by_one
from agents.vision.images.thumbhash import thumbhash
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import ImageValidated, Thumbnail, Thumbnailed
from streams.stages.registry import THUMBNAILING

_QUALITY = 85


def thumbnailing_stage(*, sizes: Sequence[tuple[int, int]] = ((128, 128),)) -> Stage:
    """Build the stage; each of ``sizes`` is a maximum (width, height) in pixels.

    Raises ValueError without sizes and for sizes below 1.
    """
    wanted = tuple(dict.fromkeys(sizes))
    if not wanted or min(min(size) for size in wanted) < 1:
        raise ValueError("thumbnails need sizes of at least 1x1")

    def work(event: ImageValidated, artifacts: ArtifactStore) -> Thumbnailed:
        data = artifacts.get(keys.working(event.sha256))
        thumbnails = []
        for size in wanted:
            picture = fitted(data, size)
            key = keys.thumbnail(event.sha256, *size)
            artifacts.put(key, _jpeg(picture), content_type="image/jpeg")
            thumbnails.append(Thumbnail(width=picture.width, height=picture.height, key=key))
        return Thumbnailed(
            thumbnails=tuple(thumbnails), thumbhash=thumbhash(fitted(data, (100, 100)))
        )

    names = "-".join(f"{width}x{height}" for width, height in wanted)
    version = f"{THUMBNAILING.version}-{names}"
    return Stage.of(THUMBNAILING, version=version, handle=one_by_one(work))


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    return thumbnailing_stage(sizes=resources.thumbnail_sizes)


def fitted(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode a JPEG to fit within ``size``: same aspect ratio, Lanczos, never enlarged."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        scale = min(size[0] / image.width, size[1] / image.height, 1.0)
        target = (max(1, int(image.width * scale + 1e-6)), max(1, int(image.height * scale + 1e-6)))
        # The decoder scales by 1/2, 1/4 or 1/8, but to no less than twice the target size.
        image.draft("RGB", (target[0] * 2, target[1] * 2))
        return image.convert("RGB").resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()
