"""Replay a topic: the operator's tool for processing again what was processed before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, FastAPI, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.deps import GatewayDeps
from gateway.http.json_body import body_of, read_json
from gateway.http.problem_responses import documented
from gateway.http.problems import Problem
from gateway.replays.service import ReplayCommand, ReplayService
from gateway.replays.state import ReplayError, ReplayState
from gateway.submissions.options import StageNames, stage_names
from gateway.submissions.schema import stages_schema
from gateway.views.models import Shape
from streams.consumers.replay import EventFilter, ReplayPlan, parse_time
from streams.events.models import JobId
from streams.stages.graph import StageGraph

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


def _moment(value: Any) -> Any:
    return parse_time(value, datetime.now(UTC)) if isinstance(value, str) else value


Moment = Annotated[
    datetime,
    BeforeValidator(_moment, json_schema_input_type=str),
    Field(
        description="ISO 8601, or back from now: `90s`, `30m`, `2h`, `7d`, `4w`",
        json_schema_extra={"pattern": MOMENT},
    ),
]
OneJob = Annotated[JobId, Field(json_schema_extra={"format": "uuid"})]
Scalar = str | bool | int | float


class ReplayRequest(BaseModel):
    """Which events of a topic, and what is to be made of them."""

    model_config = ConfigDict(frozen=True, strict=True)

    topic: str = Field(max_length=249, description="one that a stage reads")
    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")
    job_ids: list[OneJob] = Field(default_factory=list, description="these jobs only")
    match: dict[str, Scalar] = Field(
        default_factory=dict,
        max_length=20,
        description="fields of the event, dotted for what lies deeper, and what they say",
    )
    stages: StageNames = Field(default_factory=list)
    rate: float | None = Field(
        default=None, ge=0.01, le=1e6, allow_inf_nan=False, description="events a second, at most"
    )
    force: bool = Field(default=False, description="compute again what is known already")
    dry_run: bool = Field(default=False, description="read and count, publish nothing")


class ReplayLinks(Shape):
    """Where to read on."""

    self: str


class ReplayAccepted(Shape):
    """A replay that has begun."""

    replay_id: str
    status: Literal["running"] = "running"
    links: ReplayLinks


class ReplayView(Shape):
    """A replay as it is. `skipped` are records that are no events, and jobs that are not there
    any more, or want nothing of what the topic leads to."""

    replay_id: str
    status: Literal["running", "completed", "failed"]
    topic: str
    dry_run: bool
    read: int = Field(description="records read")
    matched: int = Field(description="jobs with an event that was asked for")
    published: int = Field(description="events published again, one a job")
    skipped: int
    error: ReplayError | None = Field(default=None, exclude_if=lambda error: error is None)
    started_at: datetime
    finished_at: datetime | None


class ReplayRoutes:
    """`POST /v1/replays` and `GET /v1/replays/{replay_id}`."""

    def __init__(self, deps: GatewayDeps) -> None:
        self._graph = deps.graph
        self._replays = ReplayService(deps)

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/replays", tags=["operations"], lifespan=self._living)
        router.add_api_route(
            "",
            self.start,
            methods=["POST"],
            status_code=202,
            response_model=ReplayAccepted,
            responses={
                202: {"description": "it has begun"},
                **documented(*START_PROBLEMS),
            },
            openapi_extra=_body(self._graph),
            operation_id="startReplay",
            summary="Replay a topic",
        )
        router.add_api_route(
            "/{replay_id}",
            self.read,
            methods=["GET"],
            response_model=ReplayView,
            responses={
                200: {
                    "content": {"application/json": {"example": PROGRESS}},
                    "description": "the replay as it is",
                },
                **documented("replay-not-found", "store-unavailable"),
            },
            operation_id="readReplay",
            summary="Read how a replay fares",
        )
        return router

    @asynccontextmanager
    async def _living(self, _app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._replays.close()

    async def start(self, request: Request) -> Response:
        """Publish each job's newest event of the topic again, with its run raised.

        Every stage from the topic on works again, unless it has a result for the same photo and
        version; results of the run before stay until the new ones are there.
        """
        asked = await read_json(request, ReplayRequest)
        order = ReplayCommand(
            topic=asked.topic,
            plan=ReplayPlan.of(self._graph, asked.topic, stage_names(asked.stages)),
            selection=_selection(asked),
            rate=asked.rate,
            force=asked.force,
            dry_run=asked.dry_run,
        )
        state = await self._replays.start(order)
        links = ReplayLinks(self=f"/v1/replays/{state.replay_id}")
        view = ReplayAccepted(replay_id=state.replay_id, links=links)
        return JSONResponse(view.model_dump(mode="json"), status_code=202)

    async def read(
        self,
        response: Response,
        replay_id: Annotated[str, Path(description="as answered by `POST /v1/replays`")],
    ) -> ReplayView:
        """Answer with the counts so far. A replay whose gateway ended has failed."""
        state = await self._replays.find(_canonical(replay_id))
        if state is None:
            raise Problem("replay-not-found", f"no replay {replay_id}")
        response.headers["Cache-Control"] = "no-store"
        return _view(state)


START_PROBLEMS = (
    "malformed-body",
    "too-many-replays",
    "too-large",
    "unsupported-media-type",
    "invalid-request",
    "unknown-stage",
    "topic-not-replayable",
    "store-unavailable",
)


EXAMPLES: dict[str, Any] = {
    "all": {"topic": "image-validated"},
    "some": {
        "topic": "image-validated",
        "from": "7d",
        "match": {"format": "HEIF"},
        "stages": ["captioning"],
        "rate": 20,
    },
    "look": {"topic": "image-submitted", "from": "2h", "dry_run": True},
}


def _body(graph: StageGraph) -> dict[str, Any]:
    body = body_of(ReplayRequest, EXAMPLES, required=True)
    properties = body["requestBody"]["content"]["application/json"]["schema"]["properties"]
    topics = dict.fromkeys(node.consumes for node in graph.nodes.values())
    properties["topic"]["enum"] = list(topics)
    properties["stages"] = stages_schema(graph.names)
    return body


def _selection(asked: ReplayRequest) -> EventFilter:
    match = {path: _as_text(value) for path, value in asked.match.items()}
    return EventFilter(asked.since, asked.until, frozenset(asked.job_ids), match)


def _as_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _canonical(replay_id: str) -> str:
    try:
        return str(UUID(replay_id))
    except ValueError:
        raise Problem("replay-not-found", "a replay id is a UUID") from None


def _view(state: ReplayState) -> ReplayView:
    return ReplayView.model_validate(state.model_dump(exclude={"heard_at"}))
