"""Ten kinds of poison records on every topic: the worker of all stages keeps running, and so do the
consumers of job updates and of notifications.

On the embedded broker, which accepts records of any size. The worker is a process.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from agents.runtime.metrics import StageMetrics
from agents.tracking.notifications import IntakeProcessor
from deploy.local.server import free_port
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.jobs.sqlite.store import SqliteJobs
from storage.jobs.store import Job
from streams.broker.connection import EmbeddedBroker
from streams.broker.records import Record
from streams.broker.topics import OBJECT_CREATED
from streams.consumers.job_updates import JobUpdateConsumer
from streams.events.codec import encode
from streams.events.models import ImageSubmitted, JobUpdated, Source
from streams.stages.graph import StageGraph
from streams.stages.registry import EVENTS, INTERNAL_EVENTS, PIPELINE
from tests.garments import dress, jpeg
from tests.golden_records import golden_record
from tests.integration.worker_playground import ROOT
from tests.polling import eventually, until
from tests.publishing import MemoryPublisher

TOPICS = [each.topic for each in (*EVENTS, *INTERNAL_EVENTS)]
"""All topics of events. `DEAD_LETTERS` has no reader."""
BIG = 1_200_000
DEAD = "undecodable"
ALIVE = "an event"
KINDS = {
    "no CloudEvent": DEAD,
    "another type": DEAD,
    "not UTF-8": DEAD,
    "NaN": DEAD,
    "half a surrogate": DEAD,
    "brackets without end": DEAD,
    "a value over the limit": DEAD,
    "headers over the limit": DEAD,
    "a number beyond every database": DEAD,
    "a text over its limit": DEAD,
    "a time in the far future": ALIVE,
    "a start before the first time": DEAD,
    "a job of no one": ALIVE,
}
READ_BY = dict.fromkeys((*StageGraph(PIPELINE).names, "tracking"), 1) | {
    "validation": 4,
    "shots": 2,
}
"""How many topics' undecodable records end as dead letters of each stage. Validation answers for
submissions, for finished and postponed downloads, and for photos that take long."""
LONG = {
    "image-submitted": "group",
    "image-validated": "format",
    "image-captioned": "description",
    "image-classified": "model",
    "pose-estimated": "model",
    "image-thumbnailed": "thumbhash",
    "image-annotated": "key",
    "stage-failed": "message",
    "job-updated": "group",
}
"""A text field of each topic's event. The others get a long job id."""


def poison(topic: str, kind: str) -> Record:
    """Return the golden record of a topic, made poisonous. Each has a job of its own."""
    golden = golden_record(topic)
    job_id = str(uuid.uuid4())
    data: dict[str, Any] = {**json.loads(golden.value or b""), "job_id": job_id}
    headers = {**dict(golden.headers), "ce_subject": job_id.encode()}
    value: bytes | None = None
    match kind:
        case "no CloudEvent":
            headers = {}
        case "another type":
            headers["ce_type"] = b"com.example.v1"
        case "not UTF-8":
            value = b"\xff\xfe"
        case "NaN":
            data["run"] = float("nan")
        case "half a surrogate":
            data["owner"] = "\ud800"
        case "brackets without end":
            value = b"[" * 100_000
        case "a value over the limit":
            data["note"] = "x" * BIG
        case "headers over the limit":
            headers["x"] = b"x" * BIG
        case "a number beyond every database":
            data["run"] = 10**400
        case "a text over its limit":
            data[LONG.get(topic, "job_id")] = "x" * 700_000
        case "a time in the far future":
            headers["ce_time"] = b"9999-12-31T00:00:00Z"
        case "a start before the first time":
            headers["ce_time"] = data["started_at"] = "0001-01-01T00:00:00+23:00"
            headers["ce_time"] = headers["ce_time"].encode()
    value = json.dumps(data).encode() if value is None else value
    return replace(golden, key=job_id.encode(), value=value, headers=tuple(headers.items()))


def publish(broker: EmbeddedBroker, *records: Any) -> None:
    """Publish records of any size."""
    producer = Producer({**broker.url.confluent(), "message.max.bytes": 10_000_000})
    for each in records:
        producer.produce(each.topic, key=each.key, value=each.value, headers=list(each.headers))
    assert producer.flush(30) == 0


