"""A deleted job: its queued events are not computed, and its artifacts are erased."""

from __future__ import annotations

from confluent_kafka import Producer

from streams.events.codec import encode
from streams.events.models import JobDeleted
from tests.acceptance.photos import photo, photos
from tests.acceptance.rest import all_completed
from tests.acceptance.system import System
from tests.polling import until


def test_queued_events_of_deleted_jobs_are_not_computed(system: System) -> None:
    last = photo("cancelling, the last")
    (done,) = system.completed(photo("cancelling, before"))  # warm up
    before = sum(system.computed().values())
    job_ids = system.submit(*photos("cancelling", 40))
    _delete(system, job_ids)
    (kept,) = system.submit(last)
    all_completed(system.finish_all([done["job_id"], kept]))
    until(lambda: not any(system.job(job_id) for job_id in job_ids))
    assert sum(system.computed().values()) - before < 40 * 7


def _delete(system: System, job_ids: list[str]) -> None:
    """Publish `job-deleted`, as the gateway or another program does."""
    producer = Producer({"bootstrap.servers": system.info["kafka"], "linger.ms": 0})
    for job_id in job_ids:
        event = encode(JobDeleted(job_id=job_id), source="/tests")
        producer.produce(event.topic, event.value, event.key, headers=list(event.headers))
    assert producer.flush(20) == 0
