"""Generate the AsyncAPI 3.0 document from the event models: pure.

Source: AsyncAPI 3.0.0, and its Kafka bindings 0.5.0. Headers are those of the CloudEvents Kafka
protocol binding 1.0.2, binary mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc, getdoc
from typing import Any

from pydantic.json_schema import models_json_schema

from streams.broker.records import HEADER_BYTES
from streams.broker.topics import DEAD_LETTERS, Topic
from streams.events.codec import event_type
from streams.events.models import Event

_SCHEMAS = "#/components/schemas/"
_BINDING = "0.5.0"
_UUID = {"type": "string", "format": "uuid"}

_DESCRIPTION = """
These are the events of Lookstream on Kafka. Every event is a CloudEvent 1.0 in binary content mode:
the headers of the Kafka record are the attributes of the CloudEvent, the value of the record is its
data, and the key of the record is the job's id. Lookstream also reads structured content mode.

To submit a photo, publish `image-submitted` with any Kafka client. Lookstream ignores unknown
fields. Later versions may add fields, so consumers must ignore unknown fields too.

Every event has `job_id`, `run` (the number of the job's run, from 1) and `lane`. Results of stages
also have `sha256` (of the photo), `stages` (of this run), `force`, `attempts`, `started_at`, and
`reused` (the result was cached).

Every text, list and map has a limit. The value of a record has at most 1,000,000 bytes. Its headers
have at most 32,000 bytes in all: names, values, and 10 bytes for each header. A record over a limit
is not processed: it becomes a dead letter. A time more than one minute in the future counts as now.
"""


def asyncapi(
    models: Iterable[type[Event]], topics: Iterable[Topic], *, broker: str, version: str
) -> dict[str, Any]:
    """Return the document of ``models`` on their ``topics``; ``broker`` is ``host:port``.

    A topic without a model is described as the topic of dead letters.
    """
    by_topic = {model.topic: model for model in models}
    planned = {topic.name: topic for topic in topics}
    schemas = _schemas(by_topic.values())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lookstream events",
            "version": version,
            "description": cleandoc(_DESCRIPTION),
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": broker, "protocol": "kafka"}},
        "channels": {name: _channel(topic, by_topic) for name, topic in planned.items()},
        "operations": _operations(planned, by_topic),
        "components": {
            "messages": {
                **{model.__name__: _message(model) for model in by_topic.values()},
                "DeadLetter": _DEAD_LETTER,
            },
            "schemas": schemas,
        },
    }


def _schemas(models: Iterable[type[Event]]) -> dict[str, Any]:
    """Return the JSON Schema of each model and of each nested model."""
    wanted: list[Any] = [(model, "validation") for model in models]
    _, found = models_json_schema(wanted, ref_template=_SCHEMAS + "{model}")
    schemas: dict[str, Any] = found.get("$defs", {})
    return schemas


def _message_name(topic: str, models: Mapping[str, type[Event]]) -> str:
    return models[topic].__name__ if topic in models else "DeadLetter"


def _channel(topic: Topic, models: Mapping[str, type[Event]]) -> dict[str, Any]:
    name = _message_name(topic.name, models)
    configuration: dict[str, Any] = {"cleanup.policy": [topic.config["cleanup.policy"]]}
    if "retention.ms" in topic.config:
        configuration["retention.ms"] = int(topic.config["retention.ms"])
    return {
        "address": topic.name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operations(topics: Iterable[str], models: Mapping[str, type[Event]]) -> dict[str, Any]:
    """Return the operations: the system receives `image-submitted` and sends all other topics."""
    operations = {}
    for topic in topics:
        action = "receive" if topic == "image-submitted" else "send"
        name = _message_name(topic, models)
        operations[f"{action}{name}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic}"},
            "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"}],
        }
    return operations


def _message(model: type[Event]) -> dict[str, Any]:
    # getdoc() returns the payload's docstring for a result without its own.
    summary, _, rest = (getdoc(model) or "").replace("``", "`").partition("\n\n")
    return {
        "name": event_type(model.topic),
        "title": _spaced(model.__name__),
        "summary": " ".join(summary.split()),
        **({"description": rest} if rest else {}),
        "contentType": "application/json",
        "headers": _headers(model.topic),
        "payload": {"$ref": _SCHEMAS + model.__name__},
        "bindings": {"kafka": {"key": _UUID, "bindingVersion": _BINDING}},
    }


def _headers(topic: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
        "properties": {
            "ce_specversion": {"const": "1.0"},
            "ce_id": {
                "type": "string",
                "maxLength": HEADER_BYTES,
                "description": "unique for each ce_source",
            },
            "ce_source": {
                "type": "string",
                "format": "uri-reference",
                "maxLength": HEADER_BYTES,
            },
            "ce_type": {"const": event_type(topic)},
            "ce_subject": {**_UUID, "description": "the job's id"},
            "ce_time": {"type": "string", "format": "date-time", "maxLength": HEADER_BYTES},
            "ce_traceparent": {
                "type": "string",
                "maxLength": 55,
                "description": "W3C Trace Context; another value is ignored",
            },
            "content-type": {"const": "application/json"},
        },
    }


_DEAD_LETTER: dict[str, Any] = {
    "name": DEAD_LETTERS,
    "title": "Dead letter",
    "summary": "A record that could not be processed; added headers give the reason.",
    "description": "Key, value and headers are unchanged. `headers.dropped` counts the headers "
    "over the limit that were dropped. A value that is too large for the broker is dropped.",
    "headers": {
        "type": "object",
        "properties": {
            f"__connect.errors.{name}": {"type": "string"}
            for name in (
                "topic",
                "partition",
                "offset",
                "stage",
                "exception.class.name",
                "exception.message",
                "exception.stacktrace",
            )
        }
        | {name: {"type": "string"} for name in ("attempts", "group", "code", "headers.dropped")},
    },
    "payload": {},
}


def _spaced(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
