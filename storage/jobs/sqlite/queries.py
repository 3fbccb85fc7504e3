"""How a page of jobs is looked for in a job file, without ever going through all of them.

Each condition is a way in: a term by the table of terms, a status, a group or an owner by an
index in the order of listings, and what was written or changed since a time by an index on that
time. SQLite keeps no statistics here, so the rows at each way are counted, up to `FEW`, and the
narrowest is taken; the other conditions are looked up for each job that it leads to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.jobs.documents import position, timestamp
from storage.jobs.store import JobQuery, JobStatus
from storage.jobs.terms import wanted

FEW = 2_000  # counted in a third of a millisecond; fewer are also sorted quicker than skipped
NOT_DELETED = "status <> 'deleted'"  # as the partial indexes have it, word for word
LIVING: frozenset[JobStatus] = frozenset({"pending", "processing", "completed", "failed"})
PROBE = (
    "EXISTS (SELECT 1 FROM terms"
    " WHERE term = ? AND sort_at = place.sort_at AND job_id = place.job_id)"
)
ORDER = "ORDER BY place.sort_at DESC, place.job_id DESC LIMIT ?"

Condition = tuple[str, Sequence[Any]]


@dataclass(frozen=True)
class Way:
    """Where to look: what is behind FROM, and the conditions on what is found there."""

    source: str
    conditions: tuple[Condition, ...]

    def where(self, *conditions: Condition) -> Way:
        return Way(self.source, (*self.conditions, *conditions))

    def select(self, what: str) -> tuple[str, list[Any]]:
        where = " AND ".join(text for text, _ in self.conditions)
        values = [value for _, own in self.conditions for value in own]
        return f"SELECT {what} FROM {self.source} WHERE {where or 'TRUE'}", values  # noqa: S608


def bodies(connection: sqlite3.Connection, query: JobQuery) -> list[str]:
    """Return the documents of one job more than the page holds, in order."""
    most = query.limit + 1
    arms = [
        (f"SELECT * FROM ({sql} {ORDER})", [*values, most])  # noqa: S608
        for sql, values in (
            way.select("place.sort_at, place.job_id") for way in _ways(connection, query)
        )
    ]
    if not arms:
        return []
    union = " UNION ALL ".join(sql for sql, _ in arms)
    sql = f"SELECT body FROM ({union}) AS place CROSS JOIN jobs USING (job_id) {ORDER}"  # noqa: S608
    values = [value for _, own in arms for value in own]
    return [body for (body,) in connection.execute(sql, [*values, most])]


def count(connection: sqlite3.Connection, query: JobQuery, at_most: int) -> int:
    """Return how many jobs the query finds, or ``at_most``, all at one moment."""
    return _rows(connection, _ways(connection, query, paged=False), at_most)


def _ways(connection: sqlite3.Connection, query: JobQuery, *, paged: bool = True) -> list[Way]:
    """Return the ways that lead to all that the query finds: one, or one a status."""
    bounds = _bounds(query, paged)
    terms = _rarest_first(connection, wanted(query))
    if terms and not _narrow_columns(connection, query, terms[0]):
        return [_way_by_term(query, terms, bounds)]
    probes = [_probe(term) for term in terms]
    return [
        _by_time_if_few(connection, query, status).where(*bounds, *probes)
        for status in _statuses(query)
    ]


def _way_by_term(query: JobQuery, terms: Sequence[str], bounds: Sequence[Condition]) -> Way:
    """Deleted jobs have no terms, so that nothing is asked of a job where no column is."""
    statuses = [] if query.statuses is None else [_one_of(query.statuses)]
    of_jobs = [*statuses, *_columns(query), *_times(query)]
    join = " CROSS JOIN jobs ON jobs.job_id = place.job_id" if of_jobs else ""
    first: Condition = ("place.term = ?", (terms[0],))
    others = [_probe(term) for term in terms[1:]]
    return Way(f"terms AS place{join}", (first, *bounds, *of_jobs, *others))


def _by_time_if_few(connection: sqlite3.Connection, query: JobQuery, status: Condition) -> Way:
    """Go by a time where few jobs are on its side, else by the order of listings."""
    conditions = (status, *_columns(query))
    if (index := _index_by_time(query)) is not None:
        way = Way(f"jobs AS place INDEXED BY {index}", conditions)
        way = way.where(*_times(query, indexed=True))
        if _rows(connection, [way], FEW) < FEW:
            return way
    return Way("jobs AS place", conditions).where(*_times(query))


def _index_by_time(query: JobQuery) -> str | None:
    if query.written_after is not None:
        return "jobs_by_writing" if query.group is None else "jobs_by_group_writing"
    if query.updated_before is not None and query.statuses is not None:
        return "jobs_by_age"
    return None


def _rarest_first(connection: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    return sorted(terms, key=lambda term: _rows(connection, [_term_alone(term)], FEW))


def _narrow_columns(connection: sqlite3.Connection, query: JobQuery, term: str) -> bool:
    """Whether status, group and owner leave fewer jobs than ``term`` does."""
    columns = _columns(query)
    if query.statuses is None and not columns:
        return False
    most = _rows(connection, [_term_alone(term)], FEW)
    ways = [Way("jobs", (status, *columns)) for status in _statuses(query)]
    return _rows(connection, ways, most) < most


def _rows(connection: sqlite3.Connection, ways: Sequence[Way], at_most: int) -> int:
    if not ways:
        return 0
    selects = [way.select("1") for way in ways]
    union = " UNION ALL ".join(sql for sql, _ in selects)
    values = [value for _, own in selects for value in own]
    counted = f"SELECT count(*) FROM ({union} LIMIT ?)"  # noqa: S608
    rows: int = connection.execute(counted, [*values, at_most]).fetchone()[0]
    return rows


def _statuses(query: JobQuery) -> list[Condition]:
    """Return one condition for each order of listings that is looked through: a status has its
    own, and there is one of all that are not deleted."""
    if query.statuses is None or query.statuses == LIVING:
        return [(NOT_DELETED, ())]
    return [("status = ?", (status,)) for status in sorted(query.statuses)]


def _one_of(statuses: frozenset[JobStatus]) -> Condition:
    return f"status IN ({', '.join('?' * len(statuses))})", sorted(statuses)


def _columns(query: JobQuery) -> list[Condition]:
    asked = {'"group" = ?': query.group, "owner = ?": query.owner}
    return [(text, (value,)) for text, value in asked.items() if value is not None]


def _times(query: JobQuery, *, indexed: bool = False) -> list[Condition]:
    """A plus sign keeps SQLite from taking the index of that time by itself."""
    sign = "" if indexed else "+"
    asked = {"written_at > ?": query.written_after, "updated_at < ?": query.updated_before}
    return [(sign + text, (timestamp(at),)) for text, at in asked.items() if at is not None]


def _bounds(query: JobQuery, paged: bool) -> list[Condition]:
    asked = {
        "place.sort_at >= ?": query.submitted_from,
        "place.sort_at < ?": query.submitted_before,
    }
    bounds: list[Condition] = [
        (text, (timestamp(at),)) for text, at in asked.items() if at is not None
    ]
    if paged and query.cursor is not None:
        bounds.append(("(place.sort_at, place.job_id) < (?, ?)", position(query.cursor)))
    return bounds


def _term_alone(term: str) -> Way:
    return Way("terms", (("term = ?", (term,)),))


def _probe(term: str) -> Condition:
    return PROBE, (term,)
