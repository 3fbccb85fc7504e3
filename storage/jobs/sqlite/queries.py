"""Find, count and list jobs in a job file without a scan of all jobs.

SQLite has no statistics here, so the query plan is chosen by counting. Each condition offers a
source of rows: a term by the table of terms; a status, group or owner by an index in the order of
listings; a time by an index on that time. The rows of each source are counted up to `FEW`, and the
source with the fewest is read. The other conditions are checked on each of its rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.jobs.documents import parse_cursor, timestamp
from storage.jobs.store import (
    NOT_DELETED,
    VECTOR_FIELDS,
    JobQuery,
    JobStatus,
    JobVector,
    job_vector,
)
from storage.jobs.terms import query_terms

FEW = 2_000  # rows that are counted in 0.3 ms; sorting fewer is faster than skipping
NOT_DELETED_SQL = "status <> 'deleted'"  # must equal the condition of the partial indexes
HAS_TERM = (
    "EXISTS (SELECT 1 FROM terms"
    " WHERE term = ? AND sort_at = place.sort_at AND job_id = place.job_id)"
)
ORDER = "ORDER BY place.sort_at DESC, place.job_id DESC LIMIT ?"
VECTOR_PATHS = ", ".join(
    f"'$.stages.{stage}.result.{name}'" for stage, name in VECTOR_FIELDS.values()
)
# SQLite extracts the texts: measured ten times as fast as reading the documents in Python.
SELECT_VECTORS = (
    f'SELECT job_id, written_at, "group", json_extract(body, {VECTOR_PATHS})'  # noqa: S608
    " FROM jobs INDEXED BY jobs_by_writing"
    " WHERE (written_at, job_id) > (?, ?) ORDER BY written_at, job_id LIMIT ?"
)

Condition = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class QueryPlan:
    """A source of rows (the text after FROM) and the conditions that its rows must meet."""

    source: str
    conditions: tuple[Condition, ...]

    def where(self, *conditions: Condition) -> QueryPlan:
        return QueryPlan(self.source, (*self.conditions, *conditions))

    def select(self, columns: str) -> tuple[str, list[Any]]:
        where = " AND ".join(text for text, _ in self.conditions)
        values = [value for _, own in self.conditions for value in own]
        return f"SELECT {columns} FROM {self.source} WHERE {where or 'TRUE'}", values  # noqa: S608


def find_documents(connection: sqlite3.Connection, query: JobQuery) -> list[dict[str, Any]]:
    """Return the documents of a page in order, and one more if there is a next page."""
    limit = query.limit + 1
    arms = [
        (f"SELECT * FROM ({sql} {ORDER})", [*values, limit])  # noqa: S608
        for sql, values in (
            plan.select("place.sort_at, place.job_id") for plan in _plans(connection, query)
        )
    ]
    if not arms:
        return []
    union = " UNION ALL ".join(sql for sql, _ in arms)
    tables = f"({union}) AS place CROSS JOIN jobs USING (job_id)"
    sql = f"SELECT body, jobs.sort_at, jobs.job_id FROM {tables} {ORDER}"  # noqa: S608
    values = [value for _, own in arms for value in own]
    return [_document(*row) for row in connection.execute(sql, [*values, limit])]


def _document(body: str, sort_at: str, job_id: str) -> dict[str, Any]:
    """Return a document; without its other fields if ``body`` is unreadable."""
    try:
        return {**json.loads(body), "sort_at": sort_at, "job_id": job_id}
    except (ValueError, TypeError, RecursionError):
        return {"sort_at": sort_at, "job_id": job_id}


def count(connection: sqlite3.Connection, query: JobQuery, at_most: int) -> int:
    """Return the number of jobs that match at one point in time, or ``at_most``."""
    return _count_rows(connection, _plans(connection, query, paged=False), at_most)


def vectors(
    connection: sqlite3.Connection, after: tuple[datetime, str], limit: int
) -> list[JobVector]:
    """Return the vectors of the first ``limit`` jobs after a position, by time of writing."""
    at, job_id = after
    rows = connection.execute(SELECT_VECTORS, (timestamp(at), job_id, limit))
    return [
        job_vector(
            job_id, written_at, group, dict(zip(VECTOR_FIELDS, json.loads(texts), strict=True))
        )
        for job_id, written_at, group, texts in rows
    ]


def _plans(
    connection: sqlite3.Connection, query: JobQuery, *, paged: bool = True
) -> list[QueryPlan]:
    """Return plans that together find all matching jobs: one, or one for each status."""
    bounds = _bounds(query, paged)
    terms = _rarest_first(connection, query_terms(query))
    if terms and not _columns_are_rarer(connection, query, terms[0]):
        return [_plan_by_term(query, terms, bounds)]
    has_terms = [_has_term(term) for term in terms]
    return [
        _plan_by_columns(connection, query, status).where(*bounds, *has_terms)
        for status in _status_conditions(query)
    ]


def _plan_by_term(query: JobQuery, terms: Sequence[str], bounds: Sequence[Condition]) -> QueryPlan:
    """Read the rows of the first term. Deleted jobs have no terms, so without other conditions the
    table of jobs is not joined."""
    statuses = [] if query.statuses is None else [_one_of(query.statuses)]
    on_jobs = [*statuses, *_columns(query), *_times(query)]
    join = " CROSS JOIN jobs ON jobs.job_id = place.job_id" if on_jobs else ""
    first: Condition = ("place.term = ?", (terms[0],))
    others = [_has_term(term) for term in terms[1:]]
    return QueryPlan(f"terms AS place{join}", (first, *bounds, *on_jobs, *others))


def _plan_by_columns(
    connection: sqlite3.Connection, query: JobQuery, status: Condition
) -> QueryPlan:
    """Read by an index on a time if few jobs match it, else in the order of listings."""
    conditions = (status, *_columns(query))
    if (index := _time_index(query)) is not None:
        plan = QueryPlan(f"jobs AS place INDEXED BY {index}", conditions)
        plan = plan.where(*_times(query, indexed=True))
        if _count_rows(connection, [plan], FEW) < FEW:
            return plan
    return QueryPlan("jobs AS place", conditions).where(*_times(query))


def _time_index(query: JobQuery) -> str | None:
    if query.written_after is not None:
        return "jobs_by_writing" if query.group is None else "jobs_by_group_writing"
    if query.updated_before is not None and query.statuses is not None:
        return "jobs_by_age"
    return None


def _rarest_first(connection: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    return sorted(terms, key=lambda term: _count_rows(connection, [_rows_of_term(term)], FEW))


def _columns_are_rarer(connection: sqlite3.Connection, query: JobQuery, term: str) -> bool:
    """Tell whether fewer jobs match the status, group and owner than match ``term``."""
    columns = _columns(query)
    if query.statuses is None and not columns:
        return False
    limit = _count_rows(connection, [_rows_of_term(term)], FEW)
    plans = [QueryPlan("jobs", (status, *columns)) for status in _status_conditions(query)]
    return _count_rows(connection, plans, limit) < limit


def _count_rows(connection: sqlite3.Connection, plans: Sequence[QueryPlan], at_most: int) -> int:
    if not plans:
        return 0
    selects = [plan.select("1") for plan in plans]
    union = " UNION ALL ".join(sql for sql, _ in selects)
    values = [value for _, own in selects for value in own]
    counted = f"SELECT count(*) FROM ({union} LIMIT ?)"  # noqa: S608
    rows: int = connection.execute(counted, [*values, at_most]).fetchone()[0]
    return rows


def _status_conditions(query: JobQuery) -> list[Condition]:
    """Return one condition for each index range to read: one for each status, or one for all jobs
    that are not deleted."""
    if query.statuses is None or query.statuses == NOT_DELETED:
        return [(NOT_DELETED_SQL, ())]
    return [("status = ?", (status,)) for status in sorted(query.statuses)]


def _one_of(statuses: frozenset[JobStatus]) -> Condition:
    return f"status IN ({', '.join('?' * len(statuses))})", sorted(statuses)


def _columns(query: JobQuery) -> list[Condition]:
    wanted = {'"group" = ?': query.group, "owner = ?": query.owner}
    return [(text, (value,)) for text, value in wanted.items() if value is not None]


def _times(query: JobQuery, *, indexed: bool = False) -> list[Condition]:
    """Return the conditions on times. A plus sign keeps SQLite from choosing an index on them."""
    sign = "" if indexed else "+"
    wanted = {"written_at > ?": query.written_after, "updated_at < ?": query.updated_before}
    return [(sign + text, (timestamp(at),)) for text, at in wanted.items() if at is not None]


def _bounds(query: JobQuery, paged: bool) -> list[Condition]:
    wanted = {
        "place.sort_at >= ?": query.submitted_from,
        "place.sort_at < ?": query.submitted_before,
    }
    bounds: list[Condition] = [
        (text, (timestamp(at),)) for text, at in wanted.items() if at is not None
    ]
    if paged and query.cursor is not None:
        bounds.append(("(place.sort_at, place.job_id) < (?, ?)", parse_cursor(query.cursor)))
    return bounds


def _rows_of_term(term: str) -> QueryPlan:
    return QueryPlan("terms", (("term = ?", (term,)),))


def _has_term(term: str) -> Condition:
    return HAS_TERM, (term,)
