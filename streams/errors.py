"""Errors of events and Kafka.

    StreamError
    ├── BrokerUnavailable   Kafka is unavailable now
    ├── UndecodableEvent    the record is not a known event
    ├── EventTooLarge       the broker refuses a record of this size
    ├── UnknownStage        no stage has this name
    ├── TopicNotReplayable  no stage consumes this topic
    ├── AclsRefused         Kafka has no authorizer, or forbids a change of its ACLs
    └── InvalidBrokerUrl    LOOKSTREAM_KAFKA is malformed

The package translates its drivers' errors (confluent_kafka, cloudevents, pydantic) into these.
"""

from __future__ import annotations

from typing import ClassVar


class StreamError(Exception):
    """Base of all errors of streams; ``code`` is stable and shared with REST and events."""

    code: ClassVar[str] = "stream-error"


class BrokerUnavailable(StreamError):
    code = "broker-unavailable"


class UndecodableEvent(StreamError):
    code = "undecodable-event"


class EventTooLarge(StreamError):
    code = "event-too-large"


class UnknownStage(StreamError):
    code = "unknown-stage"


class TopicNotReplayable(StreamError):
    code = "topic-not-replayable"


class AclsRefused(StreamError):
    code = "acls-refused"


class InvalidBrokerUrl(StreamError):
    code = "invalid-broker-url"
