"""No query of a job file scans all jobs or sorts more than needed, by SQLite's own plans."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from storage.jobs.sqlite.queries import FEW, find_documents, vectors
from storage.jobs.sqlite.schema import create_or_migrate
from storage.jobs.store import JobQuery
from tests.naming import named

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
UNFINISHED = frozenset({"pending", "processing"})


class Plans:
    """The steps of SQLite's plan for a query."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, query: JobQuery) -> list[str]:
        """Return the steps of the last statement, which reads the page."""
        return self._steps(lambda: find_documents(self._connection, query))

    def of_vectors(self) -> list[str]:
        """Return the steps to a page of vectors."""
        return self._steps(lambda: vectors(self._connection, (NOON, "job"), 500))

    def _steps(self, act: Callable[[], object]) -> list[str]:
        statements: list[str] = []
        self._connection.set_trace_callback(statements.append)
        act()
        self._connection.set_trace_callback(None)
        steps = self._connection.execute(f"EXPLAIN QUERY PLAN {statements[-1]}")
        return [detail for *_, detail in steps]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_or_migrate(connection)
    yield connection
    connection.close()


@pytest.fixture
def plans(connection: sqlite3.Connection) -> Plans:
    return Plans(connection)


@pytest.mark.parametrize(
    ("query", "way"),
    [
        ({}, "jobs_in_order"),
        ({"submitted_before": NOON}, "jobs_in_order (sort_at<?)"),
        ({"statuses": UNFINISHED}, "jobs_by_status (status=?)"),
        ({"group": "album"}, "jobs_by_group (group=?)"),
        ({"group": "album", "statuses": UNFINISHED}, "jobs_by_group_status (group=? AND status=?)"),
        ({"owner": "ann"}, "jobs_by_owner (owner=?)"),
        ({"text": "red dress", "group": "album"}, "place USING PRIMARY KEY (term=?"),
        (
            {"type": "dress", "submitted_from": NOON},
            "place USING PRIMARY KEY (term=? AND sort_at>?)",
        ),
    ],
    ids=named,
)
def test_a_page_is_read_in_the_order_of_an_index(
    plans: Plans, query: dict[str, object], way: str
) -> None:
    steps = plans.of(JobQuery(**query))  # type: ignore[arg-type]
    assert any(way in step for step in steps), steps
    assert sum("TEMP B-TREE" in step for step in steps) == 1, steps  # at the end, of one page


@pytest.mark.parametrize(
    ("query", "way"),
    [
        ({"written_after": NOON}, "jobs_by_writing (written_at>?)"),
        ({"written_after": NOON, "group": "a"}, "jobs_by_group_writing (group=? AND written_at>?)"),
        (
            {"updated_before": NOON, "statuses": UNFINISHED},
            "jobs_by_age (status=? AND updated_at<?)",
        ),
    ],
    ids=named,
)
def test_recent_writes_are_found_by_an_index(
    plans: Plans, query: dict[str, object], way: str
) -> None:
    steps = plans.of(JobQuery(**query))  # type: ignore[arg-type]
    assert any(way in step for step in steps), steps


def test_vectors_are_read_in_the_order_of_writing(plans: Plans) -> None:
    steps = plans.of_vectors()
    assert "jobs_by_writing (written_at>?)" in steps[0]
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps  # at most a sort of equal times


def test_an_unselective_time_filter_uses_the_sort_index(
    plans: Plans, connection: sqlite3.Connection
) -> None:
    connection.executemany(
        "INSERT INTO jobs (job_id, status, updated_at, written_at, sort_at, body)"
        " VALUES (?, 'pending', 'later', 'later', 'later', '{}')",
        [(str(number),) for number in range(FEW)],
    )
    steps = plans.of(JobQuery(written_after=NOON))
    assert any("jobs_in_order" in step for step in steps), steps
    assert not any("jobs_by_writing" in step for step in steps), steps
