"""What the gateway answers, as frozen values. ``raw`` is always the whole document.

docs/rest.md says what the fields mean. What this version does not know is in ``raw``, and what a
gateway does not say is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, TypeVar

Document = Mapping[str, Any]
K = TypeVar("K")

FINAL = frozenset({"completed", "failed", "deleted"})
"""No wanted stage is at work any more."""


@dataclass(frozen=True)
class Failure:
    """Which stage failed and why; ``code`` is stable, ``message`` is for people."""

    stage: str
    code: str
    message: str


@dataclass(frozen=True)
class Stage:
    """One stage of a job: ``pending``, ``completed``, ``failed`` or ``skipped``."""

    status: str
    attempts: int
    reused: bool
    started_at: datetime | None
    finished_at: datetime | None
    error: Failure | None


@dataclass(frozen=True)
class Label:
    """A class and how likely it is, 0–1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Attribute:
    """Something the garment has, ``red`` as its colour, and how sure that is, 0–1."""

    value: str
    confidence: float


@dataclass(frozen=True)
class Picture:
    """A picture at a signed link that expires; width and height in pixels, where told."""

    url: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Original:
    """The photo as it was handed over; measured upright."""

    url: str
    width: int
    height: int
    sha256: str
    format: str
    bytes: int
    animated: bool


@dataclass(frozen=True)
class Box:
    """A rectangle in 0–1 of the upright picture, from its top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Keypoint:
    """A point of the body or the garment, in 0–1 of the upright picture."""

    name: str
    x: float
    y: float
    confidence: float


@dataclass(frozen=True)
class Pose:
    """Where the garment is, and whether it is ``worn``, ``laid-out`` or there is ``none``."""

    subject: str
    keypoints: Sequence[Keypoint]
    box: Box | None


@dataclass(frozen=True)
class Shot:
    """One view, cut from the original."""

    label: str
    url: str
    box: Box | None
    reason: str
    confidence: float


@dataclass(frozen=True)
class Job:
    """One photo being processed."""

    job_id: str
    status: str
    run: int
    lane: str
    group: str | None
    metadata: Document
    stages: Mapping[str, Stage]
    error: Failure | None
    caption: str | None
    description: str | None
    attributes: Mapping[str, Attribute]
    needs_review: bool | None
    top5: Sequence[Label]
    pose: Pose | None
    shots: Sequence[Shot]
    thumbnails: Sequence[Picture]
    thumbhash: str | None
    annotated: Picture | None
    cutout: Picture | None
    original: Original | None
    models: Mapping[str, str]
    submitted_at: datetime | None
    updated_at: datetime | None
    raw: Document

    @property
    def finished(self) -> bool:
        """Whether it is at its end, be it a good or a bad one."""
        return self.status in FINAL


def job(document: Document) -> Job:
    """Read a job as `GET /v1/jobs/{job_id}` answers it."""
    get = document.get
    return Job(
        job_id=document["job_id"],
        status=document["status"],
        run=get("run", 1),
        lane=get("lane", "interactive"),
        group=get("group"),
        metadata=get("metadata") or {},
        stages={name: _stage(each) for name, each in (get("stages") or {}).items()},
        error=failure(get("error")),
        caption=get("caption"),
        description=get("description"),
        attributes={n: _flat(Attribute, each) for n, each in (get("attributes") or {}).items()},
        needs_review=get("needs_review"),
        top5=_each(Label, get("top5")),
        pose=_pose(get("pose")),
        shots=tuple(_shot(each) for each in get("shots") or ()),
        thumbnails=pictures(get("thumbnails")),
        thumbhash=get("thumbhash"),
        annotated=_maybe(Picture, get("annotated")),
        cutout=_maybe(Picture, get("cutout")),
        original=_maybe(Original, get("original")),
        models=get("models") or {},
        submitted_at=moment(get("submitted_at")),
        updated_at=moment(get("updated_at")),
        raw=document,
    )


def failure(document: Document | None) -> Failure | None:
    """Read why something failed."""
    return _maybe(Failure, document)


def pictures(documents: Sequence[Document] | None) -> tuple[Picture, ...]:
    """Read pictures."""
    return _each(Picture, documents)


def moment(text: str | None) -> datetime | None:
    """Read a time as the gateway writes it."""
    return None if text is None else datetime.fromisoformat(text)


def _stage(document: Document) -> Stage:
    return Stage(
        status=document["status"],
        attempts=document.get("attempts", 0),
        reused=document.get("reused", False),
        started_at=moment(document.get("started_at")),
        finished_at=moment(document.get("finished_at")),
        error=failure(document.get("error")),
    )


def _pose(document: Document | None) -> Pose | None:
    if document is None:
        return None
    points = _each(Keypoint, document.get("keypoints"))
    return Pose(document["subject"], points, _maybe(Box, document.get("box")))


def _shot(document: Document) -> Shot:
    return Shot(
        label=document["label"],
        url=document["url"],
        box=_maybe(Box, document.get("box")),
        reason=document.get("reason", ""),
        confidence=document.get("confidence", 0.0),
    )


def _each(kind: type[K], documents: Sequence[Document] | None) -> tuple[K, ...]:
    return tuple(_flat(kind, document) for document in documents or ())


def _maybe(kind: type[K], document: Document | None) -> K | None:
    return None if document is None else _flat(kind, document)


def _flat(kind: type[K], document: Document) -> K:
    """Make a dataclass of the fields of the same names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: document.get(name) for name in names})
