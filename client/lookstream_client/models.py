"""The gateway's answers as frozen values. ``raw`` is the complete document.

docs/rest.md explains the fields. A field that the gateway does not send is None or empty. A field
that this version does not know is in ``raw``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, TypeVar

from lookstream_client.errors import LookstreamError, RequestRefused

Document = Mapping[str, Any]
K = TypeVar("K")

FINAL = frozenset({"completed", "failed", "deleted"})
"""Statuses of a job that has finished."""


@dataclass(frozen=True)
class Failure:
    """The failed stage, a stable ``code``, and a readable ``message``."""

    stage: str
    code: str
    message: str


@dataclass(frozen=True)
class Stage:
    """One stage of a job: ``pending``, ``completed``, ``failed`` or ``skipped``."""

    status: str
    run: int
    attempts: int
    reused: bool
    started_at: datetime | None
    finished_at: datetime | None
    error: Failure | None


@dataclass(frozen=True)
class Label:
    """A class and its probability, 0–1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Attribute:
    """An attribute of the garment, such as ``red`` for colour, and its confidence, 0–1.

    ``needs_review`` is true if a person should check the value.
    """

    value: str
    confidence: float
    needs_review: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture at a signed link that expires. ``width`` and ``height`` are in pixels."""

    url: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Original:
    """The submitted photo. ``url`` leads to a copy without metadata; ``sha256``, ``format`` and
    ``bytes`` are those of the submitted file. ``width`` and ``height`` are of the upright picture,
    in pixels."""

    url: str
    width: int
    height: int
    sha256: str
    format: str
    bytes: int
    animated: bool


@dataclass(frozen=True)
class Box:
    """A rectangle in 0–1 of the upright picture, from its top left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Item:
    """One garment of a photo: its type, its colour if it is clear, its place, and the probability
    of the type, 0–1."""

    type: str
    colour: str | None
    box: Box | None
    confidence: float


@dataclass(frozen=True)
class Keypoint:
    """A point of the body or the garment, in 0–1 of the upright picture."""

    name: str
    x: float
    y: float
    confidence: float


@dataclass(frozen=True)
class Pose:
    """Whether the garment is ``worn``, ``laid-out`` or not found (``none``), and where it is."""

    subject: str
    keypoints: Sequence[Keypoint]
    box: Box | None


@dataclass(frozen=True)
class Shot:
    """One view, cropped from the original."""

    label: str
    url: str
    box: Box | None
    reason: str
    confidence: float


@dataclass(frozen=True)
class Links:
    """Paths on the gateway: the job itself, and its page."""

    self: str
    page: str


@dataclass(frozen=True)
class Job:
    """One photo and its results.

    ``listings`` are the texts for each marketplace: ``listings["ebay"]["title"]``. ``items`` are
    the garments, the main one first; ``item`` is the index of the garment that the caption
    describes.
    ``results`` are the payloads of added stages, by stage.
    """

    job_id: str
    status: str
    run: int
    lane: str
    group: str | None
    metadata: Document
    source: Mapping[str, str]
    filename: str | None
    stages: Mapping[str, Stage]
    error: Failure | None
    caption: str | None
    description: str | None
    attributes: Mapping[str, Attribute]
    needs_review: bool | None
    listings: Mapping[str, Mapping[str, str]]
    item: int | None
    top5: Sequence[Label]
    items: Sequence[Item]
    pose: Pose | None
    shots: Sequence[Shot]
    thumbnails: Sequence[Picture]
    thumbhash: str | None
    annotated: Picture | None
    cutout: Picture | None
    original: Original | None
    models: Mapping[str, str]
    results: Document
    submitted_at: datetime | None
    updated_at: datetime | None
    links: Links | None
    raw: Document = field(repr=False)

    @property
    def finished(self) -> bool:
        """Whether the job is completed, failed or deleted."""
        return self.status in FINAL


