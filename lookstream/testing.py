"""Test a stage without a broker: an in-memory artifact store, example events, and `run_stage`.


payload = run_stage(stage, "shirt.jpg")
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from PIL import Image, ImageOps

from agents.stages.stage import CachedResult, FallbackResult, Stage
from storage.artifacts import keys
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import CHUNK, ArtifactInfo, ArtifactStore
from storage.errors import ArtifactNotFound
from streams.events.models import (
    Event,
    ImageAnnotated,
    ImageCaptioned,
    ImageClassified,
    ImageSubmitted,
    ImageThumbnailed,
    ImageValidated,
    PoseEstimated,
    ShotsCut,
    Source,
)

JOB_ID = str(UUID(int=1))
LONG_SIDE = 1024
_WHOLE = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}
_NECK = {"name": "neck", "x": 0.5, "y": 0.1, "confidence": 0.9}
_PICTURE = {"key": "examples/picture.jpg", "width": 128, "height": 128}
_SHOT = {"label": "whole", "key": "examples/shot.jpg", "box": _WHOLE, "reason": "all of it"}
EXAMPLES: Mapping[type[Event], Mapping[str, Any]] = {
    ImageCaptioned: {"caption": "Blue T-shirt", "model": "example"},
    ImageClassified: {"top5": [{"label": "t-shirt", "probability": 0.9}], "model": "example"},
    PoseEstimated: {
        "subject": "laid-out",
        "keypoints": [_NECK],
        "box": _WHOLE,
        "model": "example",
    },
    ShotsCut: {"shots": [{**_SHOT, "confidence": 0.9}]},
    ImageThumbnailed: {"thumbnails": [_PICTURE], "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A"},
    ImageAnnotated: _PICTURE,
}
"""Payloads of the built-in stages' events. Their artifacts are not in the store."""


class MemoryArtifacts:
    """An `ArtifactStore` in memory. Thread-safe."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, ArtifactInfo]] = {}
        self._lock = threading.Lock()
        self._signer = LinkSigner(b"lookstream.testing", "http://memory")

    def put(
        self, key: str, data: bytes | BinaryIO, *, content_type: str = "application/octet-stream"
    ) -> ArtifactInfo:
        keys.safe_key(key)
        content = data if isinstance(data, bytes) else b"".join(iter(lambda: data.read(CHUNK), b""))
        etag = hashlib.sha256(content).hexdigest()
        info = ArtifactInfo(key, len(content), etag, datetime.now(UTC), content_type)
        with self._lock:
            self._objects[key] = (content, info)
        return info

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        content, _ = self._found(key)
        return content[offset:] if length is None else content[offset : offset + length]

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        content = self.get(key, offset=offset, length=length)
        return (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))

    def stat(self, key: str) -> ArtifactInfo:
        return self._found(key)[1]

    def exists(self, key: str) -> bool:
        return keys.safe_key(key) in self._objects

    def copy(self, source: str, destination: str, *, content_type: str | None = None) -> None:
        content, info = self._found(source)
        self.put(destination, content, content_type=content_type or info.content_type)

    def delete(self, key: str) -> None:
        keys.safe_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
        keys.safe_prefix(prefix)
        with self._lock:
            found = sorted(key for key in self._objects if key.startswith(prefix) and key > after)
        return found[:limit]

    def signed_link(
        self, key: str, *, expires_s: int, method: str = "GET", size: int | None = None
    ) -> str:
        return self._signer.sign(keys.safe_key(key), expires_s=expires_s, method=method)

    def check(self) -> None:
        return None

    def _found(self, key: str) -> tuple[bytes, ArtifactInfo]:
        try:
            return self._objects[keys.safe_key(key)]
        except KeyError:
            raise ArtifactNotFound(key) from None


def run_stage(
    stage: Stage,
    photo: bytes | str | Path | Image.Image,
    *,
    artifacts: ArtifactStore | None = None,
    event: Event | None = None,
) -> Any:
    """Run ``warm_up`` and ``stage`` on one photo, and return the payload.

    ``event`` replaces the example event. Raises the exception with which the stage rejects or fails
    the photo, and TypeError for a payload that is not the declared one.
    """
    store = MemoryArtifacts() if artifacts is None else artifacts
    validated = store_photo(photo, store)
    if stage.warm_up:
        stage.warm_up()
    (outcome,) = stage.handle([event or example_event(stage.consumes, validated)], store)
    if isinstance(outcome, Exception):
        raise outcome
    payload = outcome.payload if isinstance(outcome, CachedResult | FallbackResult) else outcome
    if not isinstance(payload, stage.payload):
        raise TypeError(f"{type(payload).__name__} instead of {stage.payload.__name__}")
    return payload


def store_photo(
    photo: bytes | str | Path | Image.Image, artifacts: ArtifactStore
) -> ImageValidated:
    """Store a photo as validation does, and return the event about it.

    Stores the original and the working copy: upright RGB JPEG, long side at most 1024 px.
    """
    content = _content(photo)
    with Image.open(io.BytesIO(content)) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
        kind = str(opened.format)
    sha256 = hashlib.sha256(content).hexdigest()
    original, working = keys.original(sha256), keys.working(sha256)
    artifacts.put(original, content, content_type=f"image/{kind.lower()}")
    small = upright.copy()
    small.thumbnail((LONG_SIDE, LONG_SIDE))
    artifacts.put(working, _encoded(small, "JPEG"), content_type="image/jpeg")
    return ImageValidated(
        job_id=JOB_ID,
        sha256=sha256,
        perceptual_hash="0" * 16,
        original=original,
        working=working,
        width=upright.width,
        height=upright.height,
        format=kind,
        bytes=len(content),
    )


def example_event(consumes: type[Event], validated: ImageValidated) -> Event:
    """Return an event of a built-in type about a validated photo.

    Raises ValueError for other types: pass ``event`` to `run_stage`.
    """
    if consumes is ImageSubmitted:
        return ImageSubmitted(job_id=validated.job_id, source=Source(object=validated.original))
    if consumes is ImageValidated:
        return validated
    if consumes not in EXAMPLES:
        raise ValueError(f"there is no example of {consumes.__name__}; pass event=…")
    about = {"job_id": validated.job_id, "sha256": validated.sha256}
    return consumes.model_validate({**about, **EXAMPLES[consumes]})


def _content(photo: bytes | str | Path | Image.Image) -> bytes:
    if isinstance(photo, bytes):
        return photo
    return _encoded(photo, "PNG") if isinstance(photo, Image.Image) else Path(photo).read_bytes()


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


__all__ = ["MemoryArtifacts", "example_event", "run_stage", "store_photo"]
