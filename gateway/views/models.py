"""The HTTP shapes of jobs, as documented in the OpenAPI document. They are not the events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.http.problems import ProblemDocument
from streams.events.models import Attribute, Box, Keypoint, Label

Status = Literal["pending", "processing", "completed", "failed"]


class Shape(BaseModel):
    """A frozen part of an answer."""

    model_config = ConfigDict(frozen=True)


class Failure(Shape):
    """Which stage failed and why; ``code`` is stable, ``message`` is for people."""

    stage: str
    code: str
    message: str


class StageView(Shape):
    """One stage of a job. `skipped` means that a stage it needs has failed."""

    status: Literal["pending", "completed", "failed", "skipped"]
    run: int = Field(description="the job's run that this is of")
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    reused: bool = Field(description="the result was known already for this content")
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)


class Picture(Shape):
    """A picture to be fetched from its signed, expiring link."""

    url: str


class SizedPicture(Picture):
    width: int
    height: int


class Original(SizedPicture):
    """The photo as it was handed over; ``width`` and ``height`` are of it upright, in pixels."""

    sha256: str
    format: str
    bytes: int
    animated: bool


class ShotView(Picture):
    """One view, cut from the original; ``box`` is in 0–1 of the upright picture."""

    label: str
    box: Box
    reason: str
    confidence: float


class Pose(Shape):
    """Where the garment is; points and box are in 0–1 of the upright picture."""

    subject: Literal["worn", "laid-out", "none"]
    keypoints: list[Keypoint]
    box: Box | None


class Links(Shape):
    """Where to read on, relative to the gateway: the job itself, and a page for people."""

    self: str
    page: str


class JobView(Shape):
    """A job: one photo being processed. What a stage has not found out yet is null or empty.

    `completed` means that every wanted stage completed; one failed stage makes the job `failed`,
    with ``error`` telling which, and the other stages' results stay in it.
    """

    model_config = ConfigDict(frozen=True, title="Job")

    job_id: str
    status: Status
    run: int = Field(description="how often it has been processed, from 1")
    lane: str
    stages: dict[str, StageView]
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)
    caption: str | None = Field(description="a title of at most 80 characters")
    description: str | None
    attributes: dict[str, Attribute]
    needs_review: bool | None
    listings: dict[str, dict[str, str]] = Field(
        description="the caption as `ebay`, `poshmark`, `vinted` and `depop` want it"
    )
    top5: list[Label] = Field(description="the five likeliest classes, best first")
    pose: Pose | None
    shots: list[ShotView]
    thumbnails: list[SizedPicture]
    thumbhash: str | None = Field(description="base64, to show before the thumbnail loads")
    annotated: SizedPicture | None
    cutout: Picture | None
    original: Original | None
    models: dict[str, str] = Field(description="which model said so, by stage")
    results: dict[str, Any] = Field(description="what stages added to this system found, by stage")
    source: dict[str, str]
    group: str | None
    metadata: dict[str, Any]
    submitted_at: datetime | None
    updated_at: datetime
    links: Links


class AcceptedEntry(Shape):
    """A photo that will be processed."""

    job_id: str
    status: Status
    links: Links


class RejectedEntry(Shape):
    """A photo that will not; the others of the request are none the worse for it."""

    error: ProblemDocument


class SubmissionView(Shape):
    """One entry for each photo, in the order they were handed over."""

    model_config = ConfigDict(frozen=True, title="Submission")

    jobs: list[AcceptedEntry | RejectedEntry]


class RunView(Shape):
    """A run that will be made; results of the run before stay until the new ones are there."""

    model_config = ConfigDict(frozen=True, title="Run")

    job_id: str
    run: int
    status: Status
    links: Links


class Counts(Shape):
    """How many jobs there are, by status; ``capped`` when a number stands for more than that."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    capped: bool


class JobListView(Shape):
    """A page of jobs, newest first; ``cursor`` asks for the next one and is null on the last."""

    model_config = ConfigDict(frozen=True, title="JobList")

    jobs: list[JobView]
    cursor: str | None
    counts: Counts | None = Field(default=None, exclude_if=lambda counts: counts is None)


class SimilarView(Shape):
    """A job whose photo is like another's; what a stage has not found out yet is null or empty."""

    job_id: str
    similarity: float = Field(ge=-1, le=1, description="the cosine: 1 for the same photo")
    caption: str | None
    group: str | None
    thumbnails: list[SizedPicture]
    thumbhash: str | None
    links: Links


class SimilarListView(Shape):
    """The most similar photos, the best first, each once."""

    model_config = ConfigDict(frozen=True, title="SimilarList")

    jobs: list[SimilarView]


class UploadView(Shape):
    """Where to put a photo's bytes: send them by ``method`` to ``url`` with these ``headers``."""

    model_config = ConfigDict(frozen=True, title="Upload")

    id: str = Field(description="the id of the job that the upload will become")
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    object: str = Field(description="the key to name in an `image-submitted` event of your own")
    expires_at: datetime


class StoredView(Shape):
    """What was put under a key."""

    model_config = ConfigDict(frozen=True, title="Stored")

    object: str
    bytes: int


class PredictionView(Shape):
    """The five likeliest classes of a photo, best first, and their probabilities."""

    model_config = ConfigDict(frozen=True, title="Prediction")

    imageUrl: str
    top5: list[str]
    prob5: list[float]
    job_id: str
