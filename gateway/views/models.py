"""The models of REST answers. The OpenAPI document contains them. They are not the events."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.http.problems import ProblemDocument
from streams.events.models import Attribute, Box, Item, Keypoint, Label

Status = Literal["pending", "processing", "completed", "failed"]


class Shape(BaseModel):
    """A frozen part of an answer."""

    model_config = ConfigDict(frozen=True)


class Failure(Shape):
    """The failed stage and the reason. ``code`` is stable; ``message`` is for people."""

    stage: str
    code: str
    message: str


class StageView(Shape):
    """One stage of a job. `skipped` means that a stage it needs has failed."""

    status: Literal["pending", "completed", "failed", "skipped"]
    run: int = Field(description="the run of this result")
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    reused: bool = Field(description="the result was cached for this content")
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)


class Picture(Shape):
    """A picture at a signed link that expires."""

    url: str


class SizedPicture(Picture):
    width: int
    height: int


class Original(SizedPicture):
    """The submitted photo. ``width`` and ``height`` are of the upright picture, in pixels.

    ``url`` leads to a copy in full size without metadata (place, time, camera). Some jobs have no
    such copy, for example jobs of earlier versions until they run again; their ``url`` leads to a
    copy of at most 1024 px. ``sha256``, ``format`` and ``bytes`` are those of the submitted file.
    """

    sha256: str
    format: str
    bytes: int
    animated: bool


class ShotView(Picture):
    """One view, cropped from the original. ``box`` is in 0–1 of the upright picture."""

    label: str
    box: Box
    reason: str
    confidence: float


class Pose(Shape):
    """The garment's position. Points and box are in 0–1 of the upright picture."""

    subject: Literal["worn", "laid-out", "none"]
    keypoints: list[Keypoint]
    box: Box | None


class Links(Shape):
    """Paths on the gateway: the job itself, and its page."""

    self: str
    page: str


class JobView(Shape):
    """A job: one photo that is processed. Results that do not exist yet are null or empty.

    `completed` means that every wanted stage has completed. If a stage fails, the job is `failed`,
    ``error`` names the stage, and the results of other stages stay.
    """

    model_config = ConfigDict(frozen=True, title="Job")

    job_id: str
    status: Status
    run: int = Field(description="the number of the current run, from 1")
    lane: str
    stages: dict[str, StageView]
    error: Failure | None = Field(default=None, exclude_if=lambda error: error is None)
    caption: str | None = Field(description="a title of at most 80 characters")
    description: str | None
    attributes: dict[str, Attribute]
    needs_review: bool | None
    listings: dict[str, dict[str, str]] = Field(
        description="texts for `ebay`, `poshmark`, `vinted` and `depop`"
    )
    item: int | None = Field(
        default=None, description="the index in `items` of the garment that the caption describes"
    )
    top5: list[Label] = Field(description="the five most likely classes, best first")
    items: list[Item] = Field(default=[], description="the garments, the main one first")
    pose: Pose | None
    shots: list[ShotView]
    thumbnails: list[SizedPicture]
    thumbhash: str | None = Field(description="base64; shown until the thumbnail loads")
    annotated: SizedPicture | None
    cutout: Picture | None
    original: Original | None
    models: dict[str, str] = Field(description="the model of each stage")
    results: dict[str, Any] = Field(description="the payloads of added stages, by stage")
    source: dict[str, str]
    filename: str | None = Field(
        description="the name that the client gave to the photo, or the name in its URL"
    )
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
    """A rejected photo. It does not affect the other photos of the request."""

    error: ProblemDocument


class SubmissionView(Shape):
    """One entry per photo, in the order of the request."""

    model_config = ConfigDict(frozen=True, title="Submission")

    jobs: list[AcceptedEntry | RejectedEntry]


class RunView(Shape):
    """A new run. Results of the earlier run stay until the new results are ready."""

    model_config = ConfigDict(frozen=True, title="Run")

    job_id: str
    run: int
    status: Status
    links: Links


class Counts(Shape):
    """The number of jobs by status. ``capped`` means that there are more than ``total`` jobs."""

    total: int
    pending: int
    processing: int
    completed: int
    failed: int
    capped: bool


class JobListView(Shape):
    """A page of jobs, newest first. ``cursor`` requests the next page, null on the last."""

    model_config = ConfigDict(frozen=True, title="JobList")

    jobs: list[JobView]
    cursor: str | None
    counts: Counts | None = Field(default=None, exclude_if=lambda counts: counts is None)


class SimilarView(Shape):
    """A job with a similar photo. Results that do not exist yet are null or empty."""

    job_id: str
    similarity: float = Field(ge=-1, le=1, description="the cosine; 1 for the same photo")
    caption: str | None
    filename: str | None
    group: str | None
    thumbnails: list[SizedPicture]
    thumbhash: str | None
    links: Links


class SimilarListView(Shape):
    """The most similar photos, best first, each once."""

    model_config = ConfigDict(frozen=True, title="SimilarList")

    jobs: list[SimilarView]


class UploadView(Shape):
    """An upload link: send the bytes by ``method`` to ``url`` with ``headers``."""

    model_config = ConfigDict(frozen=True, title="Upload")

    id: str = Field(description="the id of the future job")
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    object: str = Field(description="the object key, for your own `image-submitted` event")
    expires_at: datetime


class StoredView(Shape):
    """A stored object."""

    model_config = ConfigDict(frozen=True, title="Stored")

    object: str
    bytes: int


class PredictionView(Shape):
    """The five most likely classes of a photo, best first, and their probabilities."""

    model_config = ConfigDict(frozen=True, title="Prediction")

    imageUrl: str
    top5: list[str]
    prob5: list[float]
    job_id: str
