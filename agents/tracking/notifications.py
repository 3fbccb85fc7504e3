"""Intake: what clients put straight into the store becomes a submission, by the store's own word.

MinIO, and S3 by way of a bridge, publish a notification of each object that is written; the JSON is
that of S3's event notifications.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote_plus
from uuid import NAMESPACE_URL, UUID, uuid5

import structlog

from agents.runtime.dead_letters import DeadLetterPublisher
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.retry import RetryPolicy, UnavailableRetry
from storage.jobs.store import Job, JobStore
from streams.broker.records import Record
from streams.broker.topics import OBJECT_CREATED
from streams.events.models import ImageSubmitted, Source

log = structlog.get_logger()

_UPLOADS = "uploads/"


@dataclass(frozen=True)
class Put:
    """An object that was written: its key and its ETag."""

    key: str
    etag: str

    @property
    def job_id(self) -> str:
        """The upload's own id, which is in its key; for any other name one made of key and content,
        so that the same notification twice is one job and a new photo of the same name another."""
        name = self.key.removeprefix(_UPLOADS)
        try:
            if str(UUID(name)) == name:
                return name
        except ValueError:
            pass
        return str(uuid5(NAMESPACE_URL, f"{self.key}#{self.etag}"))


def uploads(notification: bytes, bucket: str) -> list[Put]:
    """Return the uploads to ``bucket`` that a notification tells of.

    Raises ValueError for what is no notification.
    """
    document = json.loads(notification)
    if not isinstance(document, dict):
        raise ValueError("a notification is a JSON object")
    if document.get("Event") == "s3:TestEvent":
        return []
    return list(_puts(document.get("Records"), bucket))


def _puts(records: Any, bucket: str) -> Iterator[Put]:
    try:
        for record in records:
            s3 = record["s3"]
            key = unquote_plus(s3["object"]["key"])
            created = "ObjectCreated:" in record["eventName"]
            if created and s3["bucket"]["name"] == bucket and key.startswith(_UPLOADS):
                yield Put(key, str(s3["object"].get("eTag", "")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not S3's notification: {error!r}") from error


class IntakeProcessor:
    """Publishes `ImageSubmitted` for each upload; what is no notification is dead-lettered.

    Another way of submitting the same upload may be first: its wishes stay.
    """

    name = "intake"
    topics = (OBJECT_CREATED,)
    batch = 100
    step_limit_s = 0.0
    last_progress = 0.0

    def __init__(
        self,
        bucket: str,
        *,
        jobs: JobStore,
        publisher: Publisher,
        metrics: StageMetrics,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._bucket = bucket
        self._jobs = jobs
        self._publisher = publisher
        self._metrics = metrics
        self._retry = UnavailableRetry(self.name, policy or RetryPolicy())
        self._dead_letters = DeadLetterPublisher(self.name, publisher, self._retry, metrics)
        metrics.initialise(self.name)

    @property
    def waiting_for(self) -> str | None:
        return self._retry.waiting_for

    async def process(self, records: Sequence[Record]) -> None:
        """Publish the submissions; the broker has them when it returns.

        One record after another: the longer between looking and publishing, the likelier another
        way of submitting comes between.
        """
        self._metrics.received.labels(self.name).inc(len(records))
        for record in records:
            events = [(event, None) for event in await self._read(record)]
            await self._retry.until_available(partial(self._publisher.publish_all, events))

    async def _read(self, record: Record) -> list[ImageSubmitted]:
        try:
            puts = uploads(record.value or b"", self._bucket)
            found = [submission(put, await self._known(put.job_id)) for put in puts]
            return [event for event in found if event]
        except (ValueError, RecursionError) as error:
            log.warning(
                "record_undecodable",
                topic=record.topic,
                stage=self.name,
                partition=record.partition,
                offset=record.offset,
                reason=str(error),
            )
            code = "undecodable-notification"
            await self._dead_letters.publish(record, error, code=code)
            return []

    async def _known(self, job_id: str) -> Job | None:
        return await self._retry.until_available(lambda: self._jobs.get(job_id))


def submission(put: Put, known: Job | None) -> ImageSubmitted | None:
    """Return the event of an upload; None where it is submitted already, as it was wished for."""
    source = Source(object=put.key)
    if known is None:
        return ImageSubmitted(job_id=put.job_id, source=source)
    if known.submitted_at and known.status != "deleted":
        return None
    return ImageSubmitted(
        job_id=put.job_id,
        run=known.run,
        lane="bulk" if known.lane == "bulk" else "interactive",
        source=source,
        stages=known.wanted,
    )
