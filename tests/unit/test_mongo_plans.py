"""Each MongoDB query can use an index, by MongoDB's documented rules.

FerretDB, which the tests run, scans the whole collection, so the tests compute the plans. The rules
are from MongoDB's manual ("The ESR Guideline", "Multikey Indexes"). An index serves a filter by its
first keys: keys with equality first, then the sort order or a range. `$in` is equality: the index
is read once for each value, and the results are merged ("explode for sort").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from storage.jobs.documents import cursor_after, timestamp
from storage.jobs.mongo.queries import query_filter
from storage.jobs.mongo.schema import INDEXES, LISTING_ORDER
from storage.jobs.store import JobQuery
from tests.naming import named

Keys = Sequence[tuple[str, int]]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
UNFINISHED = frozenset({"pending", "processing"})
MOST_MERGED = 200
"""MongoDB's own limit of scans that it merges (`internalQueryMaxScansToExplode`)."""


@dataclass(frozen=True)
class Plan:
    """How one index serves a filter.

    MongoDB reads ``scans`` ranges of the index. In each range, the filter limits the first
    ``bounded`` keys of the index. With ``in_order``, merging the ranges gives a page without a
    sort.
    """

    index: str
    scans: int
    bounded: int
    in_order: bool


def plans(query: JobQuery, indexes: Sequence[Keys] = INDEXES) -> list[Plan]:
    """Return the plan of each index that serves ``query``."""
    found = query_filter(query)
    return [plan for keys in indexes if (plan := _plan(found, keys)) is not None]


def _plan(found: Mapping[str, Any], keys: Keys) -> Plan | None:
    scans, equal = 1, 0
    for name, _ in keys:
        if (values := _points(found.get(name))) is None:
            break
        scans, equal = scans * values, equal + 1
    ranged = equal < len(keys) and found.get(keys[equal][0]) is not None
    if not equal and not ranged:
        return None
    in_order = list(keys[equal:]) == LISTING_ORDER and scans <= MOST_MERGED
    return Plan(",".join(name for name, _ in keys), scans, equal + ranged, in_order)


def _points(condition: Any) -> int | None:
    """Return the number of values that a key may have, or None for a range or no condition.

    Of several terms that a document must have, one bounds a multikey index.
    """
    if condition is None or not isinstance(condition, dict):
        return None if condition is None else 1
    if "$all" in condition:
        return 1
    return len(condition["$in"]) if "$in" in condition else None


ON = cursor_after({"sort_at": timestamp(NOON), "job_id": "a"})
BY_STATUS = "status,sort_at,_id"
BY_GROUP = "group,status,sort_at,_id"
BY_OWNER = "owner,status,sort_at,_id"
BY_TERM = "terms,sort_at,_id"
PAGED: list[tuple[dict[str, Any], str, int]] = [
    ({}, BY_STATUS, 4),
    ({"submitted_from": NOON, "submitted_before": NOON}, BY_STATUS, 4),
    ({"statuses": frozenset({"failed"})}, BY_STATUS, 1),
    ({"statuses": UNFINISHED}, BY_STATUS, 2),
    ({"group": "album"}, BY_GROUP, 4),
    ({"group": "album", "statuses": UNFINISHED}, BY_GROUP, 2),
    ({"owner": "ann"}, BY_OWNER, 4),
    ({"owner": "ann", "statuses": UNFINISHED}, BY_OWNER, 2),
    ({"type": "dress"}, BY_TERM, 1),
    ({"colour": "red", "statuses": UNFINISHED}, BY_TERM, 1),
    ({"label": "dress", "submitted_from": NOON}, BY_TERM, 1),
    ({"text": "red dress", "group": "album"}, BY_TERM, 1),
    ({"sha256": "0" * 64}, BY_TERM, 1),
    ({"needs_review": True}, BY_TERM, 1),
]
BY_TIME = [
    ({"written_after": NOON}, "written_at,_id"),
    ({"written_after": NOON, "group": "album"}, "group,written_at"),
    ({"updated_before": NOON, "statuses": UNFINISHED}, "status,updated_at"),
]


@pytest.mark.parametrize(("asked", "index", "scans"), PAGED, ids=named)
@pytest.mark.parametrize("cursor", [None, ON], ids=["first page", "next page"])
def test_a_page_is_read_in_the_order_of_an_index(
    asked: dict[str, Any], index: str, scans: int, cursor: str | None
) -> None:
    served = {plan.index: plan for plan in plans(JobQuery(**asked, cursor=cursor))}
    assert served[index].in_order
    assert served[index].scans == scans


@pytest.mark.parametrize(("asked", "index"), BY_TIME, ids=named)
def test_what_changed_since_is_read_by_an_index_on_that_time_and_sorted(
    asked: dict[str, Any], index: str
) -> None:
    served = {plan.index: plan for plan in plans(JobQuery(**asked))}
    assert served[index].bounded == len(index.removesuffix(",_id").split(","))


def test_every_index_serves_a_query() -> None:
    made = {",".join(name for name, _ in keys) for keys in INDEXES}
    assert made == {index for _, index, _ in PAGED} | {index for _, index in BY_TIME}


@pytest.mark.parametrize(
    "keys",
    [
        [("sort_at", -1), ("_id", -1)],
        [("owner", 1), ("sort_at", -1), ("_id", -1)],
        [("status", 1), ("updated_at", 1), ("sort_at", -1), ("_id", -1)],
        [("status", 1), ("_id", -1), ("sort_at", -1)],
    ],
    ids=lambda keys: ",".join(name for name, _ in keys),
)
def test_an_index_with_other_keys_would_need_a_sort(keys: Keys) -> None:
    assert not any(plan.in_order for plan in plans(JobQuery(), [keys]))
