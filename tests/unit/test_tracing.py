"""Traces: an event carries the context of its span, and a span's parent is its event's context."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, NoOpTracer, SpanKind, StatusCode, Tracer
from starlette.datastructures import Headers

from agents.runtime.metrics import StageMetrics
from agents.stages.errors import Rejected
from agents.tracking.projection import TrackingProcessor
from gateway.http.context import join_trace
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.jobs.sqlite.store import SqliteJobs
from streams.broker.records import Record
from streams.events.codec import encode
from streams.events.models import ImageSubmitted, Source
from streams.events.tracing import (
    new_traceparent,
    start_span,
    start_traces,
    trace_id_of,
    traceparent_of,
)
from streams.stages.graph import StageGraph
from streams.stages.registry import PIPELINE, RESULT_EVENTS
from tests.publishing import MemoryPublisher
from tests.sewing import SEW, TRACE, Sewing, cut, raising

TRACE_ID = trace_id_of(TRACE)


class Traces:
    """A tracer and its finished spans."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[dict[str, object]]:
        return [
            {
                "name": span.name,
                "parent": span.parent and f"{span.parent.span_id:016x}",
                "itself": traceparent_of(NonRecordingSpan(span.context)),
                "failed": span.status.status_code is StatusCode.ERROR,
                "facts": dict(span.attributes or {}),
            }
            for span in self._exporter.get_finished_spans()
        ]


@pytest.fixture
def traces() -> Iterator[Traces]:
    traces = Traces()
    yield traces
    traces.provider.shutdown()


@pytest.fixture
def sewing(tmp_path: Path) -> Iterator[Sewing]:
    sewing = Sewing(tmp_path)
    yield sewing
    sewing.pool.close()


def test_a_span_is_its_event_s_child(traces: Traces) -> None:
    span = start_span(traces.tracer, "pose", kind=SpanKind.CONSUMER, parent=TRACE, attributes={})
    span.end()
    (kept,) = traces.spans
    assert kept["parent"] == TRACE.split("-")[2]
    assert kept["itself"] == traceparent_of(span)
    assert trace_id_of(traceparent_of(span)) == TRACE_ID


@pytest.mark.parametrize("parent", [None, ""])
def test_without_a_parent_a_trace_begins(traces: Traces, parent: str | None) -> None:
    with traces.tracer.start_as_current_span("something else that goes on here"):
        span = start_span(
            traces.tracer, "pose", kind=SpanKind.CONSUMER, parent=parent, attributes={}
        )
        span.end()
    assert traces.spans[0]["parent"] is None


def test_an_unsampled_parent_gives_an_unsampled_span(traces: Traces) -> None:
    parent = new_traceparent()
    span = start_span(traces.tracer, "pose", kind=SpanKind.CONSUMER, parent=parent, attributes={})
    span.end()
    assert traces.spans == []
    assert trace_id_of(traceparent_of(span)) == trace_id_of(parent)
    assert str(traceparent_of(span)).endswith("-00")


@pytest.mark.parametrize("parent", [TRACE, None])
def test_without_tracing_the_parent_is_passed_on(parent: str | None) -> None:
    span = start_span(NoOpTracer(), "pose", kind=SpanKind.CONSUMER, parent=parent, attributes={})
    assert traceparent_of(span) == parent


async def test_a_stage_s_result_carries_its_span(sewing: Sewing, traces: Traces) -> None:
    sewing.tracer = traces.tracer
    await sewing.process(SEW, cut(1), cut(2))
    assert [span["name"] for span in traces.spans] == ["sewing", "sewing"]
    assert {span["parent"] for span in traces.spans} == {TRACE.split("-")[2]}
    assert [span["itself"] for span in traces.spans] == sewing.published.traces
    facts = traces.spans[0]["facts"]
    assert isinstance(facts, dict)
    assert facts["lookstream.job_id"] == cut(1).job_id
    assert facts["messaging.destination.name"] == "cloth-cut"
    assert facts["lookstream.reused"] is False


async def test_a_failure_is_recorded_in_the_span(sewing: Sewing, traces: Traces) -> None:
    sewing.tracer = traces.tracer
    await sewing.process(raising(Rejected("too-thin", "This cloth is too thin.")), cut(1))
    (span,) = traces.spans
    assert span["failed"]
    assert sewing.published.traces == [span["itself"]]
    assert isinstance(span["facts"], dict)
    assert span["facts"]["error.type"] == "too-thin"


async def test_trackings_span_belongs_to_the_trace_of_its_event(
    traces: Traces, tmp_path: Path
) -> None:
    """Tracking starts no trace for a submission without one: the first stage does."""
    jobs, published = SqliteJobs(tmp_path / "jobs.sqlite"), MemoryPublisher()
    tracking = TrackingProcessor(
        RESULT_EVENTS,
        graph=StageGraph(PIPELINE),
        jobs=jobs,
        artifacts=DirectoryArtifacts(tmp_path, LinkSigner(b"a secret for the tests", "")),
        publisher=published,
        metrics=StageMetrics(),
        tracer=traces.tracer,
    )
    await tracking.process([submission(1, TRACE), submission(2, None)])
    await jobs.close()
    (span,) = traces.spans
    assert (span["name"], span["parent"]) == ("tracking", TRACE.split("-")[2])
    assert sorted(published.traces, key=str) == [span["itself"], None]


def submission(number: int, trace: str | None) -> Record:
    event = ImageSubmitted(job_id=cut(number).job_id, source=Source(url="http://a/b.jpg"))
    made = encode(event, source="/tests", traceparent=trace)
    return Record(made.topic, 0, number, made.key, made.value, made.headers)


def test_the_sweepers_events_start_new_traces(traces: Traces) -> None:
    with start_traces(traces.tracer, "sweep", [cut(1), cut(2)]) as traced:
        assert traces.spans == []
    assert [event for event, _ in traced] == [cut(1), cut(2)]
    assert [span["itself"] for span in traces.spans] == [trace for _, trace in traced]
    assert len({trace_id_of(trace) for _, trace in traced}) == 2
    assert {span["parent"] for span in traces.spans} == {None}


def joined(*headers: tuple[str, str]) -> tuple[str, Headers]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "path": "/v1/jobs", "headers": raw}
    return join_trace(scope), Headers(scope=scope)


def test_a_request_joins_its_callers_trace() -> None:
    trace, headers = joined(("traceparent", TRACE))
    assert trace == TRACE == headers["traceparent"]


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "nonsense",
        f"ff{TRACE[2:]}",
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        TRACE.upper(),
    ],
)
def test_a_request_without_a_valid_trace_gets_an_unsampled_one(asked: str) -> None:
    trace, headers = joined(("traceparent", asked), ("accept", "*/*"))
    assert trace.startswith("00-")
    assert trace.endswith("-00")
    assert trace != asked
    assert headers.getlist("traceparent") == [trace]
    assert headers["accept"] == "*/*"


def test_the_current_span_takes_precedence_over_the_header(traces: Traces) -> None:
    with traces.tracer.start_as_current_span("POST /v1/jobs") as span:
        trace, _ = joined(("traceparent", TRACE))
    assert trace == traceparent_of(span)
