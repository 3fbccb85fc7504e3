"""Thumbnails of the working copy, and a thumbhash to show before they load."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from agents.stages.stage import Stage, one_by_one
from agents.vision.images.thumbhash import thumbhash
from storage.artifacts import keys
from storage.artifacts.store import ArtifactStore
from streams.events.models import ImageThumbnailed, ImageValidated, Thumbnail, Thumbnailed

NAME = "thumbnailing"
_QUALITY = 85


def thumbnailing_stage(
    *, sizes: Sequence[tuple[int, int]] = ((128, 128),), timeout_s: float = 60.0
) -> Stage:
    """Build the stage; each of ``sizes`` is the (width, height) in pixels to fit within."""
    wanted = tuple(dict.fromkeys(sizes))
    if not wanted or min(min(size) for size in wanted) < 1:
        raise ValueError("thumbnails need sizes of at least 1x1")

    def work(event: ImageValidated, artifacts: ArtifactStore) -> Thumbnailed:
        data = artifacts.get(event.working)
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
    return Stage(
        name=NAME,
        consumes=ImageValidated,
        emits=ImageThumbnailed,
        payload=Thumbnailed,
        version=f"lanczos-1-{names}",
        handle=one_by_one(work),
        timeout_s=timeout_s,
    )


def fitted(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode a JPEG to fit within ``size``: aspect kept, Lanczos, never enlarged."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        scale = min(size[0] / image.width, size[1] / image.height, 1.0)
        target = (max(1, int(image.width * scale + 1e-6)), max(1, int(image.height * scale + 1e-6)))
        # Decoded at 1/2, 1/4 or 1/8, but no nearer to the target than twice its size.
        image.draft("RGB", (target[0] * 2, target[1] * 2))
        return image.convert("RGB").resize(target, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return buffer.getvalue()