@dataclass(frozen=True)
class Accepted:
    """An accepted photo. ``replayed`` means that the same request was accepted before."""

    job_id: str
    status: str
    replayed: bool
    links: Links | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one photo of many.

    ``accepted`` is set if the gateway accepted the photo, ``job`` if the client waited for the job,
    ``error`` if the photo failed.
    """

    photo: str
    accepted: Accepted | None = None
    job: Job | None = None
    error: LookstreamError | None = None

    @property
    def failed(self) -> bool:
        """Whether the photo was refused or its job failed."""
        return self.error is not None or (self.job is not None and self.job.status != "completed")

    @property
    def status(self) -> str:
        """Return the job's last known status, or ``refused`` if there is no job."""
        known = self.job or self.accepted
        return "refused" if known is None else known.status

    @property
    def raw(self) -> dict[str, object]:
        """Return the job's document, or what is known of it, with the photo's name."""
        document: dict[str, object] = {"photo": self.photo}
        if known := self.job or self.accepted:
            document.update(known.raw)
        if self.error is not None:
            problem = self.error.problem if isinstance(self.error, RequestRefused) else {}
            document["error"] = problem or {"code": self.error.code, "detail": str(self.error)}
        return document


@dataclass(frozen=True)
class JobEvent:
    """A change of a job.

    ``revision`` grows with every change. A stream can resume after ``event_id``.
    """

    job_id: str
    status: str
    run: int
    revision: int
    group: str | None
    updated_at: datetime | None
    stages: Mapping[str, str]
    error: Failure | None
    event_id: str
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Counts:
    """The number of jobs by status. ``capped`` means that there are more than ``total``."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    capped: bool
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Page:
    """One page of a list. ``cursor`` requests the next page and is None on the last."""

    jobs: Sequence[Job]
    cursor: str | None
    counts: Counts | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Similar:
    """A job with a similar photo; ``similarity`` is the cosine, -1 to 1."""

    job_id: str
    similarity: float
    caption: str | None
    filename: str | None
    group: str | None
    thumbnails: Sequence[Picture]
    thumbhash: str | None
    links: Links | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Rerun:
    """A job that runs again; ``run`` is the number of the new run."""

    job_id: str
    run: int
    status: str
    links: Links | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Prediction:
    """The five most likely classes of a picture at a URL, best first."""

    image_url: str
    top5: Sequence[Label]
    job_id: str
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class ReplayFailure:
    """The reason why a replay failed."""

    code: str
    message: str


@dataclass(frozen=True)
class Replay:
    """A replay of a topic: ``running``, ``completed`` or ``failed``, and its progress.

    ``read`` counts records, ``matched`` jobs, ``published`` events, ``skipped`` records and jobs.
    """

    replay_id: str
    status: str
    topic: str
    dry_run: bool
    read: int
    matched: int
    published: int
    skipped: int
    error: ReplayFailure | None
    started_at: datetime | None
    finished_at: datetime | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Info:
    """Addresses of the running system, without secrets."""

    gateway: str
    kafka: str
    artifacts: str
    jobs: str
    raw: Document = field(repr=False)


def job(document: Document) -> Job:
    """Read a job as returned by `GET /v1/jobs/{job_id}`."""
    get = document.get
    return Job(
        job_id=document["job_id"],
        status=document["status"],
        run=get("run", 1),
        lane=get("lane", "interactive"),
        group=get("group"),
        metadata=get("metadata") or {},
        source=get("source") or {},
        filename=get("filename"),
        stages={name: _stage(each) for name, each in (get("stages") or {}).items()},
        error=_maybe(Failure, get("error")),
        caption=get("caption"),
        description=get("description"),
        attributes={n: _flat(Attribute, each) for n, each in (get("attributes") or {}).items()},
        needs_review=get("needs_review"),
        listings=get("listings") or {},
        item=get("item"),
        top5=_each(Label, get("top5")),
        items=tuple(_item(each) for each in get("items") or ()),
        pose=_pose(get("pose")),
        shots=tuple(_shot(each) for each in get("shots") or ()),
        thumbnails=_each(Picture, get("thumbnails")),
        thumbhash=get("thumbhash"),
        annotated=_maybe(Picture, get("annotated")),
        cutout=_maybe(Picture, get("cutout")),
        original=_maybe(Original, get("original")),
        models=get("models") or {},
        results=get("results") or {},
        submitted_at=_time(get("submitted_at")),
        updated_at=_time(get("updated_at")),
        links=_maybe(Links, get("links")),
        raw=document,
    )


def accepted(document: Document, *, replayed: bool) -> Accepted:
    """Read one entry of a submission."""
    links = _maybe(Links, document.get("links"))
    return Accepted(document["job_id"], document["status"], replayed, links, document)


def job_event(document: Document, event_id: str) -> JobEvent:
    """Read the data of a stream's event."""
    return JobEvent(
        job_id=document["job_id"],
        status=document["status"],
        run=document.get("run", 1),
        revision=document.get("revision", 0),
        group=document.get("group"),
        updated_at=_time(document.get("updated_at")),
        stages=document.get("stages") or {},
        error=_maybe(Failure, document.get("error")),
        event_id=event_id,
        raw=document,
    )


