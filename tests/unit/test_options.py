"""The options of a submission: metadata, group, stages, lane."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.http.problems import Problem
from gateway.submissions.options import LONGEST_GROUP, MOST_BYTES, Options, stage_names


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"sku": "D-1", "price": 12.5, "tags": ["a", None, True], "ü$.": {"deep": [{}]}},
        {"a": "x" * (MOST_BYTES - len('{"a":""}'))},
        {"a": "\\u0000 in words"},
        {"a": nested(29)},
    ],
)
def test_valid_metadata_is_unchanged(metadata: dict[str, Any]) -> None:
    assert Options.model_validate({"metadata": metadata}).metadata == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": float("nan")},
        {"a": float("-inf")},
        {"a": 2**63},
        {"a": [{"b": -1e19}]},
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": "\x00"},
        {"a": "\\\x00"},
        {"a": nested(40)},
    ],
)
def test_metadata_that_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"metadata": metadata})


def test_size_counts_in_bytes_of_utf8() -> None:
    with pytest.raises(Problem) as refused:
        Options.model_validate({"metadata": {"a": "é" * (MOST_BYTES // 2)}})
    assert refused.value.code == "metadata-too-large"


@pytest.mark.parametrize("group", ["a", "Frühling 2026 / Seite 7", "g" * LONGEST_GROUP, "🧥"])
def test_valid_groups_are_accepted(group: str) -> None:
    assert Options.model_validate({"group": group}).group == group


@pytest.mark.parametrize("group", ["g" * (LONGEST_GROUP + 1), "\n", "\x7f", "\x85", "\ud800", 1])
def test_groups_that_are_refused(group: object) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"group": group})


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], ()),
        ("", ()),
        ("pose, shots,", ("pose", "shots")),
        (["pose", "shots"], ("pose", "shots")),
    ],
)
def test_stages_are_a_list_or_text_with_commas(
    given: list[str] | str, names: tuple[str, ...]
) -> None:
    assert stage_names(given) == names
