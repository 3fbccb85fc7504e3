"""What can go wrong with what travels.

    StreamError
    ├── BrokerUnavailable   Kafka is out of reach now
    ├── UndecodableEvent    a record that is not one of our events
    ├── EventTooLarge       the broker takes no record of that size
    ├── UnknownStage        a stage that nobody plays
    ├── TopicNotReplayable  a topic that no stage reads
    └── InvalidBrokerUrl    a LOOKSTREAM_KAFKA that cannot be read

Drivers' own errors (confluent_kafka, cloudevents, pydantic) never leave this package.
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


class InvalidBrokerUrl(StreamError):
    code = "invalid-broker-url"
