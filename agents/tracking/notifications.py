"""Intake: submits the photos that clients upload directly to the artifact store.

MinIO publishes S3 event notifications to the topic `object-created`; for S3, a bridge does.
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
from storage.artifacts import keys
from storage.jobs.store import Job, JobStore
from streams.broker.records import Record
from streams.broker.topics import OBJECT_CREATED
from streams.events.models import ImageSubmitted, Source

log = structlog.get_logger()


@dataclass(frozen=True)
class UploadedObject:
    """Key and ETag of a new object."""

    key: str
    etag: str

    @property
    def job_id(self) -> str:
        """The UUID in the key ``uploads/<uuid>``. For another name: a UUID made from key and ETag.

        So a repeated notification names the same job, and a new photo under an old name gets a new
        job.
        """
        if self.filename is None:
            return self._name
        return str(uuid5(NAMESPACE_URL, f"{self.key}#{self.etag}"))

    @property
    def filename(self) -> str | None:
        """The object's name as a file name; None for ``uploads/<uuid>``."""
        try:
            return None if str(UUID(self._name)) == self._name else self._name
        except ValueError:
            return self._name

    @property
    def _name(self) -> str:
        return self.key.removeprefix(keys.UPLOADS)


def uploaded_objects(notification: bytes, bucket: str) -> list[UploadedObject]:
    """Return the new objects under ``uploads/`` of ``bucket``.

    Raises `ValueError` if ``notification`` is no S3 event notification.
    """
    document = json.loads(notification)
    if not isinstance(document, dict):
        raise ValueError("a notification is a JSON object")
    if document.get("Event") == "s3:TestEvent":
        return []
    return list(_objects(document.get("Records"), bucket))


def _objects(records: Any, bucket: str) -> Iterator[UploadedObject]:
    try:
        for record in records:
            s3 = record["s3"]
            key = unquote_plus(s3["object"]["key"])
            created = "ObjectCreated:" in record["eventName"]
            if created and s3["bucket"]["name"] == bucket and key.startswith(keys.UPLOADS):
                yield UploadedObject(key, str(s3["object"].get("eTag", "")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not S3's notification: {error!r}") from error


class IntakeProcessor:
    """Publishes `ImageSubmitted` for each upload; an invalid notification becomes a dead letter.

    A job that the gateway has submitted already keeps its options.
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
        """Publish the submissions; return when the broker has them.

        One record at a time: another submission of the same upload can come between the look-up of
        the job and the publishing, and this keeps the time between the two short.
        """
        self._metrics.received.labels(self.name).inc(len(records))
        for record in records:
            events = [(event, None) for event in await self._read(record)]
            await self._retry.until_available(partial(self._publisher.publish_all, events))

    async def _read(self, record: Record) -> list[ImageSubmitted]:
        try:
            objects = uploaded_objects(record.value or b"", self._bucket)
            found = [submission(each, await self._job(each.job_id)) for each in objects]
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

    async def _job(self, job_id: str) -> Job | None:
        return await self._retry.until_available(lambda: self._jobs.get(job_id))


def submission(uploaded: UploadedObject, job: Job | None) -> ImageSubmitted | None:
    """Return the event of an upload; None if its job is submitted already and not deleted."""
    source = Source(object=uploaded.key)
    if job is None:
        return ImageSubmitted(job_id=uploaded.job_id, source=source)
    if job.submitted_at and job.status != "deleted":
        return None
    return ImageSubmitted.of_job(job, source=source)
