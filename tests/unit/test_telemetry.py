"""Traces go to the collector; without a collector the SDK is not loaded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.trace import NoOpTracerProvider

from deploy.local.server import free_port
from lookstream.telemetry import ENDPOINT_VARIABLES, open_telemetry
from tests.collector import Collector

OFF = """
import sys
from lookstream.telemetry import open_telemetry
assert not open_telemetry("", "lookstream-worker").tracer.start_span("pose").is_recording()
print(sum(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in sys.modules))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINT_VARIABLES, "OTEL_SERVICE_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_address_the_sdk_is_not_loaded() -> None:
    assert isinstance(open_telemetry("", "lookstream-gateway").provider, NoOpTracerProvider)
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize("slash", ["", "/"])
def test_remaining_spans_are_sent_on_close(collector: Collector, slash: str) -> None:
    telemetry = open_telemetry(collector.url + slash, "lookstream-gateway")
    span = telemetry.tracer.start_span("sweep", attributes={"lookstream.job_id": "j-1"})
    span.end()
    telemetry.close()
    (sent,) = collector.of_job("j-1")
    assert (sent.name, sent.service, sent.parent) == ("sweep", "lookstream-gateway", "")
    assert int(sent.id, 16) == span.get_span_context().span_id


@pytest.mark.parametrize("variable", ENDPOINT_VARIABLES)
def test_standard_opentelemetry_variables_work(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    path = "/v1/traces" if "TRACES" in variable else ""
    monkeypatch.setenv(variable, collector.url + path)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "photos")
    telemetry = open_telemetry("", "lookstream-gateway")
    telemetry.tracer.start_span("sweep", attributes={"lookstream.job_id": "j-2"}).end()
    telemetry.close()
    (sent,) = collector.of_job("j-2")
    assert sent.service == "photos"


def test_an_unavailable_collector_does_not_delay_the_exit() -> None:
    telemetry = open_telemetry(f"http://127.0.0.1:{free_port()}", "lookstream-gateway")
    telemetry.tracer.start_span("sweep").end()
    began = time.monotonic()
    telemetry.close()
    assert time.monotonic() - began < 8
