"""A worker process for tests: real consumers, a real `Worker`, and a controlled processor.

    python -m tests.integration.ledger_worker --kafka URL --prefix P --topic T --ledger FILE …

Each record takes ``--each`` seconds. The processor writes a line (partition, offset, value) to
``FILE.begun`` before a record, and to the ledger after it. Unless ``--tame``, five values are
commands: ``raise`` (an exception escapes), ``die`` (the process is killed), ``hang`` (the batch
never ends), ``block`` (the event loop blocks) and ``wait`` (the processor waits for a store). With
``--parallel N``, N records are processed side by side. With ``--barrier`` each processor has a
`Barrier`. When all consumers run, the process prints one line of JSON about them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from agents.runtime.metrics import StageMetrics
from agents.workers.barrier import Barrier
from agents.workers.consumer import ProcessorConsumer
from agents.workers.health import HealthServer
from agents.workers.side_by_side import SideBySideConsumer
from agents.workers.turns import Turns
from agents.workers.watchdog import WatchdogLimits
from agents.workers.worker import Worker
from streams.broker.connection import BrokerUrl
from streams.broker.producer import EventProducer
from streams.broker.records import Record

FOR_EVER = 3600.0


class LedgerProcessor:
    """A processor that writes the lines of started and finished records."""

    step_limit_s = 0.0
    last_progress = 0.0

    def __init__(self, options: argparse.Namespace, number: int) -> None:
        self.name = f"toy{number}"
        self.topics = (options.topic,)
        self.batch = 1 if options.parallel else options.batch
        self.parallel = options.parallel
        self.waiting_for: str | None = None
        self._each = options.each
        self._tame = options.tame
        self._done = os.open(options.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._begun = os.open(f"{options.ledger}.begun", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def process(self, records: Sequence[Record]) -> None:
        for record in records:
            line = b"%d %d %b\n" % (record.partition, record.offset, record.value or b"")
            os.write(self._begun, line)
            if not self._tame:
                await self._obey(record.value)
            await asyncio.sleep(self._each)
            os.write(self._done, line)

    async def _obey(self, order: bytes | None) -> None:
        if order == b"raise":
            raise RuntimeError("this escapes")
        if order == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == b"block":
            time.sleep(FOR_EVER)  # noqa: ASYNC251 - the command is to block the loop
        if order == b"wait":
            self.waiting_for = "the store is away"
        if order in (b"hang", b"wait"):
            await asyncio.sleep(FOR_EVER)


class Acknowledged:
    """A stream whose events Faust acknowledges, as Faust does with skipped events."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def noack(self) -> Acknowledged:
        return self

    async def events(self) -> AsyncIterator[Any]:
        async for event in self._stream.noack().events():
            event.ack()
            yield event


class CountingConsumer(ProcessorConsumer):
    """Counts the consumers that were starting when the first one had started."""

    starting = 0
    at_once = 0
    acknowledged = False

    async def _read(self, stream: Any) -> None:
        await super()._read(Acknowledged(stream) if CountingConsumer.acknowledged else stream)

    async def start(self) -> None:
        CountingConsumer.starting += 1
        await super().start()
        CountingConsumer.at_once = CountingConsumer.at_once or CountingConsumer.starting
        CountingConsumer.starting -= 1


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("kafka", "prefix", "topic", "ledger"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--tame", action="store_true")
    parser.add_argument("--barrier", action="store_true")
    parser.add_argument("--acknowledged", action="store_true")
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("--each", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--drain", type=float, default=6.0)
    parser.add_argument("--unassigned", type=float, default=WatchdogLimits.unassigned_s)
    parser.add_argument("--stalled", type=float, default=WatchdogLimits.stalled_s)
    parser.add_argument("--blocked", type=float, default=WatchdogLimits.blocked_s)
    return parser.parse_args(arguments)


async def run(chosen: argparse.Namespace) -> None:
    broker = BrokerUrl.parse(chosen.kafka)
    CountingConsumer.acknowledged = chosen.acknowledged
    turns = Turns()
    producer = EventProducer(broker, source="/tests") if chosen.barrier else None

    def consumer(processor: LedgerProcessor) -> ProcessorConsumer:
        barrier = producer and Barrier(processor, producer, StageMetrics(), stage=processor.name)
        kind = SideBySideConsumer if chosen.parallel else CountingConsumer
        return kind(
            processor, broker, prefix=chosen.prefix, barrier=barrier, turns=turns, crash_limit=2
        )

    consumers = [consumer(LedgerProcessor(chosen, each)) for each in range(chosen.consumers)]
    limits = WatchdogLimits(chosen.unassigned, chosen.stalled, chosen.blocked)
    metrics = StageMetrics()
    worker = Worker(consumers, metrics=metrics, limits=limits, drain_s=chosen.drain)
    health = HealthServer("127.0.0.1", 0, worker.not_ready, metrics.registry)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    reporting = asyncio.create_task(report(worker, consumers, health.port))
    try:
        await worker.run()
    finally:
        reporting.cancel()
        health.close()


async def report(worker: Worker, consumers: Sequence[ProcessorConsumer], port: int) -> None:
    while worker.not_ready():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.02)
    fetchers = [consumer.app.consumer._thread._consumer._fetcher for consumer in consumers]
    facts = {
        "health": port,
        "at_once": CountingConsumer.at_once,
        "fetch_wait_ms": [fetcher._fetch_max_wait_ms for fetcher in fetchers],
    }
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    asyncio.run(run(options(sys.argv[1:])))
    os._exit(0)
