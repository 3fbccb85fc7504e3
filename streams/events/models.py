"""The event models: the contract with producers and consumers in any language.

Each event class names its topic; its CloudEvents type is ``lookstream.<topic>.v1``. Unknown
fields are ignored, so that an older consumer can read a newer producer's events.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from streams.events import embedding
from streams.events.filenames import Filename
from streams.events.limits import (
    DESCRIPTION,
    ITEMS,
    KEY,
    LABEL,
    LARGEST_NUMBER,
    LARGEST_RUN,
    MESSAGE,
    METADATA_BYTES,
    METADATA_ITEMS,
    NAME,
    STAGES,
    Count,
    Key,
    LabelText,
    Message,
    Moment,
    Name,
    Pixels,
    StageNames,
    few,
)

Lane = Literal["interactive", "bulk"]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Index = Annotated[int, Field(ge=0, le=ITEMS)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_MAX_DEPTH = 32


def known_lane(text: str) -> Lane:
    """Return the lane of a stored text; an unknown lane is ``interactive``."""
    return "bulk" if text == "bulk" else "interactive"


def _canonical_uuid(value: str) -> str:
    return str(UUID(value))


def _storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return ``metadata``. Raises ValueError for values that the databases cannot store: integers
    over 63 bits, more than `_MAX_DEPTH` levels, and more than `METADATA_BYTES` of JSON."""
    level: list[Any] = [metadata]
    for _ in range(_MAX_DEPTH):
        if any(isinstance(value, int) and value.bit_length() > 63 for value in level):
            raise ValueError("whole numbers have at most 63 bits")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return _small(metadata)
    raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    size = len(json.dumps(metadata, separators=(",", ":"), default=str))
    if size > METADATA_BYTES:
        raise ValueError(f"metadata has {size} bytes as JSON; {METADATA_BYTES} are allowed")
    return metadata


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else []


def _embedding(text: str) -> str:
    embedding.decode(text)
    return text


def wanted_item(metadata: Any) -> int | None:
    """Return ``item`` of a submission's metadata: the index of the garment to describe.

    Returns None if the value is not a whole number from 0, so that a client can use the name for
    its own purposes. An index over `ITEMS`, which no photo has, becomes `ITEMS`.
    """
    index = metadata.get("item") if isinstance(metadata, dict) else None
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        return None
    return min(index, ITEMS)


Metadata = Annotated[dict[str, Any], AfterValidator(_storable)]
EventMetadata = Annotated[
    dict[str, Any],
    Field(max_length=METADATA_ITEMS),
    AfterValidator(_storable),
    few(METADATA_ITEMS),
]
JobId = Annotated[
    str,
    Field(max_length=45, json_schema_extra={"format": "uuid"}),
    AfterValidator(_canonical_uuid),
]
Embedding = Annotated[
    str,
    Field(
        min_length=embedding.CHARACTERS,
        max_length=embedding.CHARACTERS,
        json_schema_extra={"contentEncoding": "base64"},
    ),
    AfterValidator(_embedding),
]


