"""Render the AsyncAPI document as Markdown: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = """# The events

Generated from the event models by `make contracts`. The AsyncAPI document is
[asyncapi.json](asyncapi.json); a running gateway serves it at `/asyncapi.json`.
"""


def events_page(document: Mapping[str, Any]) -> str:
    """Return Markdown: an introduction, and one section for each topic with its summary, its
    description if it has one, and a table of the fields if its payload has a schema."""
    lines = [_HEAD, document["info"]["description"], ""]
    for topic, channel in document["channels"].items():
        (name,) = channel["messages"]
        message = document["components"]["messages"][name]
        lines += [f"## `{topic}`", "", message["summary"], ""]
        if "description" in message:
            lines += [message["description"], ""]
        lines += _table(message, document["components"]["schemas"])
    return "\n".join(lines).rstrip() + "\n"


def _table(message: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    if "$ref" not in message["payload"]:
        return []
    schema = schemas[_name(message["payload"]["$ref"])]
    rows = [
        f"| `{field}` | {_type(each)} | {'yes' if field in schema.get('required', ()) else ''} |"
        for field, each in schema["properties"].items()
    ]
    parts = [
        line
        for name in _nested_schemas(schema, schemas)
        for line in _nested_schema(name, schemas[name])
    ]
    return ["| field | type | required |", "|---|---|---|", *rows, "", *parts]


def _nested_schema(name: str, schema: Mapping[str, Any]) -> list[str]:
    fields = ", ".join(f"`{field}` {_type(each)}" for field, each in schema["properties"].items())
    return [f"`{name}`: {fields}.", ""]


def _nested_schemas(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """Return the names of all nested schemas, each once, outer ones first."""
    found: dict[str, None] = {}
    waiting = list(_references(schema))
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += _references(schemas[name])
    return list(found)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$ref" in value:
            yield _name(value["$ref"])
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{_name(schema['$ref'])}`"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type") or "any")
