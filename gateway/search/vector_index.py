"""The vectors of many jobs in one matrix in memory, and which of them are nearest to another.

Exact: every vector is compared. 100,000 of them are 51 MB, and their jobs' names 20 MB more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from storage.jobs.store import JobVector
from streams.events.embedding import LENGTH_TOLERANCE, SIZE, decode, half_floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.intp]

FURTHER = 8  # times as many are looked at where too few different photos were among the nearest


@dataclass(frozen=True)
class Neighbour:
    """How alike a job's photo is: the cosine, -1 to 1."""

    job_id: str
    similarity: float


class VectorIndex:
    """Holds the vectors of at most ``most`` jobs; of more, those that were written last.

    Each job has a row. Beside its vector stand its model, its group and its photo as numbers, which
    are hashes of 64 bits. A row whose model is 0 is empty. Safe to use from several threads, which
    wait for each other.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Memory that nothing was written to yet costs nothing.
        self._vectors = np.empty((most, SIZE), np.float32)
        self._models = np.zeros(most, np.uint64)
        self._groups = np.zeros(most, np.uint64)
        self._photos = np.zeros(most, np.uint64)
        self._jobs: list[str] = []  # by row
        self._rows: OrderedDict[str, int] = OrderedDict()  # those written last at the end
        self._empty: list[int] = []
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def write(self, written: Iterable[JobVector]) -> None:
        """Take over what was written, in its order; a job without a vector is forgotten."""
        with self._lock:
            rows, halves = [], []
            for each in written:
                if (own := _halves(each)) is None:
                    self._forget(each.job_id)
                else:
                    rows.append(self._row_for(each))
                    halves.append(own)
            if rows:
                self._fill(rows, b"".join(halves))

    def forget(self, job_ids: Iterable[str]) -> None:
        """Leave these jobs out from now on."""
        with self._lock:
            for job_id in job_ids:
                self._forget(job_id)

    def nearest(self, to: JobVector, *, group: str | None, limit: int) -> list[Neighbour]:
        """Return the ``limit`` photos that are most alike, the best first, each once.

        Compared are the vectors of the same model, of all groups where ``group`` is None, and never
        that of the very job. Of several jobs with the same photo one is told. Raises ValueError
        when ``to`` has no vector.
        """
        asked = np.array(decode(to.embedding or ""), np.float32)
        with self._lock:
            used = len(self._jobs)
            wanted = self._models[:used] == _number(to.model)
            if group is not None:
                wanted &= self._groups[:used] == _number(group)
            if (own := self._rows.get(to.job_id)) is not None:
                wanted[own] = False
            likeness = self._vectors[:used] @ (asked / np.linalg.norm(asked))
            likeness[~wanted] = -np.inf
            best = _best(likeness, self._photos[:used], min(limit, int(wanted.sum())))
            return [
                Neighbour(self._jobs[row], float(np.clip(likeness[row], -1.0, 1.0)))
                for row in best
                if wanted[row]
            ]

    def _row_for(self, each: JobVector) -> int:
        row = self._rows.pop(each.job_id, None)
        if row is None:
            row = self._empty_row()
        self._rows[each.job_id] = row
        self._jobs[row] = each.job_id
        self._models[row] = _number(each.model)
        self._groups[row] = _number(each.group)
        self._photos[row] = _number(each.sha256 or each.job_id)
        return row

    def _empty_row(self) -> int:
        if self._empty:
            return self._empty.pop()
        if len(self._rows) == self._most:
            return self._rows.popitem(last=False)[1]
        self._jobs.append("")
        return len(self._jobs) - 1

    def _forget(self, job_id: str) -> None:
        row = self._rows.pop(job_id, None)
        if row is not None:
            self._models[row] = 0
            self._empty.append(row)

    def _fill(self, rows: Sequence[int], halves: bytes) -> None:
        """Write vectors, with what they lost of their length to rounding; a row whose vector is
        none, which no event brings, stays empty."""
        vectors = np.frombuffer(halves, "<f2").reshape(-1, SIZE).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        none = ~(np.abs(lengths - 1.0) <= LENGTH_TOLERANCE)
        vectors[none], lengths[none] = 0.0, 1.0
        self._vectors[rows] = vectors / lengths[:, np.newaxis]
        self._models[np.array(rows)[none]] = 0


def _best(likeness: Floats, photos: NDArray[np.uint64], limit: int) -> Numbers:
    """Return the rows of the ``limit`` likest photos, the best first, each photo once."""
    looked_at = min(2 * limit, len(likeness))
    while True:
        rows = np.argpartition(-likeness, looked_at - 1)[:looked_at] if looked_at else np.arange(0)
        rows = rows[np.argsort(-likeness[rows], kind="stable")]
        first = np.sort(np.unique(photos[rows], return_index=True)[1])
        if len(first) >= limit or looked_at == len(likeness):
            best: Numbers = rows[first[:limit]]
            return best
        looked_at = min(FURTHER * looked_at, len(likeness))


def _halves(each: JobVector) -> bytes | None:
    try:
        return half_floats(each.embedding) if each.embedding and each.model else None
    except ValueError:  # written by a version that we do not read
        return None


def _number(text: str | None) -> int:
    """Return a number that stands for a text, never 0, and 0 for none."""
    if text is None:
        return 0
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()) or 1