class Value(BaseModel):
    """A frozen value that ignores unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Value):
    """Fields of every event: the job, its run (from 1), and the lane."""

    topic: ClassVar[str]
    job_id: JobId
    run: int = Field(default=1, ge=1, le=LARGEST_RUN)
    lane: Lane = "interactive"


class Source(Value):
    """Where the image is: either a public ``url`` or an ``object`` key in the artifact store."""

    url: str | None = Field(default=None, max_length=4096)
    object: str | None = Field(default=None, max_length=512)

    @model_validator(mode="after")
    def _exactly_one(self) -> Source:
        if (self.url is None) == (self.object is None):
            raise ValueError("give exactly one of 'url' and 'object'")
        return self


class ImageSubmitted(Event):
    """A photo was submitted. An empty ``stages`` requests all stages."""

    topic: ClassVar[str] = "image-submitted"
    source: Source
    owner: LabelText | None = None
    group: LabelText | None = None
    stages: StageNames = ()
    metadata: EventMetadata = Field(
        default_factory=dict,
        description=f"any JSON object of at most {METADATA_BYTES:,} bytes and {_MAX_DEPTH} levels",
    )
    idempotency_key: str | None = Field(default=None, max_length=KEY)
    force: bool = False
    filename: Filename = None

    @property
    def wanted_item(self) -> int | None:
        """The index of the garment that the caption should describe; None for the main one."""
        return wanted_item(self.metadata)

    @classmethod
    def of_job(cls, job: Any, **changes: Any) -> ImageSubmitted:
        """Return the submission of ``job``, a `storage.jobs.store.Job` (streams cannot import this
        class). ``changes`` replace fields."""
        fields: dict[str, Any] = {
            "job_id": job.job_id,
            "run": job.run,
            "lane": known_lane(job.lane),
            "source": changes.get("source") or Source(**job.source),
            "owner": job.owner,
            "group": job.group,
            "stages": job.wanted,
            "metadata": dict(job.metadata),
            "idempotency_key": job.idempotency_key,
            "force": job.force,
            "filename": job.filename,
        }
        return cls(**{**fields, **changes})


class ImageDownloaded(Event):
    """A photo was downloaded from its URL to ``incoming/<job_id>``. Validation checks it next.

    ``etag`` and ``last_modified`` are the headers of the server's answer (RFC 9110). If ``sha256``
    is set, the content was stored earlier, and there is no object under ``incoming/<job_id>``.
    """

    topic: ClassVar[str] = "image-downloaded"
    source: Source
    stages: StageNames = ()
    force: bool = False
    sha256: Sha256 | None = None
    etag: str | None = Field(default=None, max_length=1024)
    last_modified: str | None = Field(default=None, max_length=1024)
    wanted_item: Index | None = None


class DownloadPostponed(ImageSubmitted):
    """A download that waits because its server is busy, or because too many downloads are in work.

    Producers must not publish this event.

    ``due`` is the earliest time of the next try. ``tries`` is the number of tries that found the
    server busy, the first of them at ``busy_since``.
    """

    topic: ClassVar[str] = "download-postponed"
    due: Moment
    tries: int = Field(default=0, ge=0, le=1_000_000)
    busy_since: Moment | None = None


class ValidationPostponed(ImageDownloaded):
    """A photo that takes long to decode, for the second consumer of validation. Producers must not
    publish this event.

    ``source`` has the URL of a download, or the object key of an upload.
    """

    topic: ClassVar[str] = "validation-postponed"


class StageResult(Event):
    """Fields of every stage's result, beside its payload.

    ``sha256`` identifies the content; ``stages`` are the stages requested in this run. ``reused``
    is true if the payload was computed earlier for the same content and version. ``wanted_item`` is
    the index of the garment that the caption should describe; None for the main garment.
    """

    sha256: Sha256
    stages: StageNames = ()
    force: bool = False
    attempts: Count = 1
    started_at: Moment | None = None
    reused: bool = False
    wanted_item: Index | None = None


class Payload(Value):
    """The part of a stage's event that depends only on the content and the stage's version."""


class Box(Value):
    """A rectangle in fractions (0–1) of the upright image, from its top left."""

    left: Unit
    top: Unit
    right: Unit
    bottom: Unit


class Validated(Payload):
    """The photo is valid. ``width`` and ``height`` are of the upright original, in pixels.

    ``copy_format`` is the format of the full-size copy without metadata; null if there is no copy.
    ``original`` and ``working`` are object keys in the artifact store.
    """

    sha256: Sha256
    perceptual_hash: Name
    original: Key
    working: Key
    width: Pixels
    height: Pixels
    format: Name
    bytes: int = Field(ge=1, le=LARGEST_NUMBER)
    animated: bool = False
    copy_format: Name | None = None


class Attribute(Value):
    """One attribute of the garment, its probability, and whether a person should check it."""

    value: LabelText
    confidence: Unit
    needs_review: bool = False


class Captioned(Payload):
    """A marketplace title of at most 80 characters, with the attributes it is made from.

    ``item`` is the index of the described garment in the items of `Classified`. It is absent if the
    caption model does not tell garments apart, and for a photo without a garment.
    """

    caption: str = Field(max_length=80)
    description: str = Field(default="", max_length=DESCRIPTION)
    attributes: Annotated[dict[Name, Attribute], Field(max_length=ITEMS), few(ITEMS)] = Field(
        default_factory=dict
    )
    needs_review: bool = False
    model: LabelText
    item: Index | None = None


class Label(Value):
    """A class and its probability."""

    label: LabelText
    probability: Unit


class Item(Value):
    """One garment of a photo: its type, its main colour if it is clear, its place, and the
    probability of the type."""

    type: LabelText
    colour: LabelText | None = None
    box: Box
    confidence: Unit


class Classified(Payload):
    """The five most probable classes, best first, the garments, and a vector for finding similar
    photos.

    ``items`` are the garments of the photo, the main one first; two shoes are one item. The list is
    empty for a photo without a garment, and in results of earlier versions.

    ``embedding`` is a vector of 128 numbers and length 1, as base64 of little-endian half floats.
    Only vectors of the same ``model`` can be compared. A model that computes no vector leaves out
    ``embedding``.
    """

    top5: Annotated[tuple[Label, ...], Field(max_length=ITEMS), few(ITEMS)]
    model: LabelText
    embedding: Embedding | None = None
    items: Annotated[tuple[Item, ...], Field(max_length=ITEMS), few(ITEMS)] = ()


class Keypoint(Value):
    """A named point in fractions (0–1) of the upright image."""

    name: Name
    x: Unit
    y: Unit
    confidence: Unit


class Posed(Payload):
    """The garment's position. ``subject`` says whether it is worn, laid out, or not found.

    ``box`` and ``cutout`` are absent if ``subject`` is ``none``.
    """

    subject: Literal["worn", "laid-out", "none"]
    keypoints: Annotated[tuple[Keypoint, ...], Field(max_length=ITEMS), few(ITEMS)] = ()
    box: Box | None = None
    cutout: Key | None = None
    model: LabelText


class Shot(Value):
    """One crop of the original: its label, object key, box and reason."""

    label: Name
    key: Key
    box: Box
    reason: Message
    confidence: Unit


class ShotsTaken(Payload):
    """The crops (shots) of the garment; the list is empty if the stage is not sure of any."""

    shots: Annotated[tuple[Shot, ...], Field(max_length=ITEMS), few(ITEMS)] = ()


class Thumbnail(Value):
    """A thumbnail; ``width`` and ``height`` are its own, in pixels."""

    width: Pixels
    height: Pixels
    key: Key


class Thumbnailed(Payload):
    """The thumbnails, and a thumbhash (base64) to show while they load."""

    thumbnails: Annotated[tuple[Thumbnail, ...], Field(max_length=ITEMS), few(ITEMS)]
    thumbhash: Name


class Drawn(Payload):
    """The image with its five most probable classes drawn on it, 1000 px wide."""

    key: Key
    width: Pixels
    height: Pixels


class ImageValidated(Validated, StageResult):
    topic: ClassVar[str] = "image-validated"


class ImageCaptioned(Captioned, StageResult):
    topic: ClassVar[str] = "image-captioned"


class ImageClassified(Classified, StageResult):
    topic: ClassVar[str] = "image-classified"


class PoseEstimated(Posed, StageResult):
    topic: ClassVar[str] = "pose-estimated"


class ShotsPostponed(PoseEstimated):
    """A photo that takes long to decode, for the second consumer of shots. Producers must not
    publish this event."""

    topic: ClassVar[str] = "shots-postponed"


class ShotsCut(ShotsTaken, StageResult):
    topic: ClassVar[str] = "shots-cut"


class ImageThumbnailed(Thumbnailed, StageResult):
    topic: ClassVar[str] = "image-thumbnailed"


class ImageAnnotated(Drawn, StageResult):
    topic: ClassVar[str] = "image-annotated"


class StageFailed(Event):
    """A stage failed.

    ``kind`` is ``rejected`` if the cause is the photo, its URL or the event, or if a caption model
    refuses the photo. It is ``error`` if the stage failed in all its tries or ended its worker.
    """

    topic: ClassVar[str] = "stage-failed"
    stage: Name
    kind: Literal["rejected", "error"]
    code: Name
    message: Message
    detail: Message = ""
    attempts: Count = 1
    started_at: Moment | None = None
    stages: StageNames = ()


class JobDeleted(Event):
    """A job was deleted. Workers skip its events, and tracking keeps only a tombstone."""

    topic: ClassVar[str] = "job-deleted"


class JobUpdated(Event):
    """The job's new state, as tracking stored it. Texts over their limits are cut."""

    topic: ClassVar[str] = "job-updated"
    status: Literal["pending", "processing", "completed", "failed", "deleted"]
    revision: int = Field(le=LARGEST_NUMBER)
    updated_at: Moment
    group: LabelText | None = None
    owner: LabelText | None = None
    stages: Annotated[dict[Name, Name], Field(max_length=STAGES), few(STAGES)] = Field(
        default_factory=dict
    )
    error: Annotated[dict[Name, Message], Field(max_length=ITEMS), few(ITEMS)] | None = None

    @classmethod
    def of_job(cls, job: Any) -> JobUpdated:
        """Return the event for the state of ``job``, a `storage.jobs.store.Job`, which streams
        cannot import.

        A job that was stored before the limits existed may exceed them, so texts and lists are cut.
        """
        error = job.error
        stages = list(job.stages.items())[:STAGES]
        return cls(
            job_id=job.job_id,
            run=job.run,
            lane=known_lane(job.lane),
            status=job.status,
            revision=job.revision,
            updated_at=job.updated_at,
            group=_cut(job.group, LABEL),
            owner=_cut(job.owner, LABEL),
            stages={name[:NAME]: state.status for name, state in stages},
            error={
                "stage": error.stage[:NAME],
                "code": error.code[:NAME],
                "message": error.message[:MESSAGE],
            }
            if error
            else None,
        )


def _cut(text: str | None, characters: int) -> str | None:
    return None if text is None else text[:characters]
