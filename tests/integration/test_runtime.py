"""Consumers and workers on the embedded broker; each worker is a process."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker.connection import EmbeddedBroker
from tests.integration.worker_playground import Playground
from tests.polling import until


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    yield broker
    broker.close()


@pytest.fixture
def playground(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Playground]:
    with Playground(str(broker), tmp_path).open() as playground:
        yield playground


def page(port: int, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_records_are_processed_in_order_and_committed(playground: Playground) -> None:
    early = [f"early-{number}" for number in range(20)]
    late = [f"late-{number}" for number in range(20)]
    playground.publish(*early)
    worker = playground.worker()
    playground.all_done(early)
    playground.publish(*late)
    playground.all_done(late)
    assert sorted(playground.done()) == sorted(early + late)
    ours = [value for value in playground.done() if int(value.split("-")[1]) % 4 == 0]
    assert ours == [name for name in (*early, *late) if int(name.split("-")[1]) % 4 == 0]
    until(lambda: playground.committed() == dict.fromkeys(range(4), 10))
    worker.terminate()
    assert worker.ended() == 0
    assert not list(Path.cwd().glob(f"{playground.topic}*")), "Faust's own directories"


def test_a_stop_finishes_the_current_batch_only(playground: Playground) -> None:
    values = [f"job-{number}" for number in range(40)]
    playground.publish(*values)
    first = playground.worker(each=0.1)
    until(playground.done)
    first.terminate()
    assert first.ended() == 0
    done = playground.done()
    assert len(done) < 40
    assert sum(playground.committed().values()) == len(done)
    playground.worker()
    playground.all_done(values)
    assert sorted(playground.done()) == sorted(values)


def test_readiness_names_the_unavailable_dependency(playground: Playground) -> None:
    port = playground.worker().ready()["health"]
    assert page(port, "/health/live") == (200, {"status": "live"})
    assert page(port, "/health/ready") == (200, {"status": "ready", "stages": {}})
    playground.publish("wait")
    until(lambda: page(port, "/health/ready")[0] == 503)
    reasons = {"toy0": "the store is away"}
    assert page(port, "/health/ready")[1] == {"status": "not-ready", "stages": reasons}
    assert page(port, "/elsewhere")[0] == 404


def test_the_lag_counts_each_record_once(playground: Playground) -> None:
    """Two records are in the batch in work, and four wait in the buffers."""
    done, waiting = [f"job-{number}" for number in range(4)], ["a", "b", "c", "d", "e"]
    playground.publish(*done, "hang", *waiting, partition=0)
    port = playground.worker(batch=2, stalled=60.0).ready()["health"]
    until(lambda: "hang" in playground.begun())

    def lag() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith("lookstream_stage_lag{")]
        return found[0].rpartition(" ")[2] if found else ""

    first = until(lambda: (now := lag()) not in ("", "0.0") and now)
    assert first == "6.0"


def test_a_worker_runs_several_consumers(playground: Playground) -> None:
    worker = playground.worker(consumers=3)
    worker.ready()
    playground.publish("once")
    until(lambda: playground.done() == ["once"] * 3)
    worker.terminate()
    assert worker.ended() == 0


def test_records_side_by_side_do_not_wait_for_a_slow_one(playground: Playground) -> None:
    """Nothing is committed past the unfinished record, so a killed worker loses nothing."""
    values = [f"{number}" for number in range(60)]
    playground.publish("before", "hang", *values, partition=0)
    first = playground.worker(parallel=20)
    playground.all_done(["before", *values])
    assert "hang" not in playground.done()
    until(lambda: playground.committed()[0] == 1)
    first.kill()
    second = playground.worker(parallel=20, tame=True)
    playground.all_done(["hang"])
    until(lambda: playground.committed()[0] == len(values) + 2)
    second.terminate()
    assert second.ended() == 0


def test_a_stop_does_not_wait_for_records_side_by_side(playground: Playground) -> None:
    playground.publish("hang", "a", "b", partition=0)
    worker = playground.worker(parallel=2)
    playground.all_done(["a", "b"])
    worker.terminate()
    assert worker.ended() == 0
    assert playground.committed()[0] == 0


def test_an_exception_beside_other_records_ends_the_worker(playground: Playground) -> None:
    playground.publish("hang", "raise", partition=0)
    worker = playground.worker(parallel=5)
    assert worker.ended() != 0
    assert "this escapes" in worker.log
