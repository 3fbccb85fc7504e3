"""The gateway's upload rate, compared with an endpoint that only stores the same uploads.

    python -m benchmarks.gateway            64 clients, photos of 100 kB and of 5 MB
    python -m benchmarks.gateway --json

The gateway uses the embedded broker, and a directory and SQLite unless the environment names other
stores. No worker runs. Each round loads first the gateway, then the endpoint, so that other load on
the machine affects both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from benchmarks import load
from benchmarks.running import memory_mb
from deploy.local.server import accepts, free_port
from streams.broker.connection import EmbeddedBroker

SIZES = {"100kB": (100_000, 1000), "5MB": (5_000_000, 128)}
"""The size of a photo in bytes, and the number of uploads in a round."""


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64, help="concurrent connections (64)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds; the median counts (9)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    wanted = parser.parse_args()
    figures = measure(wanted.clients, wanted.rounds)
    if wanted.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


def measure(clients: int, rounds: int) -> dict[str, float]:
    """Return the figures: rates in uploads/s, times in ms, memory in MB."""
    figures: dict[str, float] = {}
    with _servers() as (gateway, bare):
        for size, (photo_bytes, requests) in SIZES.items():
            photo = random.Random(0).randbytes(photo_bytes)  # noqa: S311 - not for secrets
            for server in (gateway, bare):
                server.warm_up(photo)
            pairs = [
                (gateway.under(photo, clients, requests), bare.under(photo, clients, requests))
                for _ in range(rounds)
            ]
            pairs.sort(key=lambda pair: pair[0].rate / pair[1].rate)
            ours, ceiling = pairs[len(pairs) // 2]
            figures |= {
                f"ratio_{size}": round(ours.rate / ceiling.rate, 3),
                f"gateway_{size}_s": round(ours.rate, 1),
                f"bare_{size}_s": round(ceiling.rate, 1),
                f"gateway_{size}_p99_ms": round(ours.p99() * 1000, 1),
                f"bare_{size}_p99_ms": round(ceiling.p99() * 1000, 1),
                f"gateway_{size}_peak_mb": gateway.peak_mb,
            }
        figures["gateway_idle_mb"] = gateway.idle_mb
    return figures


class _Served:
    """One server process under load, with its memory usage."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}/v1/jobs"
        self.idle_mb = self.peak_mb = memory_mb(process.pid)

    def warm_up(self, photo: bytes) -> None:
        load.run(self._url, load.upload(self._url, photo), clients=4, requests=20)
        self.peak_mb = memory_mb(self._process.pid)

    def under(self, photo: bytes, clients: int, requests: int) -> load.Load:
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,))
        watcher.start()
        try:
            request = load.upload(self._url, photo)
            return load.run(self._url, request, clients=clients, requests=requests)
        finally:
            done.set()
            watcher.join()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(0.1):
            self.peak_mb = max(self.peak_mb, memory_mb(self._process.pid))


@contextmanager
def _servers() -> Iterator[tuple[_Served, _Served]]:
    broker = EmbeddedBroker()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = {"LOOKSTREAM_KAFKA": str(broker), "LOOKSTREAM_HOME": str(home / "gateway")}
        ports = free_port(), free_port()
        commands = (
            ["lookstream", "gateway", "--port", str(ports[0])],
            ["benchmarks.bare_upload", str(home / "bare"), str(ports[1])],
        )
        processes = [_started(command, settings) for command in commands]
        try:
            for port in ports:
                _until_it_accepts(port)
            with urlopen(f"http://127.0.0.1:{ports[0]}/health/ready", timeout=10):
                pass
            gateway, bare = map(_Served, processes, ports)
            yield gateway, bare
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
            broker.close()


def _started(module: list[str], settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", *module], env={**os.environ, **settings})


def _until_it_accepts(port: int, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not accepts(port):
        if time.monotonic() > deadline:
            raise RuntimeError("a server did not start")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
