"""Each known defect of Faust (lost records, hangs, open ports) against our runtime.

On Apache Kafka; each worker is a process. ``tests/unit/test_stage_processor.py`` and
``test_tracking.py`` test that a redelivered record leaves the same artifacts and the same job.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.workers.faust_app import ConsumerTuning
from agents.workers.watchdog import EXIT_STUCK
from agents.workers.worker import EXIT_NOT_DRAINED
from streams.broker.connection import BrokerUrl
from tests.integration.worker_playground import Playground
from tests.listening import listening
from tests.polling import until
from tests.servers import KafkaServer

HOPS = 20
ORPHANED_S = 60.0
"""Longer than a session of 10 s, also on a busy machine."""


@pytest.fixture
def playground(kafka_server: KafkaServer, tmp_path: Path) -> Iterator[Playground]:
    with Playground(kafka_server.url, tmp_path).open() as playground:
        yield playground


def jobs(count: int, name: str = "job") -> list[str]:
    return [f"{name}-{number}" for number in range(count)]


def no_commit_too_far(playground: Playground, until_done: list[str], timeout_s: float) -> None:
    """Check the commits until all records are done."""

    def finished() -> bool:
        assert playground.committed_too_far() == {}
        return set(until_done) <= set(playground.done())

    until(finished, timeout_s)


def test_an_exception_that_escapes_ends_the_worker_and_commits_nothing(
    playground: Playground,
) -> None:
    before, after = jobs(6, "before"), jobs(6, "after")
    playground.publish(*before, "raise", *after, partition=0)
    worker = playground.worker(batch=4)
    assert worker.ended(60) == 1
    assert "this escapes" in worker.log
    assert playground.committed_too_far() == {}
    assert playground.done() == before  # including the first records of the failing batch
    playground.worker(batch=4, tame=True)
    playground.all_done(["raise", *after])


def test_what_faust_acknowledges_by_itself_is_not_committed(playground: Playground) -> None:
    """Faust acknowledges the events that it skips around a rebalance or a stop."""
    playground.publish(*jobs(5), "hang", *jobs(5, "after"), partition=0)
    worker = playground.worker(batch=2, drain=1.0, acknowledged=True)
    until(lambda: playground.committed()[0] > 0)
    worker.terminate()
    assert worker.ended() == EXIT_NOT_DRAINED
    assert playground.committed_too_far() == {}


def test_a_kill_in_mid_run_loses_nothing(playground: Playground) -> None:
    values = jobs(200)
    playground.publish(*values)
    first = playground.worker(each=0.02)
    until(lambda: len(playground.done()) > 50 and sum(playground.committed().values()) > 0)
    first.kill()
    assert len(set(playground.done())) < len(values)
    assert playground.committed_too_far() == {}
    playground.worker()
    no_commit_too_far(playground, values, ORPHANED_S)
    again = len(playground.done()) - len(values)
    assert again <= 60  # records since the last commit, which comes every second


def test_a_stop_during_an_endless_batch_ends_at_the_deadline(
    playground: Playground,
) -> None:
    playground.publish("hang", partition=0)
    worker = playground.worker(drain=1.0)
    worker.ready()
    until(lambda: "hang" in playground.begun())
    began = time.monotonic()
    worker.terminate()
    assert worker.ended() == EXIT_NOT_DRAINED
    assert time.monotonic() - began < 10
    assert playground.committed()[0] == 0
    playground.worker(tame=True)
    playground.all_done(["hang"], ORPHANED_S)


def test_a_blocked_loop_ends_the_process(playground: Playground) -> None:
    playground.publish("block", partition=0)
    worker = playground.worker(blocked=2.0)
    assert worker.ended(60) == EXIT_STUCK
    assert "the event loop is blocked" in worker.log
    playground.worker(tame=True)
    playground.all_done(["block"], ORPHANED_S)


def test_a_member_without_partitions_ends_and_the_other_goes_on(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    with Playground(kafka_server.url, tmp_path, partitions=1).open() as playground:
        workers = [playground.worker(unassigned=4.0, stalled=300.0) for _ in range(2)]
        until(lambda: not all(worker.running() for worker in workers), 90)
        superfluous = next(worker for worker in workers if not worker.running())
        assert superfluous.ended() == EXIT_STUCK
        assert "no partitions for" in superfluous.log
        playground.publish(*jobs(8))
        playground.all_done(jobs(8), ORPHANED_S)


def test_a_consumer_that_never_joins_ends_the_process(playground: Playground) -> None:
    worker = playground.worker(kafka="kafka://127.0.0.1:9", unassigned=3.0)
    assert worker.ended(60) != 0


def test_no_progress_under_lag_ends_the_process(playground: Playground) -> None:
    playground.publish("hang", partition=0)
    worker = playground.worker(stalled=2.0)
    assert worker.ended(60) == EXIT_STUCK
    assert "no progress for" in worker.log


def test_waiting_for_a_store_is_not_stuck(playground: Playground) -> None:
    playground.publish("wait", partition=0)
    worker = playground.worker(stalled=0.2, unassigned=30.0)
    until(lambda: "wait" in playground.begun())
    enough = time.monotonic() + 15 * 0.2
    until(lambda: time.monotonic() > enough or not worker.running())
    assert worker.running()


def test_a_worker_is_reachable_on_loopback_only(playground: Playground) -> None:
    worker = playground.worker(consumers=2)
    health = worker.ready()["health"]
    assert listening(worker.process.pid) == {("127.0.0.1", health)}


def test_a_record_does_not_wait_for_the_fetch_timeout(
    playground: Playground, kafka_server: KafkaServer
) -> None:
    worker = playground.worker()
    tuned = ConsumerTuning.of(BrokerUrl.parse(kafka_server.url)).fetch_wait_s
    assert worker.ready()["fetch_wait_ms"] == [int(tuned * 1000)]
    took = []
    for value in jobs(HOPS):
        began = time.monotonic()
        playground.publish(value)
        playground.all_done([value])
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 1.4  # Faust's default is a wait of 1.5 s


def test_eight_consumers_start_in_parallel(playground: Playground) -> None:
    facts = playground.worker(consumers=8).ready(90)
    assert facts["at_once"] == 8
    playground.publish("once")
    until(lambda: playground.done() == ["once"] * 8)


def test_a_killed_workers_partitions_go_to_the_other_worker(playground: Playground) -> None:
    first, second = playground.worker(each=0.02), playground.worker(each=0.02)
    first.ready()
    second.ready()
    values = jobs(160)
    playground.publish(*values)
    until(lambda: len(playground.done()) > 40)
    first.kill()
    no_commit_too_far(playground, values, ORPHANED_S)
    assert second.running()


def test_a_worker_survives_a_restart_of_the_broker(
    kafka_server: KafkaServer, playground: Playground
) -> None:
    values = jobs(120)
    playground.publish(*values)
    worker = playground.worker(each=0.02)
    until(lambda: len(playground.done()) > 20)
    with kafka_server.down():
        assert worker.running()
    playground.all_done(values, ORPHANED_S)
    until(lambda: playground.committed() == dict.fromkeys(range(4), 30))
    assert worker.running()


def test_a_rebalance_never_commits_unfinished_records(playground: Playground) -> None:
    values = jobs(400)
    playground.publish(*values)
    first = playground.worker(each=0.02, batch=2)
    until(lambda: len(playground.done()) > 20)
    second = playground.worker(each=0.02, batch=2)

    def joined() -> bool:
        assert playground.committed_too_far() == {}
        return "health" in second.log

    until(joined)
    no_commit_too_far(playground, values[:250], 60)
    second.terminate()
    no_commit_too_far(playground, values, ORPHANED_S)
    assert second.ended() == 0
    assert first.running()
    until(lambda: playground.committed() == dict.fromkeys(range(4), 100))
