"""Observability: one trace per job, log lines with the job id, and a dashboard with data."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import SETTINGS
from tests.acceptance.photos import photo, photos
from tests.acceptance.rest import accepted
from tests.acceptance.system import System
from tests.collector import Collector, Span, drawn
from tests.polling import until
from tests.prometheus import Prometheus, prometheus

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "lookstream.json"

CAUSES = {
    "validation": "POST /v1/jobs",
    "captioning": "validation",
    "classification": "validation",
    "pose": "validation",
    "thumbnailing": "validation",
    "shots": "pose",
    "annotation": "classification",
}
NOT_A_PHOTO = b"this is no photo"
DONE = 7
"""The number of good photos. One more photo fails. So few failures raise no alert."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def observed(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system whose traces are collected and whose logs are JSON."""
    settings = {
        **SETTINGS,
        "LOOKSTREAM_OTLP": collector.url,
        "LOOKSTREAM_LOG_FORMAT": "json",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    system = System(tmp_path_factory.mktemp("observed") / "data", settings)
    system.start()
    yield system
    system.close()


def test_one_trace_of_one_job(observed: System, collector: Collector) -> None:
    trace, caller = secrets.token_hex(16), secrets.token_hex(8)
    job_id = submitted(observed, photo("traced"), f"00-{trace}-{caller}-01")
    assert observed.finish(job_id)["status"] == "completed"
    # One span of the gateway, one per stage, and eight of tracking.
    spans: list[Span] = until(
        lambda: found if len(found := collector.trace(trace)) >= 1 + 7 + 8 else None, 20
    )
    print(drawn(spans))  # shown with -s
    assert len(spans) == 1 + 7 + 8

    by_id = {span.id: span for span in spans}
    (request,) = [span for span in spans if span.name == "POST /v1/jobs"]
    assert (request.parent, request.kind) == (caller, "server")
    assert request.service == "lookstream-gateway"
    for stage, cause in CAUSES.items():
        (span,) = [span for span in spans if span.name == stage]
        assert by_id[span.parent].name == cause
        assert (span.kind, span.service) == ("consumer", "lookstream-worker")
        assert span.began >= by_id[span.parent].began
    writes = [span for span in spans if span.name == "tracking"]
    assert {by_id[write.parent].name for write in writes} == {"POST /v1/jobs", *CAUSES}
    assert {span.facts["lookstream.job_id"] for span in spans if span is not request} == {job_id}
    assert max(spans, key=lambda span: span.ended).name == "tracking"
    assert not any(span.failed for span in spans)
    assert {span.trace for span in collector.of_job(job_id)} == {trace}


def test_a_failure_shows_in_its_span_and_in_a_log_line(
    observed: System, collector: Collector
) -> None:
    trace = secrets.token_hex(16)
    job_id = submitted(observed, NOT_A_PHOTO, f"00-{trace}-{secrets.token_hex(8)}-01")
    job = observed.finish(job_id)
    failures: list[Span] = until(
        lambda: [span for span in collector.trace(trace) if span.failed], 20
    )
    assert [span.name for span in failures] == ["validation"]
    assert failures[0].facts["error.type"] == job["error"]["code"]

    (failed,) = until(lambda: lines(observed, job_id, event="stage_failed"))
    assert failed["stage"] == "validation"
    assert (failed["run"], failed["trace_id"]) == (1, trace)
    assert failed["code"] == job["error"]["code"]
    (ended,) = until(lambda: lines(observed, job_id, event="job_ended"))
    assert (ended["status"], ended["trace_id"]) == ("failed", trace)


def test_a_trace_without_a_caller_begins_at_the_gateway(
    observed: System, collector: Collector
) -> None:
    (job_id,) = observed.submit(photo("nobody's child"))
    observed.finish(job_id)
    spans: list[Span] = until(
        lambda: found if len(found := collector.of_job(job_id)) >= 7 + 8 else None, 20
    )
    (trace,) = {span.trace for span in spans}
    first = collector.trace(trace)[0]
    assert (first.name, first.parent) == ("POST /v1/jobs", "")


def test_every_panel_of_the_dashboard_has_data(observed: System, tmp_path: Path) -> None:
    targets = {
        "gateway": [host_of(observed.gateway)],
        "workers": [host_of(page) for page in observed.worker_pages],
    }
    with prometheus(tmp_path, targets) as watching:
        until(lambda: watching.values("sum(up)") == [3.0])
        # A rate needs two scrapes with work between them.
        observed.finish_all(observed.submit(*photos("on the dashboard", DONE), NOT_A_PHOTO))
        answered(watching, dict(queries()))
        answered(watching, dict(truths()))
        assert {rule["health"] for rule in watching.rules()} == {"ok"}
        assert watching.values("sum(lookstream_stage_dead_letters_total)") == [0.0]


def answered(watching: Prometheus, wanted: dict[str, str]) -> None:
    """Wait until each query returns data. Prometheus sees new values at its next scrape."""

    def all_of_them() -> bool:
        for title, query in list(wanted.items()):
            if watching.values(query):
                del wanted[title]
        return not wanted

    try:
        until(all_of_them)
    except AssertionError:
        pytest.fail(f"no data for {wanted}")


def truths() -> Iterator[tuple[str, str]]:
    """Yield descriptions and queries of the conditions that hold after the work."""
    for stage in CAUSES:
        for histogram in ("work_seconds", "queue_wait_seconds", "batch_size"):
            of_it = f"{stage} has {histogram}"
            yield of_it, f'lookstream_stage_{histogram}_count{{stage="{stage}"}} > 0'
    done = 'lookstream_stage_computed_total{stage="pose"} + lookstream_stage_reused_total'
    yield "the photos are done", f"{done} >= {DONE}"
    rejected = 'lookstream_stage_failed_total{stage="validation",code!~"stage-.*"}'
    yield "one is refused", f"sum({rejected}) >= 1"
    yield "nothing is left to do", "sum(lookstream_stage_lag) == 0"
    yield "nothing is alarming", "(count(ALERTS) or vector(0)) == 0"


def queries() -> Iterator[tuple[str, str]]:
    """Yield the queries of the dashboard's panels, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    for panel in panels:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "1m").replace("$stage", ".*")
            yield f"{panel['title']} {target['refId']}", query


def submitted(system: System, content: bytes, traceparent: str) -> str:
    with system.http() as http:
        answer = http.post(
            "/v1/jobs", files={"files": ("1.jpg", content)}, headers={"traceparent": traceparent}
        )
    (job_id,) = accepted(answer)
    return job_id


def lines(system: System, job_id: str, **wanted: str) -> list[dict[str, Any]]:
    """Return the log lines of a job that have these fields."""
    said = [json.loads(line) for line in system.said().splitlines() if line.startswith("{")]
    facts = {"job_id": job_id, **wanted}.items()
    return [line for line in said if facts <= line.items()]


def host_of(address: str) -> str:
    return address.removeprefix("http://")
