"""Validation, the first stage: turn untrusted bytes into an original and a working copy.

The stage writes everything under keys made from the content, and deletes the quarantined object
last. So a redelivery after a kill finds either the object or the record of its source.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Protocol

from pydantic import ValidationError

from agents.inputs.decoding import QUICK_S, InspectedImage
from agents.inputs.fetching import SourceRecord, load_source, save_source
from agents.stages.errors import Rejected, Unavailable
from agents.stages.resources import Resources
from agents.stages.stage import CachedResult, Stage, one_by_one
from agents.vision.images import formats
from storage.artifacts import keys, media_types
from storage.artifacts.erasure import is_being_erased
from storage.artifacts.store import ArtifactInfo, ArtifactStore
from storage.errors import ArtifactNotFound, InvalidKey
from streams.events.models import ImageDownloaded, ImageSubmitted, Validated, ValidationPostponed
from streams.stages.registry import VALIDATION

Submission = ImageSubmitted | ImageDownloaded


class Decodes(Protocol):
    """The part of `agents.inputs.decoding.Decoder` that validation uses."""

    def room(self, size: int, *, quick_s: float | None = None) -> AbstractContextManager[None]: ...

    def inspect(self, data: bytes, *, quick_s: float | None = None) -> InspectedImage: ...

    def warm_up(self) -> None: ...


def validation_stage(
    *, decoder: Decodes, max_bytes: int = 50_000_000, quick_s: float = QUICK_S
) -> Stage:
    """Build the stage. ``max_bytes`` limits an object. A photo that needs more than ``quick_s``
    seconds of computing is postponed.

    Validation reads submissions of uploads, and downloads (`agents.downloads`) instead of
    submissions of URLs. It caches its results itself, because these events do not contain the
    content's hash. An event of known content gives `CachedResult`, unless the event has ``force``.

    Rejects with ``source-not-allowed``, ``source-changed``, ``object-not-found``, ``too-large``,
    and with the codes of the decoder.
    """
    quick, slow = _Validation(decoder, max_bytes, quick_s), _Validation(decoder, max_bytes)
    return Stage.of(
        VALIDATION,
        handle=one_by_one(quick.validate),
        handle_slow=one_by_one(slow.validate),
        postponed=_postponed,
        warm_up=decoder.warm_up,
        wants=lambda event: isinstance(event, ImageDownloaded) or event.source.url is None,
    )


def build(resources: Resources) -> Stage:
    """Build the stage from the shared resources."""
    return validation_stage(decoder=resources.decoder, max_bytes=resources.max_bytes)


class _Validation:
    """Validates one event at a time. A photo that needs more than ``quick_s`` seconds of computing
    is postponed; None decodes every photo."""

    def __init__(self, decoder: Decodes, max_bytes: int, quick_s: float | None = None) -> None:
        self._decoder = decoder
        self._quick_s = quick_s
        self._max_bytes = max_bytes

    def validate(self, event: Submission, artifacts: ArtifactStore) -> Validated | CachedResult:
        if isinstance(event, ImageDownloaded) and event.source.url is not None:
            return self._from_download(event, artifacts)
        return self._from_object(event, event.source.object or "", artifacts)

    def _from_object(
        self, event: Submission, key: str, artifacts: ArtifactStore
    ) -> Validated | CachedResult:
        if not key.startswith(keys.IRREPLACEABLE):
            raise Rejected("source-not-allowed", "Only uploaded objects can be processed.", key)
        if key == keys.upload(event.job_id) and (found := self._seen_before(event, artifacts)):
            artifacts.delete(key)  # a second upload by the same link; the job has a photo
            return found
        with self._object(key, artifacts) as stored:
            if stored:
                data, info = stored
                known = SourceRecord(sha256=_sha256(data))
                return self._finish(event, data, artifacts, known, info)
        return self._from_earlier_delivery(event, key, artifacts)

    def _from_earlier_delivery(
        self, event: Submission, key: str, artifacts: ArtifactStore
    ) -> Validated | CachedResult:
        """Answer for a missing object, which an earlier delivery of this event may have moved."""
        found = self._seen_before(event, artifacts)
        if not found:
            raise Rejected("object-not-found", "The uploaded object does not exist.", key)
        return found

    def _seen_before(
        self, event: Submission, artifacts: ArtifactStore
    ) -> Validated | CachedResult | None:
        """Return the result of the source's first validation; None without one."""
        known = load_source(event.source, artifacts)
        found = known and self._known_content(event, known, artifacts)
        return found or None

    def _from_download(
        self, event: ImageDownloaded, artifacts: ArtifactStore
    ) -> Validated | CachedResult:
        """Validate the quarantined download. The key is derived: an event is only a claim."""
        key = keys.incoming(event.job_id)
        if event.sha256 and artifacts.exists(keys.claim(event.sha256, event.job_id)):
            known = SourceRecord(sha256=event.sha256)  # downloading has claimed the content
            if found := self._known_content(event, known, artifacts):
                return found
        with self._object(key, artifacts) as stored:
            if stored:
                data, info = stored
                known = SourceRecord(
                    sha256=_sha256(data), etag=event.etag, last_modified=event.last_modified
                )
                return self._finish(event, data, artifacts, known, info)
        return self._from_earlier_delivery(event, key, artifacts)

    @contextmanager
    def _object(
        self, key: str, artifacts: ArtifactStore
    ) -> Iterator[tuple[bytes, ArtifactInfo] | None]:
        """Yield an object and its facts, None without the object; its memory is reserved.

        The first bytes tell whether the object is a photo; the others are read only then.
        """
        found: tuple[bytes, ArtifactInfo] | None = None
        with ExitStack() as reserved:
            try:
                info = artifacts.stat(key)
                self._check_size(info.size)
                reserved.enter_context(self._decoder.room(info.size, quick_s=self._quick_s))
                found = self._read(key, artifacts), info
            except InvalidKey as error:
                raise Rejected("source-not-allowed", "The object key is invalid.", key) from error
            except ArtifactNotFound:
                found = None
            yield found

    def _read(self, key: str, artifacts: ArtifactStore) -> bytes:
        data, checked = io.BytesIO(), False
        for chunk in artifacts.stream(key):
            size = data.tell() + data.write(chunk)
            self._check_size(size)  # an uploader may replace the object meanwhile
            if not checked and size >= formats.HEAD:
                formats.accepted(data.getbuffer()[: formats.HEAD].tobytes())
                checked = True
        if not checked:
            formats.accepted(data.getvalue())
        return data.getvalue()

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise Rejected("too-large", f"The file has more than {self._max_bytes:,} bytes.")

    def _known_content(
        self, event: Submission, known: SourceRecord, artifacts: ArtifactStore
    ) -> Validated | CachedResult | None:
        """Return the stored or a new result of known content; None if its original is gone."""
        _claim(event, known, artifacts)
        if not event.force and (kept := _stored_result(known.sha256, artifacts)):
            return CachedResult(kept)
        with self._object(keys.original(known.sha256), artifacts) as stored:
            if stored is None:
                return None
            return self._validated(stored[0], known.sha256, artifacts, None)

    def _finish(
        self,
        event: Submission,
        data: bytes,
        artifacts: ArtifactStore,
        known: SourceRecord,
        uploaded: ArtifactInfo | None,
    ) -> Validated | CachedResult:
        _claim(event, known, artifacts)
        kept = None if event.force else _stored_result(known.sha256, artifacts)
        try:
            result = (
                CachedResult(kept)
                if kept
                else self._validated(data, known.sha256, artifacts, uploaded)
            )
        except Rejected:
            artifacts.delete(keys.claim(known.sha256, event.job_id))
            artifacts.delete(keys.content_of(event.job_id, known.sha256))
            raise
        save_source(event.source, known, artifacts)
        if uploaded and uploaded.key.startswith(keys.QUARANTINE):
            artifacts.delete(uploaded.key)
        return result

    def _validated(
        self, data: bytes, sha256: str, artifacts: ArtifactStore, uploaded: ArtifactInfo | None
    ) -> Validated:
        found = self._decoder.inspect(data, quick_s=self._quick_s)
        payload = Validated(
            sha256=sha256,
            perceptual_hash=found.perceptual_hash,
            original=keys.original(sha256),
            working=keys.working(sha256),
            width=found.width,
            height=found.height,
            format=found.format,
            bytes=len(data),
            animated=found.animated,
            copy_format=found.copy_format or None,
        )
        if found.copy_format:
            artifacts.put(
                keys.copy(sha256, found.copy_format),
                found.copy,
                content_type=media_types.content_type(found.copy_format),
            )
        artifacts.put(payload.working, found.working, content_type="image/jpeg")
        _store_original(payload, data, artifacts, uploaded)
        artifacts.put(
            keys.result(sha256, VALIDATION.name, VALIDATION.version),
            payload.model_dump_json().encode(),
            content_type="application/json",
        )
        return payload