@dataclass
class Installation:
    """A worker of all stages on a broker and stores of its own."""

    broker: EmbeddedBroker
    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")

    def dead_letters(self, stage: str) -> float:
        """Return the number of dead letters that the stage has written."""
        page = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(page, timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        wanted = "lookstream_stage_dead_letters_total"
        samples = [sample for family in families for sample in family.samples]
        return sum(
            each.value for each in samples if each.name == wanted and each.labels["stage"] == stage
        )

    def job(self, job_id: str) -> Job | None:
        async def read() -> Job | None:
            jobs = SqliteJobs(self.folder / "jobs.sqlite")
            try:
                return await jobs.get(job_id)
            finally:
                await jobs.close()

        return asyncio.run(read())


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("poison")
    broker = EmbeddedBroker()
    given = {
        "LOOKSTREAM_KAFKA": str(broker),
        "LOOKSTREAM_ARTIFACTS": f"file://{folder / 'store'}",
        "LOOKSTREAM_JOBS": f"sqlite://{folder / 'jobs.sqlite'}",
        "LOOKSTREAM_HOME": str(folder),
        "LOOKSTREAM_WORKER_PORT": str(port := free_port()),
    }
    others = {k: v for k, v in os.environ.items() if not k.startswith("LOOKSTREAM_")}
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lookstream", "worker"],
            env={**others, **given},
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield Installation(broker, folder, port, process)
    process.kill()
    process.wait()
    broker.close()


@pytest.fixture(scope="module")
def finished(installation: Installation) -> Job:
    """Publish all poison, then a photo; return the photo's job when it has ended."""
    broker = installation.broker
    publish(broker, *(poison(topic, kind) for topic in TOPICS for kind in KINDS))
    store = DirectoryArtifacts(installation.folder / "store", LinkSigner(b"0123456789abcdef", ""))
    job_id = str(uuid.uuid4())
    store.put(f"incoming/{job_id}", jpeg(dress()))
    photo = ImageSubmitted(job_id=job_id, source=Source(object=f"incoming/{job_id}"))
    publish(broker, encode(photo, source="/tests"))

    def ended() -> Job | None:
        assert installation.process.poll() is None, installation.log[-6000:]
        job = installation.job(job_id)
        return job if job and job.status in ("completed", "failed") else None

    job = until(ended, 120.0)
    assert job is not None
    return job


def test_a_good_photo_is_finished_and_the_worker_still_runs(
    installation: Installation, finished: Job
) -> None:
    assert (finished.status, finished.error) == ("completed", None)
    assert "batch_failed" not in installation.log
    assert installation.process.poll() is None


def test_every_reader_of_a_topic_writes_dead_letters(
    installation: Installation, finished: Job
) -> None:
    """Of valid events for photos that do not exist, stages may write more dead letters."""
    undecodable = sum(end == DEAD for end in KINDS.values())
    written = {name: undecodable * topics for name, topics in READ_BY.items()}
    until(lambda: all(installation.dead_letters(name) >= n for name, n in written.items()))


async def test_listeners_get_the_job_updates_between_poison() -> None:
    broker, told = EmbeddedBroker(), set[str]()
    consumer = JobUpdateConsumer(broker.url)
    consumer.start()
    try:
        with consumer.feed.subscribe_to_group(None) as mailbox:

            async def arrives(*records: Record) -> bool:
                await asyncio.to_thread(publish, broker, *records)
                told.update(each.update.job_id for each in mailbox.take())
                return (records[-1].key or b"").decode() in told

            first, last = (poison(JobUpdated.topic, "a job of no one") for _ in range(2))
            await eventually(lambda: arrives(first))  # the consumer has begun
            await arrives(*(poison(JobUpdated.topic, kind) for kind in KINDS))
            await eventually(lambda: arrives(last))
    finally:
        await asyncio.to_thread(consumer.stop)
        broker.close()


def notification(key: object) -> bytes:
    s3 = {"bucket": {"name": "photos"}, "object": {"key": key, "eTag": "e"}}
    return json.dumps({"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": s3}]}).encode()


NOTICES = [
    None,
    b"",
    b"\xff\xfe",
    b"null",
    b"[" * 100_000,
    b'{"Records": 1}',
    b'{"Records": [NaN]}',
    b'{"Records": [{"s3": null}]}',
    notification(10**400),
    notification(None),
    notification("uploads/\ud800"),
    notification("uploads/" + "x" * 700_000),
    notification("uploads/../originals/x"),
]


async def test_intake_reads_the_notifications_between_poison(tmp_path: Path) -> None:
    job_id = str(uuid.uuid4())
    values = [*NOTICES, notification(f"uploads/{job_id}")]
    records = [Record(OBJECT_CREATED, 0, n, b"photos", value) for n, value in enumerate(values)]
    jobs, publisher = SqliteJobs(tmp_path / "jobs.sqlite"), MemoryPublisher()
    intake = IntakeProcessor("photos", jobs=jobs, publisher=publisher, metrics=StageMetrics())
    try:
        await intake.process(records)
    finally:
        await jobs.close()
    assert job_id in [event.job_id for event in publisher.events]
    assert len(publisher.letters) >= 10
