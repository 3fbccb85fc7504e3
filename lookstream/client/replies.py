"""The smaller answers of the gateway, as frozen values with their document as ``raw``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lookstream.client.results import (
    Document,
    Failure,
    Job,
    Label,
    Picture,
    failure,
    job,
    moment,
    pictures,
)
from lookstream.errors import LookstreamError, RequestRefused


@dataclass(frozen=True)
class Accepted:
    """A photo that will be processed. ``replayed``: the gateway had taken it before."""

    job_id: str
    status: str
    replayed: bool
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Outcome:
    """What became of one photo of many: its job, or why there is none.

    ``job`` is there when it was waited for, ``accepted`` when it was handed over.
    """

    photo: str
    accepted: Accepted | None = None
    job: Job | None = None
    error: LookstreamError | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None or (self.job is not None and self.job.status != "completed")

    @property
    def status(self) -> str:
        known = self.job or self.accepted
        return "refused" if known is None else known.status

    @property
    def raw(self) -> dict[str, object]:
        """The job, or what is known of it, with the photo that it was made of."""
        told: dict[str, object] = {"photo": self.photo}
        if known := self.job or self.accepted:
            told.update(known.raw)
        if self.error is not None:
            problem = self.error.problem if isinstance(self.error, RequestRefused) else {}
            told["error"] = problem or {"code": self.error.code, "detail": str(self.error)}
        return told


@dataclass(frozen=True)
class JobEvent:
    """A change of a job. ``event_id`` is what a stream can be resumed after.

    ``revision`` grows with every change of the job.
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
    """How many jobs there are by status; ``capped`` when counting stopped early."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    capped: bool
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Page:
    """Some jobs of a list, and the cursor of those that follow, None at the end."""

    jobs: Sequence[Job]
    cursor: str | None
    counts: Counts | None
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Similar:
    """A job whose photo is like another's; ``similarity`` is the cosine, -1 to 1."""

    job_id: str
    similarity: float
    caption: str | None
    group: str | None
    thumbnails: Sequence[Picture]
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Rerun:
    """A job that is processed again; ``run`` is the number of this time."""

    job_id: str
    run: int
    status: str
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Prediction:
    """The five likeliest classes of a picture on the web, best first."""

    image_url: str
    top5: Sequence[Label]
    job_id: str
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Replay:
    """A topic read again: ``running``, ``completed`` or ``failed``, and how far it is."""

    replay_id: str
    status: str
    read: int
    matched: int
    published: int
    skipped: int
    raw: Document = field(repr=False)


@dataclass(frozen=True)
class Info:
    """Where the running system is, secrets left out."""

    gateway: str
    kafka: str
    artifacts: str
    jobs: str
    raw: Document = field(repr=False)


def accepted(document: Document, *, replayed: bool) -> Accepted:
    """Read one entry of a submission."""
    return Accepted(document["job_id"], document["status"], replayed, document)


def job_event(document: Document, event_id: str) -> JobEvent:
    """Read the data of an event of a stream."""
    return JobEvent(
        job_id=document["job_id"],
        status=document["status"],
        run=document.get("run", 1),
        revision=document.get("revision", 0),
        group=document.get("group"),
        updated_at=moment(document.get("updated_at")),
        stages=document.get("stages") or {},
        error=failure(document.get("error")),
        event_id=event_id,
        raw=document,
    )


def page(document: Document) -> Page:
    """Read a page of a list of jobs."""
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
            group=each.get("group"),
            thumbnails=pictures(each.get("thumbnails")),
            raw=each,
        )
        for each in document["jobs"]
    ]


def rerun(document: Document) -> Rerun:
    """Read the answer to a job that is to run again."""
    return Rerun(document["job_id"], document["run"], document["status"], document)


def prediction(document: Document) -> Prediction:
    """Read the answer of `POST /v1/predict`."""
    pairs = zip(document["top5"], document["prob5"], strict=True)
    top5 = tuple(Label(label, probability) for label, probability in pairs)
    return Prediction(document["imageUrl"], top5, document["job_id"], document)


def replay(document: Document) -> Replay:
    """Read a replay, as started or as it is now."""
    number = document.get
    return Replay(
        replay_id=document["replay_id"],
        status=document["status"],
        read=number("read", 0),
        matched=number("matched", 0),
        published=number("published", 0),
        skipped=number("skipped", 0),
        raw=document,
    )


def info(document: Document) -> Info:
    """Read where the running system is."""
    where = document.get
    return Info(
        gateway=where("gateway", ""),
        kafka=where("kafka", ""),
        artifacts=where("artifacts", ""),
        jobs=where("jobs", ""),
        raw=document,
    )