def _postponed(event: Submission) -> ValidationPostponed:
    kept = {**event.model_dump(), "wanted_item": event.wanted_item}
    return ValidationPostponed.model_validate(kept)


def _claim(event: Submission, known: SourceRecord, artifacts: ArtifactStore) -> None:
    """Note the job's content, so that a deletion finds it before tracking knows it. Write a claim,
    which keeps the content when another job with the same photo is deleted.

    Raises `Unavailable` while the content is being erased. After that, validation starts again.
    Raises `Rejected` if the job has a photo of another source.
    """
    _note_content(event, known.sha256, artifacts)
    artifacts.put(keys.claim(known.sha256, event.job_id), b"")
    if is_being_erased(artifacts, known.sha256):
        raise Unavailable("erasure", "the same photo is being erased", retry_after_s=1.0)


def _note_content(event: Submission, sha256: str, artifacts: ArtifactStore) -> None:
    """Note that the job has this content, and from which source.

    A later submission may bring other content only from the same source: a URL can change. Any
    producer can name another client's job.
    """
    source = keys.source_record(event.source.url or event.source.object or "")
    noted = artifacts.list(keys.content_of(event.job_id), limit=100)
    own = keys.content_of(event.job_id, sha256)
    if own in noted:
        return
    if noted and not any(_is_from(source, each, artifacts) for each in noted):
        raise Rejected("source-changed", "The job was submitted with another photo before.")
    artifacts.put(own, source.encode())


