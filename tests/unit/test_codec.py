"""Events encode to records and decode back. All other records raise `UndecodableEvent`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import field_validator

from streams.broker.records import HEADER_BYTES, Headers, Record
from streams.errors import EventTooLarge, UndecodableEvent
from streams.events.codec import CLOCK_SKEW, Decoder, Encoded, Envelope, encode, event_type
from streams.events.limits import METADATA_BYTES, VALUE_BYTES
from streams.events.models import Event, ImageSubmitted, JobDeleted, JobUpdated, StageFailed
from streams.stages.registry import RESULT_EVENTS
from tests.golden_records import golden_record

EVENTS: tuple[type[Event], ...] = (
    ImageSubmitted,
    *RESULT_EVENTS,
    StageFailed,
    JobUpdated,
    JobDeleted,
)
DECODER = Decoder(EVENTS)
JOB = "01941f29-7c00-7000-8000-000000000001"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUBMITTED = {"job_id": JOB, "source": {"url": "https://example.com/a.jpg"}}
BINARY: dict[str, bytes] = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/tests",
    "ce_type": b"lookstream.image-submitted.v1",
    "content-type": b"application/json",
}


def record(value: bytes | None, headers: Headers, topic: str = "image-submitted") -> Record:
    return Record(topic, partition=0, offset=7, key=JOB.encode(), value=value, headers=headers)


def recorded(encoded: Encoded) -> Record:
    return Record(encoded.topic, 0, 7, encoded.key, encoded.value, encoded.headers)


def binary(data: object = SUBMITTED, **changed: bytes | None) -> Record:
    headers = {**BINARY, **changed}
    value = data if isinstance(data, bytes) else json.dumps(data).encode()
    return record(value, tuple((name, item) for name, item in headers.items() if item is not None))


def structured(data: object = SUBMITTED, **attributes: object) -> Record:
    event = {"specversion": "1.0", "id": "1", "source": "/tests", "data": data}
    event |= {"type": "lookstream.image-submitted.v1", **attributes}
    return record(json.dumps(event).encode(), (("content-type", b"application/cloudevents+json"),))


def decoded(given_record: Record) -> Envelope:
    return DECODER.decode(given_record)


def reason(given_record: Record) -> str:
    with pytest.raises(UndecodableEvent) as caught:
        DECODER.decode(given_record)
    return str(caught.value)


@pytest.mark.parametrize("model", EVENTS, ids=lambda model: model.topic)
def test_every_event_comes_back_as_it_went(model: type[Event]) -> None:
    event = decoded(golden_record(model.topic)).event
    encoded = encode(event, source="/tests", traceparent=TRACE)
    again = decoded(recorded(encoded))
    assert again.event == event
    assert type(again.event) is model
    assert again.traceparent == TRACE


def test_a_record_says_in_its_headers_what_it_is() -> None:
    event = ImageSubmitted.model_validate(SUBMITTED)
    encoded = encode(event, source="/lookstream/gateway", traceparent=TRACE)
    headers = dict(encoded.headers)
    assert (encoded.topic, encoded.key) == ("image-submitted", JOB.encode())
    assert headers["ce_type"] == event_type("image-submitted").encode()
    assert headers["ce_subject"] == JOB.encode()
    assert headers["ce_source"] == b"/lookstream/gateway"
    assert headers["ce_traceparent"] == TRACE.encode()
    assert headers["content-type"] == b"application/json"
    assert json.loads(encoded.value or b"")["source"] == {"url": "https://example.com/a.jpg"}


def test_two_records_of_one_event_have_ids_of_their_own() -> None:
    event = ImageSubmitted.model_validate(SUBMITTED)
    ids = {dict(encode(event, source="/tests").headers)["ce_id"] for _ in range(2)}
    assert len(ids) == 2


def test_structured_mode_reads_the_same() -> None:
    envelope = decoded(structured(time="2026-01-02T03:04:05+02:00", traceparent=TRACE))
    assert envelope.event == decoded(binary()).event
    assert envelope.time == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert envelope.traceparent == TRACE


def test_a_content_type_may_be_left_out() -> None:
    bare = tuple((name, value) for name, value in BINARY.items() if name != "content-type")
    assert decoded(record(json.dumps(SUBMITTED).encode(), bare)).event.job_id == JOB


def test_unknown_fields_are_ignored() -> None:
    data = {**SUBMITTED, "invented": 1, "source": {"url": "https://example.com/a.jpg", "new": 2}}
    assert decoded(binary(data)).event == decoded(binary()).event


def test_an_empty_time_is_now() -> None:
    before = datetime.now(UTC)
    assert before <= decoded(binary()).time <= datetime.now(UTC)


@pytest.mark.parametrize("trace", [5, "nonsense", "\ud800", {"a": 1}, None])
def test_what_is_no_trace_context_is_no_trace(trace: object) -> None:
    assert decoded(structured(traceparent=trace)).traceparent is None


WRONG: dict[str, tuple[Record, str]] = {
    "another type": (binary(ce_type=b"com.example.v1"), "type is 'com.example.v1'"),
    "another version of ours": (
        binary(ce_type=b"lookstream.image-submitted.v2"),
        "not 'lookstream.image-submitted.v1'",
    ),
    "another specversion": (binary(ce_specversion=b"0.3"), "specversion"),
    "no type": (binary(ce_type=None), "not a CloudEvent"),
    "no headers": (record(json.dumps(SUBMITTED).encode(), ()), "not a CloudEvent"),
    "a header that is not UTF-8": (binary(ce_source=b"\xff"), "not a CloudEvent"),
    "a time that is none": (binary(ce_time=b"noon"), "not a CloudEvent"),
    "a time before the first": (binary(ce_time=b"0001-01-01T00:00:00+23:00"), "out of range"),
    "a time after the last": (structured(time="9999-12-31T23:59:59-23:00"), "out of range"),
    "broken JSON": (binary(b'{"job_id": '), "not JSON"),
    "not UTF-8": (binary(b"\xff\xfe"), "not JSON"),
    "NaN": (binary(b'{"job_id": "%s", "metadata": {"a": NaN}}' % JOB.encode()), "not JSON"),
    "half a surrogate": (binary({**SUBMITTED, "owner": "\ud800"}), "not JSON"),
    "half a surrogate in a name": (structured(**{"\ud800": "x"}), "not a CloudEvent"),
    "a number of 5,000 digits": (binary(b"9" * 5000), "not JSON"),
    "brackets without end": (binary(b"[" * 100_000), "not a CloudEvent"),
    "nothing at all": (record(None, tuple(BINARY.items())), "data"),
    "a list": (binary([]), "data"),
    "no job_id": (binary({"source": {"url": "https://example.com"}}), "job_id: Field required"),
    "a job_id that is no UUID": (binary({**SUBMITTED, "job_id": "seven"}), "job_id"),
    "no source": (binary({"job_id": JOB}), "source"),
    "two sources": (binary({**SUBMITTED, "source": {"url": "x", "object": "y"}}), "exactly one"),
    "a run of none": (binary({**SUBMITTED, "run": 0}), "run"),
    "a run beyond every database": (binary({**SUBMITTED, "run": 2**64}), "run"),
    "a number beyond 64 bits": (binary({**SUBMITTED, "metadata": {"a": [2**63]}}), "63 bits"),
    "metadata too deep": (
        binary(json.dumps({**SUBMITTED, "metadata": {"a": 0}}).encode().replace(
            b'"a": 0', b'"a": ' + b"[" * 40 + b"]" * 40
        )),
        "nested deeper",
    ),
    "a value over the limit": (
        binary({**SUBMITTED, "note": "x" * VALUE_BYTES}), "bytes; 1000000 are allowed"
    ),
    "headers over the limit": (binary(x=b"x" * HEADER_BYTES), "bytes; 32000 are allowed"),
    "a group over its limit": (binary({**SUBMITTED, "group": "g" * 257}), "group"),
    "too many stages": (binary({**SUBMITTED, "stages": ["pose"] * 201}), "stages"),
    "a stage over its limit": (binary({**SUBMITTED, "stages": ["p" * 101]}), "stages.0"),
    "metadata over its limit": (
        binary({**SUBMITTED, "metadata": {"a": "x" * METADATA_BYTES}}), "bytes as JSON"
    ),
    "a topic of others": (record(b"{}", (), topic="elsewhere"), "has no event model"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_event_says_why(name: str) -> None:
    wrong, why = WRONG[name]
    found = reason(wrong)
    assert why in found
    found.encode()  # can be logged, published and dead-lettered


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
submissions = st.dictionaries(
    st.sampled_from(["job_id", "source", "run", "lane", "stages", "metadata", "owner", "force"]),
    json_values | st.just(JOB) | st.just({"url": "https://example.com/a.jpg"}),
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=60),
    (json_values | submissions).map(lambda value: json.dumps(value).encode()),
)
names = st.sampled_from([*BINARY, "ce_time", "ce_subject", "ce_traceparent", "ce_data"]) | st.text()
contents = st.sampled_from([*BINARY.values(), b"application/cloudevents+json"]) | st.binary()


def attempt(given_record: Record) -> None:
    try:
        envelope = DECODER.decode(given_record)
    except UndecodableEvent as error:
        str(error).encode()
    else:
        encode(envelope.event, source="/tests", traceparent=envelope.traceparent)


@given(headers=st.lists(st.tuples(names, contents), max_size=8), value=bodies)
def test_no_record_at_all_raises_anything_else(
    headers: list[tuple[str, bytes]], value: bytes | None
) -> None:
    attempt(record(value, tuple(headers)))
    attempt(record(value, (*BINARY.items(), *headers)))


@given(attributes=st.dictionaries(st.text(max_size=8), json_values, max_size=4), data=submissions)
def test_no_structured_record_raises_anything_else(
    attributes: dict[str, Any], data: dict[str, Any]
) -> None:
    attempt(structured(**{**attributes, "data": data}))


FIELDS = {model.topic: json.loads(golden_record(model.topic).value or b"") for model in EVENTS}
poisonous = st.one_of(
    json_values,
    st.sampled_from(
        [2**31, 2**63, 10**400, -1, 0, 1e308, "x" * 3_000, ["x"] * 300, {"x" * 200: "x"}]
    ),
    st.sampled_from(["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", 1e20, "\ud800"]),
)


@given(data=st.data(), model=st.sampled_from(EVENTS))
def test_no_value_in_any_field_of_any_event_raises_anything_else(
    data: st.DataObject, model: type[Event]
) -> None:
    fields = FIELDS[model.topic]
    changed = data.draw(st.dictionaries(st.sampled_from(sorted(fields)), poisonous, max_size=3))
    headers = tuple(golden_record(model.topic).headers)
    attempt(record(json.dumps({**fields, **changed}).encode(), headers, model.topic))


@given(data=st.data(), model=st.sampled_from(EVENTS))
def test_no_value_inside_any_event_raises_anything_else(
    data: st.DataObject, model: type[Event]
) -> None:
    """Replace one value at any depth."""
    fields = json.loads(json.dumps(FIELDS[model.topic]))
    place: Any = fields
    while isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(poisonous)
            break
        place = place[key]
    attempt(record(json.dumps(fields).encode(), golden_record(model.topic).headers, model.topic))


def test_a_time_from_the_future_is_now() -> None:
    before = datetime.now(UTC)
    far = binary(ce_time=b"9999-12-31T00:00:00Z")
    assert before <= decoded(far).time <= datetime.now(UTC)


def test_a_clock_may_be_a_little_ahead() -> None:
    soon = datetime.now(UTC) + CLOCK_SKEW / 2
    assert decoded(binary(ce_time=soon.isoformat().encode())).time == soon


def test_an_event_that_is_too_large_is_not_encoded() -> None:
    class Wordy(ImageSubmitted):
        words: str

    with pytest.raises(EventTooLarge):
        encode(Wordy.model_validate({**SUBMITTED, "words": "x" * VALUE_BYTES}), source="/tests")


AMPLIFIED: dict[str, tuple[str, Any]] = {
    "stages": ("image-submitted", {"stages": [1] * 300_000}),
    "metadata": ("image-submitted", {"metadata": {f"{n}": {} for n in range(50_000)}}),
    "attributes": ("image-captioned", {"attributes": {f"{n}": 1 for n in range(80_000)}}),
    "top5": ("image-classified", {"top5": [{}] * 200_000}),
    "keypoints": ("pose-estimated", {"keypoints": [{}] * 200_000}),
    "shots": ("shots-cut", {"shots": [{}] * 200_000}),
    "thumbnails": ("image-thumbnailed", {"thumbnails": [{}] * 200_000}),
    "states": ("job-updated", {"stages": {f"{n}": 1 for n in range(80_000)}}),
    "error": ("job-updated", {"error": {f"{n}": 1 for n in range(80_000)}}),
}


@pytest.mark.parametrize("name", AMPLIFIED)
def test_long_lists_are_refused_before_their_items_are_read(name: str) -> None:
    topic, fields = AMPLIFIED[name]
    value = json.dumps({**FIELDS[topic], **fields}).encode()
    found = reason(record(value, golden_record(topic).headers, topic))
    assert re.search(r"has \d+ items; \d+ are allowed", found)


def test_an_error_of_a_custom_validator_is_undecodable() -> None:
    class Odd(ImageSubmitted):
        topic: ClassVar[str] = "odd"

        @field_validator("group")
        @classmethod
        def _broken(cls, value: str) -> str:
            raise KeyError(value)

    value = json.dumps({**SUBMITTED, "group": "g"}).encode()
    headers = {**BINARY, "ce_type": b"lookstream.odd.v1"}
    with pytest.raises(UndecodableEvent, match="KeyError"):
        Decoder([Odd]).decode(record(value, tuple(headers.items()), "odd"))
