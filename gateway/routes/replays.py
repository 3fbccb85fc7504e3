"""Replay a topic: process jobs again from earlier events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.http.openapi import REPLAY_LINKS
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id
from gateway.replays.service import ReplayCommand
from gateway.replays.state import ReplayError, ReplayState
from gateway.services import Gateway
from gateway.submissions.options import StageNames, stage_names
from gateway.views.models import Shape
from streams.consumers.replay import EventFilter, ReplayPlan, parse_time
from streams.events.models import JobId

router = APIRouter(prefix="/v1/replays", tags=["operations"])

MOST_FIELDS = 20
ID = "01a20801-845d-768b-82dd-f448762e99cb"
MOMENT = (
    r"^(\d{1,9}[smhdw]|\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?)$"
)
PROGRESS: dict[str, Any] = {
    "replay_id": ID,
    "status": "running",
    "topic": "image-validated",
    "dry_run": False,
    "read": 812,
    "matched": 200,
    "published": 100,
    "skipped": 0,
    "started_at": "2026-01-31T12:00:00Z",
    "finished_at": None,
}


def _absolute_or_relative_time(value: Any) -> Any:
    return parse_time(value, datetime.now(UTC)) if isinstance(value, str) else value


def _not_longer(value: Any) -> Any:
    """Refuse a long object before its fields are validated."""
    if isinstance(value, dict) and len(value) > MOST_FIELDS:
        raise ValueError(f"at most {MOST_FIELDS} fields")
    return value


Moment = Annotated[
    datetime,
    BeforeValidator(_absolute_or_relative_time, json_schema_input_type=str),
    Field(
        description="ISO 8601, or a time before now: `90s`, `30m`, `2h`, `7d`, `4w`",
        json_schema_extra={"pattern": MOMENT},
    ),
]
OneJob = Annotated[JobId, Field(json_schema_extra={"format": "uuid"})]
Scalar = str | bool | int | float


class ReplayRequest(BaseModel):
    """The events of a topic to publish again, and how."""

    model_config = ConfigDict(frozen=True, strict=True)

    topic: str = Field(max_length=249, description="a topic that a stage reads")
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")
    job_ids: Annotated[list[OneJob], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=20_000, description="only these jobs"
    )
    match: Annotated[dict[str, Scalar], BeforeValidator(_not_longer)] = Field(
        default_factory=dict,
        max_length=MOST_FIELDS,
        description="fields of the event and their values; dots separate nested fields",
    )
    stages: StageNames = Field(default_factory=list)
    rate: float | None = Field(
        default=None,
        ge=0.01,
        le=1e6,
        allow_inf_nan=False,
        description="the largest number of events per second",
    )
    force: bool = Field(default=False, description="compute known results again")
    dry_run: bool = Field(default=False, description="count the events, and publish nothing")


class ReplayLinks(Shape):
    """The path of the replay."""

    self: str


class ReplayAccepted(Shape):
    """A replay that has started."""

    replay_id: str
    status: Literal["running"] = "running"
    links: ReplayLinks


class ReplayView(Shape):
    """A replay's status. `skipped` counts records that are no events, jobs that no longer exist,
    and jobs that want no stage that reads the topic."""

    replay_id: str
    status: Literal["running", "completed", "failed"]
    topic: str
    dry_run: bool
    read: int = Field(description="records read")
    matched: int = Field(description="jobs with a matching event")
    published: int = Field(description="events published again, one per job")
    skipped: int
    error: ReplayError | None = Field(default=None, exclude_if=lambda error: error is None)
    started_at: datetime
    finished_at: datetime | None


START_PROBLEMS = (
    "malformed-body",
    "too-many-replays",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "unknown-stage",
    "topic-not-replayable",
    "store-unavailable",
    "storage-full",
)


EXAMPLES: dict[str, Any] = {
    "all": {"value": {"topic": "image-validated"}},
    "some": {
        "value": {
            "topic": "image-validated",
            "from": "7d",
            "match": {"format": "HEIF"},
            "stages": ["captioning"],
            "rate": 20,
        }
    },
    "look": {"value": {"topic": "image-submitted", "from": "2h", "dry_run": True}},
}


@router.post(
    "",
    status_code=202,
    response_model=ReplayAccepted,
    responses={
        202: {"description": "the replay has started", "links": REPLAY_LINKS},
        **documented(*START_PROBLEMS),
    },
    operation_id="startReplay",
    summary="Replay a topic",
)
async def start(
    gateway: Gateway, asked: Annotated[ReplayRequest, Body(openapi_examples=EXAMPLES)]
) -> Response:
    """Publish each job's newest event of the topic again, as a new run.

    Every stage from the topic onwards runs again, unless it has a result for the same photo and
    version. Results of the earlier run stay until the new results are ready.
    """
    order = ReplayCommand(
        topic=asked.topic,
        plan=ReplayPlan.of(gateway.deps.graph, asked.topic, stage_names(asked.stages)),
        selection=_selection(asked),
        rate=asked.rate,
        force=asked.force,
        dry_run=asked.dry_run,
    )
    state = await gateway.replays.start(order)
    links = ReplayLinks(self=f"/v1/replays/{state.replay_id}")
    view = ReplayAccepted(replay_id=state.replay_id, links=links)
    return JSONResponse(view.model_dump(mode="json"), status_code=202)


@router.get(
    "/{replay_id}",
    responses={
        200: {
            "content": {"application/json": {"example": PROGRESS}},
            "description": "the replay",
        },
        **documented("replay-not-found", "store-unavailable"),
    },
    operation_id="readReplay",
    summary="Get a replay's status",
)
async def read(
    gateway: Gateway,
    response: Response,
    replay_id: Annotated[str, Path(description="as returned by `POST /v1/replays`")],
) -> ReplayView:
    """Return the counts so far. If the gateway of a replay has stopped, the replay has failed."""
    state = await gateway.replays.find(canonical_id(replay_id, "replay-not-found"))
    if state is None:
        raise Problem("replay-not-found", f"no replay {replay_id}")
    response.headers["Cache-Control"] = "no-store"
    return _view(state)


def _selection(asked: ReplayRequest) -> EventFilter:
    match = {path: _as_text(value) for path, value in asked.match.items()}
    return EventFilter(asked.since, asked.until, frozenset(asked.job_ids), match)


def _as_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _view(state: ReplayState) -> ReplayView:
    return ReplayView.model_validate(state.model_dump(exclude={"heard_at"}))