def _is_from(source: str, note: str, artifacts: ArtifactStore) -> bool:
    try:
        return artifacts.get(note).decode() == source
    except ArtifactNotFound:  # erased meanwhile
        return True


def _store_original(
    payload: Validated, data: bytes, artifacts: ArtifactStore, uploaded: ArtifactInfo | None
) -> None:
    """Store the original under the key made from its SHA-256.

    If possible, the store copies the uploaded object, so that its bytes are not sent again. An
    existing original of the right type is kept. The content decides the type, not the uploader.
    The uploader could change the object between our read and the copy: if the ETag of the copy
    differs from the one before the read, write the bytes that were read.
    """
    kind = media_types.content_type(payload.format)
    with suppress(ArtifactNotFound):
        if artifacts.stat(payload.original).content_type == kind:
            return
    if uploaded and uploaded.key.startswith(keys.QUARANTINE):
        with suppress(ArtifactNotFound):  # another delivery has moved the object
            artifacts.copy(uploaded.key, payload.original, content_type=kind)
            if artifacts.stat(payload.original).etag == uploaded.etag:
                return
    artifacts.put(payload.original, data, content_type=kind)


def _stored_result(sha256: str, artifacts: ArtifactStore) -> Validated | None:
    try:
        return Validated.model_validate_json(
            artifacts.get(keys.result(sha256, VALIDATION.name, VALIDATION.version))
        )
    except (ArtifactNotFound, ValidationError):
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
