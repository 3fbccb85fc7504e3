"""Downloading: consumes `image-submitted`, downloads the URLs, publishes `image-downloaded`.

Many records are in work at the same time, so a server that never answers delays only its own URLs.
No thread waits for a busy server. When too many records wait, a waiting record moves to the topic
`download-postponed`, which this processor reads too, so that the records behind it get their turn.
Uploads are not downloaded, and validation reads them without waiting for this processor.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import structlog
from opentelemetry.trace import NoOpTracer, Tracer

from agents.downloads.download import Fetches, download, downloaded, in_thread, keep
from agents.downloads.slots import NoSlot, Slots
from agents.inputs.fetching import TryLater
from agents.runtime.metrics import StageMetrics
from agents.runtime.processor import Publisher
from agents.runtime.publishing import EventPublisher
from agents.runtime.retry import RetryDecision, RetryPolicy, UnavailableRetry
from agents.runtime.work_item import WorkItem, start_consumer_span
from agents.stages.errors import Rejected
from storage.artifacts import keys
from storage.artifacts.erasure import content_hash
from storage.artifacts.store import ArtifactStore
from storage.jobs.store import FINAL, Job, JobStore
from streams.broker.records import Record
from streams.errors import UndecodableEvent, UnknownStage
from streams.events.codec import Decoder, Envelope
from streams.events.models import DownloadPostponed, ImageDownloaded, ImageSubmitted
from streams.stages.graph import StageGraph
from streams.stages.registry import VALIDATION

log = structlog.get_logger()

NAME = "downloading"
IN_WORK = 1_000
"""Records in work at the same time. Most of them wait: for a slot, or for a busy server."""
CROWDED = IN_WORK // 2
"""With more records in work, waiting records are postponed."""
LOOK_S = 2.0
"""A waiting record looks this often whether it should make room. So a record is postponed at most
this often."""
POSTPONED_S = 5.0


@dataclass(frozen=True)
class Waiting:
    """What a submission has waited for: tries that found the server busy, and since when."""

    tries: int = 0
    busy_since: datetime | None = None
    due: datetime | None = None


class DownloadProcessor:
    """The `Processor` of downloads. It processes records side by side.

    ``retry_s`` is the time for which a busy server is tried again. A failure is published as a
    failure of validation: jobs have no stage for the download.
    """

    name = NAME
    topics = (ImageSubmitted.topic, DownloadPostponed.topic)
    batch = 1
    parallel = IN_WORK

    def __init__(
        self,
        fetcher: Fetches,
        *,
        graph: StageGraph,
        jobs: JobStore,
        artifacts: ArtifactStore,
        publisher: Publisher,
        metrics: StageMetrics,
        deleted: Container[str] = frozenset(),
        slots: Slots | None = None,
        retry_s: float = 300.0,
        policy: RetryPolicy | None = None,
        busy: RetryPolicy | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._graph = graph
        self._jobs = jobs
        self._artifacts = artifacts
        self._publisher = publisher
        self._metrics = metrics
        self._deleted = deleted
        self._slots = slots or Slots()
        self._retry_s = retry_s
        self._busy = busy or RetryPolicy(base_s=1.0, cap_s=60.0)
        self._tracer = tracer or NoOpTracer()
        self._decoder = Decoder([ImageSubmitted, DownloadPostponed])
        self._policy = policy or RetryPolicy()
        self._retry = UnavailableRetry(NAME, self._policy)
        self._failures = EventPublisher(VALIDATION.name, publisher, self._retry, metrics)
        self._in_work: set[tuple[str, int]] = set()
        self.last_progress = time.monotonic()
        self.step_limit_s = retry_s + 600.0
        metrics.initialise(NAME)

    @property
    def waiting_for(self) -> str | None:
        return self._retry.waiting_for

    async def process(self, records: Sequence[Record]) -> None:
        """Download the records' URLs; return when the broker has all results and failures."""
        self._metrics.received.labels(NAME).inc(len(records))
        await asyncio.gather(*(self._process(record) for record in records))
        self.last_progress = time.monotonic()

    async def _process(self, record: Record) -> None:
        item = await self._open(record)
        if item is None:
            return
        submission = (item.event.job_id, item.event.run)
        if submission in self._in_work:  # sent twice; the first record is not committed yet
            return
        self._in_work.add(submission)
        try:
            if not await self._answered_before(item):
                with self._metrics.batch(NAME, [item.envelope.time]):
                    await self._download(item)
        finally:
            self._in_work.discard(submission)

    async def _open(self, record: Record) -> WorkItem | None:
        """Decode a record; return None when there is nothing to download.

        Validation answers for records of `image-submitted` that are undecodable, that request
        unknown stages, or that have no URL.
        """
        try:
            envelope = self._decoder.decode(record)
        except UndecodableEvent as error:
            if record.topic == DownloadPostponed.topic:
                await self._failures.discard(record, error)
            return None
        event = _submission(envelope)
        if event.source.url is None or event.job_id in self._deleted:
            return None
        try:
            wanted = self._graph.closure(event.stages)
        except UnknownStage:
            return None
        if VALIDATION.name not in wanted:
            return None
        span = start_consumer_span(self._tracer, NAME, record, envelope)
        return WorkItem(record, envelope, wanted, span=span)

    async def _answered_before(self, item: WorkItem) -> bool:
        """Tell whether the submission needs no download; publish the answer that it still needs.

        The job's state tells it: a redelivered record, or a record from before the last end of the
        job. A job that has lost its events after validation is validated again without a download.
        """
        event = _submission(item.envelope)
        try:
            job = await self._retry.until_available(lambda: self._jobs.get(event.job_id))
        except Exception as error:  # noqa: BLE001 - the job's state only saves work
            log.warning("job_unreadable", stage=NAME, error=repr(error), **item.log_fields)
            return False
        if job is None or job.run < event.run:
            return False
        if job.run > event.run or job.status == "deleted":
            return True
        if job.status in FINAL:
            return job.updated_at >= item.envelope.time
        sha256 = None if event.force else _validated_in(job, event.run)
        if sha256 is None:
            return False
        kept = await self._retry.until_available(
            lambda: in_thread(lambda: keep(sha256, event.job_id, self._artifacts))
        )
        if kept:
            await self._publish(item, downloaded(event, sha256=sha256))
        return kept

    # -- downloading -----------------------------------------------------------------------

    async def _download(self, item: WorkItem) -> None:
        """Download until there is a result, a failure, or the record is postponed."""
        event = _submission(item.envelope)
        host, sender = _host(event.source.url or ""), event.owner or event.group or ""
        waiting, unavailable, attempts = _waiting(item.envelope), 0, 0
        while event.job_id not in self._deleted:
            if not await self._is_due(waiting):
                return await self._postpone(item, waiting)
            try:
                async with self._slots.slot(host, sender, LOOK_S):
                    found = await in_thread(lambda: download(event, self._fetcher, self._artifacts))
            except TryLater as later:
                self._retry.clear()
                self.last_progress = time.monotonic()
                now = datetime.now(UTC)
                waiting = self._after_busy(waiting, later, now)
                self._metrics.retries.labels(NAME).inc()
                if waiting.due is None:
                    return await self._fail(item, _still_busy(later, waiting, now), waiting)
            except NoSlot:
                if self._crowded:
                    pause = timedelta(seconds=POSTPONED_S * (0.5 + random.random()))  # noqa: S311
                    due = datetime.now(UTC) + pause
                    return await self._postpone(item, replace(waiting, due=due))
            except Rejected as error:
                self._slots.answered(host, error.code != "url-timeout")
                return await self._fail(item, error, waiting)
            except Exception as error:  # noqa: BLE001 - the policy limits the tries
                decision = self._policy.decide(error, attempts + 1)
                if decision is RetryDecision.WAIT:
                    unavailable += 1
                    await self._retry.wait(error, unavailable)
                    continue
                attempts += 1
                if decision is RetryDecision.GIVE_UP:
                    return await self._fail(item, error, waiting)
                await asyncio.sleep(self._policy.delay(attempts))
            else:
                self._slots.answered(host, True)
                self._retry.clear()
                return await self._publish(item, found)

    @property
    def _crowded(self) -> bool:
        return len(self._in_work) > CROWDED

    async def _is_due(self, waiting: Waiting) -> bool:
        """Wait for the time of the next try. Return False when the record should make room."""
        while waiting.due is not None:
            left = (waiting.due - datetime.now(UTC)).total_seconds()
            if left <= 0:
                break
            await asyncio.sleep(min(left, LOOK_S))
            if left > LOOK_S and self._crowded:
                return False
        return True

    def _after_busy(self, waiting: Waiting, later: TryLater, now: datetime) -> Waiting:
        """Return the state after a try that found the server busy; ``due`` is None at the end."""
        since = waiting.busy_since or now
        end = since + timedelta(seconds=self._retry_s)
        wait_s = max(self._busy.delay(waiting.tries), later.retry_after_s)
        due = min(now + timedelta(seconds=wait_s), end) if now < end else None
        return Waiting(waiting.tries + 1, since, due)

    async def _postpone(self, item: WorkItem, waiting: Waiting) -> None:
        event = _submission(item.envelope)
        fields = {name: getattr(event, name) for name in ImageSubmitted.model_fields}
        postponed = DownloadPostponed(
            **fields,
            due=waiting.due or datetime.now(UTC),
            tries=waiting.tries,
            busy_since=waiting.busy_since,
        )
        await self._failures.results([(item, postponed)])

    async def _fail(self, item: WorkItem, error: Exception, waiting: Waiting) -> None:
        await self._failures.fail(replace(item, attempts=waiting.tries + 1), error)

    async def _publish(self, item: WorkItem, event: ImageDownloaded) -> None:
        await self._failures.results([(item, event)])
        if event.job_id in self._deleted and not event.sha256:
            key = keys.incoming(event.job_id)
            await self._retry.until_available(
                lambda: in_thread(lambda: self._artifacts.delete(key))
            )


def _submission(envelope: Envelope) -> ImageSubmitted:
    assert isinstance(envelope.event, ImageSubmitted)  # noqa: S101 - the decoder knows no other
    return envelope.event


def _waiting(envelope: Envelope) -> Waiting:
    event = envelope.event
    if not isinstance(event, DownloadPostponed):
        return Waiting()
    return Waiting(event.tries, event.busy_since, event.due)


def _validated_in(job: Job, run: int) -> str | None:
    """Return the hash of the photo that validation has accepted in ``run``, None without one."""
    state = job.stages.get(VALIDATION.name)
    done = state is not None and state.status == "completed" and state.run == run
    return content_hash(job) if done else None


def _host(url: str) -> str:
    try:
        return (urlsplit(url.strip()).hostname or "").rstrip(".").lower()
    except ValueError:  # the fetcher refuses the URL
        return ""


def _still_busy(later: TryLater, waiting: Waiting, now: datetime) -> Rejected:
    refused, since = later.refused, waiting.busy_since or now
    spent = f" {waiting.tries} tries in {(now - since).total_seconds():.0f} s failed."
    return Rejected(refused.code, refused.message + spent, refused.detail)
