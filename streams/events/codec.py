"""Convert events to and from Kafka records as CloudEvents 1.0, with the official SDK.

Writes binary content mode; reads binary and structured mode. Source of the mapping: CloudEvents
Kafka protocol binding 1.0.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from streams.broker.records import HEADER_BYTES, Headers, Record
from streams.errors import EventTooLarge, UndecodableEvent
from streams.events.limits import VALUE_BYTES
from streams.events.models import Event

_FORMAT = JSONFormat()
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_FAULT_CHARACTERS = 500
CLOCK_SKEW = timedelta(minutes=1)
"""An event's time may be this much later than our clock."""


@dataclass(frozen=True)
class Envelope:
    """A decoded event with the attributes of its CloudEvent. ``time`` is UTC."""

    event: Event
    id: str
    time: datetime
    traceparent: str | None = None


@dataclass(frozen=True)
class Encoded:
    """An event as a Kafka record to produce."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def event_type(topic: str) -> str:
    """Return the CloudEvents type of a topic's events."""
    return f"lookstream.{topic}.v1"


def encode(event: Event, *, source: str, traceparent: str | None = None) -> Encoded:
    """Return the record of an event. ``source`` names the sender, such as ``/lookstream/gateway``.

    Raises `EventTooLarge`, and ValueError for values that are not JSON (NaN, lone surrogates).
    """
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(uuid_utils.uuid7()),
        "source": source,
        "type": event_type(event.topic),
        "subject": event.job_id,
        "time": datetime.now(UTC),
        "datacontenttype": "application/json",
    }
    if traceparent:
        attributes["traceparent"] = traceparent
    data = event.model_dump(mode="json", exclude_none=True)
    json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
    message = to_binary(CloudEvent(attributes, data), _FORMAT, lambda _: event.job_id)
    headers = tuple(message.headers.items())
    if (size := len(message.value or b"")) > VALUE_BYTES:
        raise EventTooLarge(f"the event has {size} bytes; {VALUE_BYTES} are allowed")
    return Encoded(event.topic, event.job_id.encode(), message.value, headers)


class Decoder:
    """Decodes records by the event model of their topic."""

    def __init__(self, models: Iterable[type[Event]]) -> None:
        self._models: Mapping[str, type[Event]] = {model.topic: model for model in models}

    def decode(self, record: Record) -> Envelope:
        """Return the event in a record. Raises `UndecodableEvent` with the reason."""
        _check_size(record)
        model = self._models.get(record.topic)
        if model is None:
            raise UndecodableEvent(f"topic {record.topic} has no event model")
        cloud_event = _cloud_event(record)
        if (found := cloud_event.get_type()) != event_type(record.topic):
            wanted = event_type(record.topic)
            raise UndecodableEvent(_printable(f"the type is {found!r}, not {wanted!r}"))
        try:
            event = model.model_validate(_data(cloud_event))
        except ValidationError as error:
            raise UndecodableEvent(_first_fault(error)) from error
        except Exception as error:  # the validators of a custom stage's payload may raise anything
            raise UndecodableEvent(_printable(f"the event is invalid: {error!r}")) from error
        trace = _traceparent(cloud_event.get_attributes().get("traceparent"))
        return Envelope(event, cloud_event.get_id(), _time(cloud_event), trace)


def _check_size(record: Record) -> None:
    if (size := len(record.value or b"")) > VALUE_BYTES:
        raise UndecodableEvent(f"the value has {size} bytes; {VALUE_BYTES} are allowed")
    if (size := record.header_bytes) > HEADER_BYTES:
        raise UndecodableEvent(f"the headers have {size} bytes; {HEADER_BYTES} are allowed")


def _cloud_event(record: Record) -> CloudEvent:
    headers = {name: value for name, value in record.headers if value is not None}
    message = KafkaMessage(headers=headers, key=None, value=record.value or b"")
    try:
        event = from_kafka(message, _FORMAT, CloudEvent)
    except Exception as error:
        # The SDK also raises errors of json, dateutil and unicode; all mean the same here.
        raise UndecodableEvent(f"not a CloudEvent: {_printable(error)}") from error
    assert isinstance(event, CloudEvent)  # noqa: S101 - the factory above makes nothing else
    return event


def _data(event: CloudEvent) -> Any:
    """Return the data as JSON values, even without a content type.

    Raises `UndecodableEvent` for NaN, lone surrogates and very deep nesting: Python's JSON parser
    accepts them, but the stores cannot keep them.
    """
    data = event.get_data()
    try:
        if isinstance(data, str | bytes):
            data = json.loads(data)
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise UndecodableEvent(f"data is not JSON: {_printable(error)}") from error
    return data


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "data"
    return _printable(f"{where}: {fault['msg']}")


def _time(event: CloudEvent) -> datetime:
    """Return the event's time in UTC. A missing time, and a time more than `CLOCK_SKEW` in the
    future, become the present time.

    Otherwise a job with a submission in the far future would always be the first in listings.
    Raises `UndecodableEvent` for a time that cannot be expressed in UTC.
    """
    now = datetime.now(UTC)
    time = event.get_time() or now
    try:
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise UndecodableEvent(f"the time is out of range: {time.isoformat()}") from error
    return time if time <= now + CLOCK_SKEW else now


def _traceparent(value: Any) -> str | None:
    """Return ``value`` if it is a W3C trace context, else None."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else None


def _printable(error: BaseException | str) -> str:
    """Return the error's text, shortened, without characters that cannot be encoded."""
    text = str(error)[:_FAULT_CHARACTERS]
    return text.encode(errors="backslashreplace").decode()
