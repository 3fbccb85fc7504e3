"""A Prometheus server (Debian's package) that scrapes test processes, with our alert rules."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from deploy.local.server import free_port
from tests.polling import until
from tests.servers import give_up

SHIPPED = Path(__file__).parents[1] / "deploy" / "prometheus"


class Prometheus:
    """A running Prometheus server."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=10, trust_env=False)

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._http.get("/-/ready").status_code == 200
        return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series of an instant query; fail if Prometheus refuses the query."""
        answer = self._http.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def values(self, query: str) -> list[float]:
        """Return the numeric values of an instant query."""
        values = [float(series["value"][1]) for series in self.ask(query)]
        return [value for value in values if not math.isnan(value)]

    def rules(self) -> list[dict[str, Any]]:
        """Return the alert rules with the health of their evaluation."""
        groups = self._http.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def close(self) -> None:
        self._http.close()


@contextlib.contextmanager
def prometheus(folder: Path, targets: Mapping[str, Sequence[str]]) -> Iterator[Prometheus]:
    """Run a server that scrapes the targets (``host:port``, by job) every second."""
    program = installed("prometheus")
    port = free_port()
    config = folder / "prometheus.json"  # which is YAML too
    config.write_text(json.dumps(_config(targets)))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        until(running.ready)
        yield running
    finally:
        running.close()
        process.terminate()
        process.wait(20)


def installed(program: str) -> str:
    """Return the path of a Prometheus program from Debian's package."""
    found = shutil.which(program)
    if found is None:
        give_up(f"{program} is not installed: apt-get install prometheus")
    return found


def _config(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(SHIPPED / "alerts.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(addresses)}]}
            for job, addresses in targets.items()
        ],
    }
