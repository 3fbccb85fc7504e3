"""Job stores find jobs by attributes, classes and words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from storage.jobs.store import JobQuery, JobStore, JobUpdate
from tests.contract.job_stores import NOON, completed, found, pages, submitted
from tests.naming import named

COLOURS = ("red", "navy blue", "green")
TYPES = ("dress", "t-shirt")


def garment(number: int, colour: str, kind: str, **more: object) -> list[JobUpdate]:
    """Return the updates of a completed job; its class is ``kind`` in capitals."""
    caption = {
        "caption": f"Women's {colour.title()} {kind.title()} №{number}",
        "attributes": {"type": {"value": kind}, "colour": {"value": colour, "confidence": 0.9}},
        "needs_review": number % 3 == 0,
    }
    top5 = [{"label": kind.upper(), "probability": 0.8}, {"label": "sock", "probability": 0.1}]
    return [
        submitted(number, seconds=number // 3, **more),
        completed(number, "validation", result={"sha256": f"{number:064x}"}),
        completed(number, "captioning", result=caption),
        completed(number, "classification", result={"top5": top5}),
    ]


def wardrobe(count: int) -> list[JobUpdate]:
    kinds = list(product(COLOURS, TYPES))
    return [
        update
        for number in range(count)
        for update in garment(
            number, *kinds[number % len(kinds)], group="even" if number % 2 == 0 else "odd"
        )
    ]


def names(*numbers: int) -> list[str]:
    return [f"job-{number:04}" for number in sorted(numbers, reverse=True)]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"type": "dress"}, (0, 2, 4, 6, 8, 10)),
        ({"type": "DRESS "}, (0, 2, 4, 6, 8, 10)),
        ({"type": "dres"}, ()),
        ({"colour": "Navy  Blue"}, (2, 3, 8, 9)),
        ({"colour": "navy"}, ()),
        ({"label": "t-shirt"}, (1, 3, 5, 7, 9, 11)),
        ({"label": "sock"}, ()),
        ({"sha256": f"{7:064x}"}, (7,)),
        ({"needs_review": True}, (0, 3, 6, 9)),
        ({"needs_review": False}, (1, 2, 4, 5, 7, 8, 10, 11)),
        ({"needs_review": True, "type": "dress"}, (0, 6)),
        ({"text": "dress"}, (0, 2, 4, 6, 8, 10)),
        ({"text": "  Shirt, NAVY! "}, (3, 9)),
        ({"text": "women's"}, range(12)),
        ({"text": "náv y"}, ()),
        ({"text": "nàvy"}, (2, 3, 8, 9)),
        ({"text": "dress shirt"}, ()),
        ({"text": "no7"}, (7,)),
        ({"text": "!?"}, range(12)),
        ({"text": "' OR 1=1 --"}, ()),
        ({"type": "dress", "colour": "red", "text": "women"}, (0, 6)),
        ({"type": "dress", "group": "odd"}, ()),
        ({"type": "t-shirt", "group": "odd", "colour": "red"}, (1, 7)),
        ({"text": "red", "statuses": frozenset({"completed"})}, (0, 1, 6, 7)),
        ({"text": "red", "statuses": frozenset({"pending", "failed"})}, ()),
        ({"submitted_from": NOON + timedelta(seconds=2)}, (6, 7, 8, 9, 10, 11)),
        ({"submitted_before": NOON + timedelta(seconds=1)}, (0, 1, 2)),
        (
            {
                "submitted_from": NOON + timedelta(seconds=1),
                "submitted_before": NOON + timedelta(seconds=3),
                "type": "dress",
            },
            (4, 6, 8),
        ),
    ],
    ids=named,
)
async def test_a_search_finds_and_counts(
    store: JobStore, query: dict[str, object], numbers: tuple[int, ...]
) -> None:
    await store.apply(wardrobe(12))
    assert await found(store, **query) == names(*numbers)
    asked = JobQuery(**query)  # type: ignore[arg-type]
    assert await store.count(asked, at_most=100) == len(numbers)
    assert await store.count(asked, at_most=3) == min(3, len(numbers))


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"group": "odd"},
        {"statuses": frozenset({"completed", "pending"})},
        {"type": "dress"},
        {"text": "navy shirt"},
        {"colour": "red", "group": "even"},
        {"colour": "green", "statuses": frozenset({"completed"})},
        {"written_after": NOON - timedelta(days=1)},
        {
            "submitted_from": NOON + timedelta(seconds=2),
            "submitted_before": NOON + timedelta(hours=1),
        },
    ],
    ids=named,
)
async def test_pages_stay_exact_under_every_filter(
    store: JobStore, query: dict[str, object]
) -> None:
    await store.apply(wardrobe(40))
    everything = await found(store, **query, limit=500)
    in_pages = await pages(store, JobQuery(**query, limit=3))  # type: ignore[arg-type]
    assert [job_id for page in in_pages for job_id in page] == everything
    assert everything
    assert all(len(page) == 3 for page in in_pages[:-1])
    asked = JobQuery(**query, cursor=(await store.find(JobQuery(limit=1))).cursor)  # type: ignore[arg-type]
    assert await store.count(asked, at_most=500) == len(everything)


async def test_a_new_result_changes_what_a_job_is_found_by(store: JobStore) -> None:
    await store.apply(garment(1, "red", "dress"))
    again = {"caption": "Green Skirt", "attributes": {"type": {"value": "skirt"}}}
    await store.apply([completed(1, "captioning", run=2, result=again)])
    assert await found(store, text="green") == await found(store, type="skirt") == names(1)
    for old in ({"text": "red"}, {"type": "dress"}, {"colour": "red"}):
        assert await found(store, **old) == []
    assert await found(store, label="dress") == names(1)


async def test_a_submission_that_comes_late_moves_what_is_found(store: JobStore) -> None:
    await store.apply([*garment(1, "red", "dress"), *garment(2, "red", "dress")[1:]])
    await store.apply([submitted(2, seconds=-60)])
    assert await found(store, text="red") == [*names(1), *names(2)]
    assert await store.count(JobQuery(text="red"), at_most=9) == 2


async def test_what_was_written_since_a_moment(store: JobStore) -> None:
    await store.apply(wardrobe(6))
    moment = datetime.now(UTC)
    assert await found(store, written_after=moment) == []
    await store.apply([submitted(9, seconds=-5, group="odd"), completed(3, "pose")])
    assert await found(store, written_after=moment) == [*names(3), *names(9)]
    assert await found(store, written_after=moment, group="odd") == [*names(3), *names(9)]
    assert await found(store, written_after=moment, group="even") == []
    assert await store.count(JobQuery(written_after=moment), at_most=9) == 2
    await store.apply([completed(3, "pose")])
    assert await store.count(JobQuery(written_after=datetime.now(UTC)), at_most=9) == 0
