"""The AsyncAPI document is valid, describes the golden records, and stays compatible."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from lookstream.contracts import contracts
from streams.events.models import Event
from streams.stages.registry import EVENTS, INTERNAL_EVENTS
from tests.asyncapi_specification import specification
from tests.compatibility import breaks
from tests.golden_records import GOLDEN, golden_record

DOCS = Path(__file__).parents[2] / "docs"
RELEASED = json.loads((GOLDEN / "asyncapi.released.json").read_text())

Document = dict[str, Any]


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    return contracts()


@pytest.fixture(scope="module")
def document(written: dict[str, str]) -> Document:
    found: Document = json.loads(written["asyncapi.json"])
    return found


@pytest.mark.parametrize("name", ["openapi.json", "asyncapi.json", "events.md"])
def test_generated_docs_are_up_to_date(written: dict[str, str], name: str) -> None:
    assert (DOCS / name).read_text() == written[name], "run `make contracts`"


def test_it_is_an_asyncapi_document(document: Document) -> None:
    faults = Draft7Validator(specification("3.0.0")).iter_errors(document)
    assert [fault.message for fault in faults] == []


@pytest.mark.parametrize("model", [*EVENTS, *INTERNAL_EVENTS], ids=lambda model: model.topic)
def test_golden_records_are_as_documented(document: Document, model: type[Event]) -> None:
    record = golden_record(model.topic)
    schemas = {"components": document["components"]}
    message = document["components"]["messages"][model.__name__]
    payload = Draft202012Validator({**schemas, **message["payload"]})
    assert [fault.message for fault in payload.iter_errors(json.loads(record.value or b""))] == []
    headers = {name: (value or b"").decode() for name, value in record.headers}
    assert Draft202012Validator(message["headers"]).is_valid(headers)


def test_every_event_has_a_topic(document: Document) -> None:
    assert {model.topic for model in EVENTS} <= set(document["channels"])


def test_nothing_breaks_old_producers_and_consumers(document: Document) -> None:
    """Version 0.2 gives every text, list, map and number its first limit (see the CHANGELOG)."""
    found = breaks(RELEASED, document)
    assert [each for each in found if not each.endswith(" is new")] == []


def _unlimited(schema: Any, where: str) -> Iterator[str]:
    """Yield the places in a JSON Schema without a limit. Text with few values needs none."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "string" and not {"maxLength", "enum", "const", "pattern", "format"} & set(
            schema
        ):
            yield where
        if kind == "array" and "maxItems" not in schema:
            yield where
        if kind == "object" and "additionalProperties" in schema and "maxProperties" not in schema:
            yield where
        if kind == "integer" and "maximum" not in schema:
            yield where
        for name, inner in schema.items():
            yield from _unlimited(inner, f"{where}.{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from _unlimited(inner, where)


def test_every_text_list_map_and_number_of_every_event_has_a_limit(document: Document) -> None:
    assert list(_unlimited(document["components"]["schemas"], "schemas")) == []


def _schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


BREAKING: dict[str, Callable[[Document], object]] = {
    "topic": lambda new: new["channels"].pop("shots-cut"),
    "event": lambda new: new["components"]["schemas"].pop("Shot"),
    "field": lambda new: _schema(new, "ImageCaptioned")["properties"].pop("caption"),
    "required": lambda new: _schema(new, "ImageSubmitted")["required"].append("owner"),
    "type": lambda new: _schema(new, "Thumbnail")["properties"]["width"].update(type="string"),
    "enum": lambda new: _schema(new, "JobUpdated")["properties"]["status"]["enum"].append("lost"),
    "shorter": lambda new: _schema(new, "ImageCaptioned")["properties"]["caption"].update(
        maxLength=40
    ),
    "items": lambda new: _schema(new, "ShotsCut")["properties"]["shots"]["items"].update(
        {"$ref": "#/components/schemas/Thumbnail"}
    ),
}


@pytest.mark.parametrize("change", BREAKING.values(), ids=BREAKING.keys())
def test_breaking_changes_are_detected(change: Callable[[Document], object]) -> None:
    new = copy.deepcopy(RELEASED)
    change(new)
    assert len(breaks(RELEASED, new)) == 1


def test_a_new_optional_field_breaks_nobody() -> None:
    new = copy.deepcopy(RELEASED)
    _schema(new, "ImageSubmitted")["properties"]["camera"] = {"type": "string"}
    assert breaks(RELEASED, new) == []
