"""The objects that routes share, and the dependency that gives them to a route."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.http.limits import Memory
from gateway.http.metrics import Metrics
from gateway.http.readiness import Readiness
from gateway.live.live_jobs import LiveJobs
from gateway.pages.render import Pages
from gateway.replays.service import ReplayService
from gateway.search.similar import SimilarJobs
from gateway.submissions.backlog import Backlog
from gateway.submissions.body import SubmissionReader
from gateway.submissions.submitter import SubmissionPublisher, Submitter


@dataclass(frozen=True)
class Services:
    """What the gateway builds from its `GatewayDeps`, once per application."""

    deps: GatewayDeps
    metrics: Metrics
    reader: SubmissionReader
    submitter: Submitter
    publisher: SubmissionPublisher
    similar: SimilarJobs
    live: LiveJobs
    replays: ReplayService
    readiness: Readiness
    pages: Pages

    @classmethod
    def of(cls, deps: GatewayDeps) -> Services:
        """Build the services."""
        metrics = Metrics()
        metrics.sse_listeners.set_function(lambda: deps.job_updates.feed.listeners)

        async def check_artifacts() -> None:
            await run_in_threadpool(deps.artifacts.check)

        publisher = SubmissionPublisher(deps, metrics, Backlog(deps.publisher))
        metrics.backlog.set_function(lambda: len(publisher.backlog))
        checks = {
            "kafka": deps.publisher.check,
            "artifacts": check_artifacts,
            "jobs": deps.jobs.check,
        }
        return cls(
            deps=deps,
            metrics=metrics,
            reader=SubmissionReader(deps.limits, Memory(deps.limits.memory)),
            submitter=Submitter(deps, metrics, publisher),
            publisher=publisher,
            similar=SimilarJobs(deps.jobs),
            live=LiveJobs(deps.job_updates.feed, deps.jobs),
            replays=ReplayService(deps),
            readiness=Readiness(checks),
            pages=Pages(),
        )

    def link(self, key: str, filename: str = "") -> str:
        """Return a signed link to an artifact, which browsers save as ``filename``."""
        return self.deps.signer.sign(key, expires_s=self.deps.link_expires_s, filename=filename)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Gateway = Annotated[Services, Depends(_services)]
"""The dependency through which a route reaches everything that it needs."""

JobIdPath = Annotated[str, Path(description="as returned by `POST /v1/jobs`")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        description="send the same key with the same request: for 24 h the same jobs are returned",
        json_schema_extra={"minLength": 1, "maxLength": 255, "pattern": r"^[\x20-\x7e]+$"},
    ),
]
WaitQuery = Annotated[
    float,
    Query(
        ge=0,
        le=60,
        allow_inf_nan=False,
        description="seconds to wait until the job is completed or failed",
    ),
]
REPLAYED = {"Idempotent-Replayed": "true"}


def replayed_header(description: str) -> dict[str, Any]:
    """Document the header of a repeated answer."""
    schema = {"type": "string", "const": "true"}
    return {"Idempotent-Replayed": {"description": description, "schema": schema}}
