"""Changes that break producers or consumers of an earlier release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# A smaller maximum or a larger minimum refuses values that were allowed before.
_CEILINGS = ("maxLength", "maximum", "maxItems", "maxProperties")
_FLOORS = ("minLength", "minimum", "minItems")
_MUST_STAY = ("type", "format", "pattern", "const")


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the breaking changes between two AsyncAPI documents; empty if there is none.

    Other programs read and write events. So a field may neither disappear nor become required, and
    its allowed values must not change.
    """
    return [
        *(f"topic {name} is gone" for name in old["channels"] if name not in new["channels"]),
        *_schemas(old["components"]["schemas"], new["components"]["schemas"]),
    ]


def _schemas(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in old.items():
        if name not in new:
            yield f"{name} is gone"
            continue
        for field in set(new[name].get("required", ())) - set(schema.get("required", ())):
            yield f"{name}.{field} is newly required"
        for field, each in schema.get("properties", {}).items():
            yield from _field(f"{name}.{field}", each, new[name].get("properties", {}).get(field))


def _field(where: str, old: Mapping[str, Any], new: Mapping[str, Any] | None) -> Iterator[str]:
    if new is None:
        yield f"{where} is gone"
        return
    for word in _MUST_STAY:
        if old.get(word) != new.get(word):
            yield f"{where}: {word} was {old.get(word)}, is {new.get(word)}"
    if set(old.get("enum", ())) != set(new.get("enum", ())):
        yield f"{where}: its values were {old.get('enum')}, are {new.get('enum')}"
    if old.get("$ref") != new.get("$ref"):
        yield f"{where} was a {old.get('$ref')}, is a {new.get('$ref')}"
    yield from _limits(where, old, new)
    yield from _inside(where, old, new)


def _limits(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for word in _CEILINGS:
        if word in new and word not in old:
            yield f"{where}: {word} is new"
        elif word in new and new[word] < old[word]:
            yield f"{where}: {word} is lower"
    for word in _FLOORS:
        if word in new and new[word] > old.get(word, float("-inf")):
            yield f"{where}: {word} is higher"


def _inside(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if len(old.get("anyOf", ())) != len(new.get("anyOf", ())):
        yield f"{where}: its alternatives changed"
        return
    for before, after in zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=True):
        yield from _field(where, before, after)
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), Mapping):
            after = new.get(word)
            yield from _field(
                f"{where}[]", old[word], after if isinstance(after, Mapping) else None
            )