def page(document: Document) -> Page:
    """Read one page of a list of jobs."""
    counts = document.get("counts")
    return Page(
        jobs=tuple(job(each) for each in document["jobs"]),
        cursor=document.get("cursor"),
        counts=None if counts is None else _counts(counts),
        raw=document,
    )


def _counts(document: Document) -> Counts:
    number = document.get
    return Counts(
        total=number("total", 0),
        pending=number("pending", 0),
        processing=number("processing", 0),
        completed=number("completed", 0),
        failed=number("failed", 0),
        capped=number("capped", False),
        raw=document,
    )


def similar(document: Document) -> list[Similar]:
    """Read the jobs with similar photos."""
    return [
        Similar(
            job_id=each["job_id"],
            similarity=each["similarity"],
            caption=each.get("caption"),
            filename=each.get("filename"),
            group=each.get("group"),
            thumbnails=_each(Picture, each.get("thumbnails")),
            thumbhash=each.get("thumbhash"),
            links=_maybe(Links, each.get("links")),
            raw=each,
        )
        for each in document["jobs"]
    ]


def rerun(document: Document) -> Rerun:
    """Read the answer to a rerun."""
    links = _maybe(Links, document.get("links"))
    return Rerun(document["job_id"], document["run"], document["status"], links, document)


def prediction(document: Document) -> Prediction:
    """Read the answer of `POST /v1/predict`."""
    pairs = zip(document["top5"], document["prob5"], strict=True)
    top5 = tuple(Label(label, probability) for label, probability in pairs)
    return Prediction(document["imageUrl"], top5, document["job_id"], document)


def replay(document: Document) -> Replay:
    """Read the status of a replay."""
    get = document.get
    return Replay(
        replay_id=document["replay_id"],
        status=document["status"],
        topic=get("topic", ""),
        dry_run=get("dry_run", False),
        read=get("read", 0),
        matched=get("matched", 0),
        published=get("published", 0),
        skipped=get("skipped", 0),
        error=_maybe(ReplayFailure, get("error")),
        started_at=_time(get("started_at")),
        finished_at=_time(get("finished_at")),
        raw=document,
    )


def info(document: Document) -> Info:
    """Read the addresses of the running system."""
    where = document.get
    return Info(
        gateway=where("gateway", ""),
        kafka=where("kafka", ""),
        artifacts=where("artifacts", ""),
        jobs=where("jobs", ""),
        raw=document,
    )


def _stage(document: Document) -> Stage:
    return Stage(
        status=document["status"],
        run=document.get("run", 1),
        attempts=document.get("attempts", 0),
        reused=document.get("reused", False),
        started_at=_time(document.get("started_at")),
        finished_at=_time(document.get("finished_at")),
        error=_maybe(Failure, document.get("error")),
    )


def _pose(document: Document | None) -> Pose | None:
    if document is None:
        return None
    points = _each(Keypoint, document.get("keypoints"))
    return Pose(document["subject"], points, _maybe(Box, document.get("box")))


def _item(document: Document) -> Item:
    return Item(
        type=document["type"],
        colour=document.get("colour"),
        box=_maybe(Box, document.get("box")),
        confidence=document.get("confidence", 0.0),
    )


def _shot(document: Document) -> Shot:
    return Shot(
        label=document["label"],
        url=document["url"],
        box=_maybe(Box, document.get("box")),
        reason=document.get("reason", ""),
        confidence=document.get("confidence", 0.0),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _each(kind: type[K], documents: Sequence[Document] | None) -> tuple[K, ...]:
    return tuple(_flat(kind, document) for document in documents or ())


def _maybe(kind: type[K], document: Document | None) -> K | None:
    return None if document is None else _flat(kind, document)


def _flat(kind: type[K], document: Document) -> K:
    """Make a dataclass from the fields with the same names. A missing field gets its default."""
    defaults = {
        field.name: None if field.default is MISSING else field.default
        for field in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**{name: document.get(name, default) for name, default in defaults.items()})
