"""If another writer changes a job between read and write, MongoJobs folds the updates again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.collection import Collection

from storage.errors import StoreUnavailable
from storage.jobs.documents import job_document
from storage.jobs.mongo.store import MongoJobs
from storage.jobs.store import StageCompleted, Submitted
from storage.jobs.transition import transition
from tests.servers import FerretServer

NOON = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = ("a", "b")
SUBMITTED = Submitted("job", 1, NOON, {"url": "http://a"}, WANTED)


def completed(stage: str) -> StageCompleted:
    return StageCompleted("job", 1, NOON, stage, {"of": stage}, WANTED)


class AfterReading(monitoring.CommandListener):
    """Calls ``action`` after each answer to a ``find``, before the caller gets it."""

    def __init__(self) -> None:
        self.action: Callable[[], object] | None = None

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        action, self.action = self.action, None
        if event.command_name == "find" and action is not None:
            action()
        else:
            self.action = self.action or action


LISTENER = AfterReading()
monitoring.register(LISTENER)


class Rival:
    """Another writer, called during the first writer's read."""

    def __init__(self, jobs: Collection[dict[str, Any]]) -> None:
        self.jobs = jobs
        self.writes = 0

    def touch(self) -> None:
        change = {"$set": {"owner": "rival"}, "$inc": {"revision": 1}}
        self.jobs.update_one({"_id": "job"}, change)
        self.writes += 1

    def insert(self) -> None:
        job = transition(None, completed("b"))
        assert job is not None
        doc = job_document(job)
        self.jobs.insert_one({"_id": doc.pop("job_id"), **doc})
        self.writes += 1

    def touch_for_ever(self) -> None:
        self.touch()
        LISTENER.action = self.touch_for_ever


@pytest.fixture
def database(ferretdb_server: FerretServer):
    url = ferretdb_server.fresh()
    with MongoClient[dict[str, Any]](url) as client:
        yield url, Rival(client.get_default_database()["jobs"])
        LISTENER.action = None


async def test_a_job_changed_in_between_keeps_both_changes(database) -> None:
    url, rival = database
    store = MongoJobs(url)
    await store.apply([SUBMITTED])
    LISTENER.action = rival.touch
    (job,) = await store.apply([completed("a")])
    assert rival.writes == 1
    assert (job.owner, sorted(job.stages), job.revision) == ("rival", ["a"], 3)
    assert await store.get("job") == job
    await store.close()


async def test_a_job_made_in_between_keeps_both_stages(database) -> None:
    url, rival = database
    store = MongoJobs(url)
    await store.check()
    LISTENER.action = rival.insert
    changed = await store.apply([SUBMITTED, completed("a")])
    assert rival.writes == 1
    assert [sorted(job.stages) for job in changed] == [["a", "b"]]
    assert changed[0].status == "completed"
    assert await store.get("job") == changed[0]
    await store.close()


async def test_the_rest_of_the_batch_is_written_once(database) -> None:
    url, rival = database
    store = MongoJobs(url)
    others = [Submitted(f"o{i}", 1, NOON, {"url": "http://a"}, WANTED) for i in range(20)]
    await store.apply([SUBMITTED])
    LISTENER.action = rival.touch
    changed = await store.apply([completed("a"), *others])
    assert rival.writes == 1
    assert {job.job_id for job in changed} == {"job", *(other.job_id for other in others)}
    assert {job.revision for job in changed if job.job_id != "job"} == {1}
    await store.close()


async def test_endless_conflicts_raise_store_unavailable(database) -> None:
    url, rival = database
    store = MongoJobs(url)
    await store.apply([SUBMITTED])
    LISTENER.action = rival.touch_for_ever
    with pytest.raises(StoreUnavailable, match="other writers"):
        await store.apply([completed("a")])
    await store.close()
