"""An in-memory index of job vectors, with an exact nearest-neighbour search.

A search compares every vector. 100,000 vectors need 51 MB, and their job ids another 20 MB.
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

GROWTH = 8  # how many times more candidates, if the nearest had too few distinct photos


@dataclass(frozen=True)
class Neighbour:
    """A job and the cosine similarity of its photo, -1 to 1."""

    job_id: str
    similarity: float


class VectorIndex:
    """Holds the vectors of at most ``most`` jobs; the least recently written job is evicted.

    Each job has a row: the vector, and 64-bit hashes of model, group and photo. A row with model 0
    is empty. Thread-safe.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # The operating system allocates this memory at the first write.
        self._vectors = np.empty((most, SIZE), np.float32)
        self._models = np.zeros(most, np.uint64)
        self._groups = np.zeros(most, np.uint64)
        self._photos = np.zeros(most, np.uint64)
        self._jobs: list[str] = []  # by row
        self._rows: OrderedDict[str, int] = OrderedDict()  # least recently written first
        self._empty: list[int] = []
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def write(self, written: Iterable[JobVector]) -> None:
        """Insert or replace jobs in order of writing; a job without a vector is removed."""
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
        """Remove these jobs."""
        with self._lock:
            for job_id in job_ids:
                self._forget(job_id)

    def nearest(self, to: JobVector, *, group: str | None, limit: int) -> list[Neighbour]:
        """Return at most ``limit`` photos, the most similar first, each photo once.

        Only vectors of the same model are compared, of all groups if ``group`` is None, without
        the job ``to`` itself. Raises ValueError if ``to`` has no vector.
        """
        query = np.array(decode(to.embedding or ""), np.float32)
        with self._lock:
            used = len(self._jobs)
            wanted = self._models[:used] == _hash(to.model)
            if group is not None:
                wanted &= self._groups[:used] == _hash(group)
            if (own := self._rows.get(to.job_id)) is not None:
                wanted[own] = False
            likeness = self._vectors[:used] @ (query / np.linalg.norm(query))
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
        self._models[row] = _hash(each.model)
        self._groups[row] = _hash(each.group)
        self._photos[row] = _hash(each.sha256 or each.job_id)
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
        """Write vectors, normalised to length 1; a row with an invalid vector stays empty."""
        vectors = np.frombuffer(halves, "<f2").reshape(-1, SIZE).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1)
        none = ~(np.abs(lengths - 1.0) <= LENGTH_TOLERANCE)
        vectors[none], lengths[none] = 0.0, 1.0
        self._vectors[rows] = vectors / lengths[:, np.newaxis]
        self._models[np.array(rows)[none]] = 0


def _best(likeness: Floats, photos: NDArray[np.uint64], limit: int) -> Numbers:
    """Return the rows of the ``limit`` most similar photos, the most similar first, each once."""
    candidates = min(2 * limit, len(likeness))
    while True:
        rows = (
            np.argpartition(-likeness, candidates - 1)[:candidates] if candidates else np.arange(0)
        )
        rows = rows[np.argsort(-likeness[rows], kind="stable")]
        first = np.sort(np.unique(photos[rows], return_index=True)[1])
        if len(first) >= limit or candidates == len(likeness):
            best: Numbers = rows[first[:limit]]
            return best
        candidates = min(GROWTH * candidates, len(likeness))


def _halves(each: JobVector) -> bytes | None:
    try:
        return half_floats(each.embedding) if each.embedding and each.model else None
    except ValueError:  # written by an incompatible version
        return None


def _hash(text: str | None) -> int:
    """Return a 64-bit hash of the text, never 0; 0 for None."""
    if text is None:
        return 0
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()) or 1
