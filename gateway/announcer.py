"""Record submissions and publish them, in this order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.deps import GatewayDeps
from gateway.metrics import Metrics
from storage.erasure import erase
from storage.jobs import Deleted, Job, Submitted
from streams.errors import BrokerUnavailable, EventTooLarge
from streams.events import Event, ImageSubmitted

log = structlog.get_logger(__name__)

PUBLISH_WITHIN_S = 5.0


@dataclass(frozen=True)
class Announcer:
    """Tells the job store, then Kafka. Kafka being away is no reason to refuse: what is recorded
    and not published is what the sweeper looks for."""

    deps: GatewayDeps
    metrics: Metrics

    async def record(self, submissions: Sequence[Submitted]) -> list[Job]:
        """Record submissions; return the jobs that are new, or changed by it."""
        return await self.deps.jobs.apply(submissions) if submissions else []

    async def publish(self, events: Sequence[Event], traceparent: str | None = None) -> bool:
        """Publish events; return False where Kafka is away. Raises `EventTooLarge`."""
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self.deps.publisher.publish_all([(event, traceparent) for event in events])
        except (BrokerUnavailable, TimeoutError) as error:
            log.warning(
                "recorded but not published",
                action="announce",
                topics=sorted({event.topic for event in events}),
                jobs=[event.job_id for event in events],
                reason=str(error) or "no acknowledgement in time",
            )
            return False
        return True

    async def submit(
        self, events: Sequence[ImageSubmitted], at: datetime, traceparent: str | None = None
    ) -> None:
        """Record and publish new jobs. Raises `EventTooLarge`, and then none of them is left."""
        jobs = await self.record([submitted(event, at) for event in events])
        try:
            if not await self.publish(events, traceparent):
                self.metrics.unpublished(len(events))
        except EventTooLarge:
            await self.deps.jobs.apply([Deleted(job.job_id, job.run, at) for job in jobs])
            for job in jobs:
                await erase(self.deps.jobs, self.deps.artifacts, job)
            raise


def submitted(event: ImageSubmitted, at: datetime) -> Submitted:
    """Return what the job store keeps of a submission; its stages are all that it wants."""
    return Submitted(
        job_id=event.job_id,
        run=event.run,
        at=at,
        source=event.source.model_dump(exclude_none=True),
        wanted=event.stages,
        lane=event.lane,
        owner=event.owner,
        group=event.group,
        metadata=event.metadata,
        idempotency_key=event.idempotency_key,
        force=event.force,
    )
