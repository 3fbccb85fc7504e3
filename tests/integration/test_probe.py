"""The containers' health check against a server that is ready, not ready, or absent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from prometheus_client import CollectorRegistry

from agents.workers.health import HealthServer
from deploy.local.server import HOST, free_port
from lookstream.supervisor.probe import main, port, reason

Serve = Callable[[Mapping[str, str]], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HealthServer] = []

    def serving(reasons: Mapping[str, str]) -> int:
        servers.append(HealthServer(HOST, 0, lambda: reasons, CollectorRegistry()))
        return servers[-1].port

    yield serving
    for server in servers:
        server.close()


def test_ready_is_healthy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    at = serve({})
    assert reason(at) is None
    monkeypatch.setenv("LOOKSTREAM_WORKER_PORT", str(at))
    assert main() == 0


def test_a_process_that_is_not_ready_gives_a_reason(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKSTREAM_WORKER_PORT", str(serve({"pose": "loading"})))
    assert main() == 1
    assert "loading" in capsys.readouterr().err


def test_without_a_process_it_is_not_ready() -> None:
    assert reason(free_port()) is not None


def test_the_worker_port_takes_precedence() -> None:
    assert port({"LOOKSTREAM_PORT": "8000"}) == 8000
    assert port({"LOOKSTREAM_PORT": "8000", "LOOKSTREAM_WORKER_PORT": "9100"}) == 9100
