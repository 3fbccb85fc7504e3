"""A topic with its workers and their ledger, for the tests of the runtime."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.broker.connection import BrokerUrl
from streams.broker.topics import Topic, create_topics
from tests.polling import until

ROOT = Path(__file__).parents[2]


class Playground:
    """One topic, one consumer group, and the ledger of the records that its workers finished."""

    def __init__(self, kafka: str, folder: Path, *, partitions: int = 4) -> None:
        self.kafka = kafka
        self.topic = f"toy-{uuid.uuid4().hex[:8]}"
        self.partitions = partitions
        self._broker = BrokerUrl.parse(kafka)
        self._folder = folder
        self._ledger = folder / "ledger"
        self._ledger.touch()
        self._workers: list[WorkerProcess] = []
        self._asking: Consumer | None = None
        create_topics(self._broker, [Topic(self.topic, partitions)])

    @contextlib.contextmanager
    def open(self) -> Iterator[Playground]:
        """Kill all workers at the end."""
        try:
            yield self
        finally:
            for worker in self._workers:
                worker.kill()
            if self._asking:
                self._asking.close()

    def worker(self, **options: object) -> WorkerProcess:
        """Start a worker process; ``options`` are those of `ledger_worker`."""
        facts: dict[str, object] = {"kafka": self.kafka, "prefix": self.topic, "topic": self.topic}
        facts |= {"ledger": self._ledger, **options}
        log = self._folder / f"worker-{len(self._workers)}.log"
        self._workers.append(WorkerProcess(facts, log))
        return self._workers[-1]

    def publish(self, *values: str, partition: int | None = None) -> None:
        """Publish the values round robin and wait for the acknowledgements."""
        producer = Producer({**self._broker.confluent(), "linger.ms": 0})
        for number, value in enumerate(values):
            to = number % self.partitions if partition is None else partition
            producer.produce(self.topic, value.encode(), partition=to)
        assert producer.flush(20) == 0

    def done(self) -> list[str]:
        """Return the finished values in order, with repetitions."""
        return _values(_lines(self._ledger))

    def begun(self) -> list[str]:
        """Return the started values in order, with repetitions."""
        return _values(_lines(self._ledger.with_suffix(".begun")))

    def all_done(self, values: Sequence[str], timeout_s: float = 60.0) -> None:
        """Wait until each value is finished at least once."""
        until(lambda: set(values) <= set(self.done()), timeout_s)

    def committed(self) -> dict[int, int]:
        """Return the group's committed offset of each partition; 0 without one."""
        if self._asking is None:
            config = {**self._broker.confluent(), "group.id": f"{self.topic}.toy0"}
            self._asking = Consumer(config)
        wanted = [TopicPartition(self.topic, number) for number in range(self.partitions)]
        found = until(lambda: self._ask(wanted))
        return {place.partition: max(place.offset, 0) for place in found}

    def _ask(self, wanted: list[TopicPartition]) -> list[TopicPartition] | None:
        assert self._asking is not None
        try:
            return list(self._asking.committed(wanted, timeout=10))
        except KafkaException:  # the group has no coordinator now
            return None

    def committed_too_far(self) -> dict[int, tuple[int, int]]:
        """Return the partitions that are committed past an unfinished record, with the committed
        offset and the first unfinished offset."""
        committed = self.committed()  # before the ledger is read, because the ledger only grows
        done: defaultdict[int, set[int]] = defaultdict(set)
        for line in _lines(self._ledger):
            partition, offset, _ = line.split(" ", 2)
            done[int(partition)].add(int(offset))
        prefixes = {number: _prefix(done[number]) for number in committed}
        return {
            number: (offset, prefixes[number])
            for number, offset in committed.items()
            if offset > prefixes[number]
        }


def _lines(ledger: Path) -> list[str]:
    text = ledger.read_text() if ledger.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()


def _values(lines: Sequence[str]) -> list[str]:
    return [line.split(" ", 2)[2] for line in lines]


def _prefix(offsets: set[int]) -> int:
    """Return the first missing offset."""
    return next(number for number in range(len(offsets) + 1) if number not in offsets)


class WorkerProcess:
    """A worker process. Its output is in a log file."""

    def __init__(self, options: dict[str, object], log: Path) -> None:
        arguments = []
        for name, value in options.items():
            arguments += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.ledger_worker", *arguments],
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def ready(self, timeout_s: float = 90.0) -> dict[str, Any]:
        """Wait until all consumers run; return the line that the process prints about them."""

        def told() -> dict[str, Any] | None:
            assert self.process.poll() is None, self.log
            lines = [line for line in self.log.splitlines() if line.startswith('{"health"')]
            return dict(json.loads(lines[0])) if lines else None

        facts = until(told, timeout_s)
        assert facts is not None
        return facts

    def ended(self, timeout_s: float = 60.0) -> int:
        """Wait for the end of the process; return its exit code."""
        return self.process.wait(timeout_s)

    def running(self) -> bool:
        return self.process.poll() is None

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
