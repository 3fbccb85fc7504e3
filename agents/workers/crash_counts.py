"""Counts how often a record ended its worker. The count is in Kafka, so a new worker can read it.

The count is the metadata of the committed offset, which Kafka stores for each group and partition:

1. Before a batch, ``begin`` commits the offset of its first record with a note: how often work on
   this record has begun, and the last offset of the batch.
2. The commit after the batch has another offset and no note.
3. So a note that a consumer finds after an assignment means: the worker ended during this batch.

A consumer of many records at once (`begin_beside`) counts a crash for all records in work. In the
last try, it processes each of these records alone (`begin_alone`), and the note names that record.

Notes are written in the first `CAREFUL_S` seconds after an assignment only, because a record that
ends its worker is delivered again then. So a long-running worker pays nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

log = structlog.get_logger()

CAREFUL_S = 30.0
LIMIT = 3
"""A record that ended its worker this often becomes a dead letter."""
TIMEOUT_S = 5.0
_NOTE = re.compile(r"begun=(\d{1,9}) through=(\d{1,19})(?: at=(\d{1,19}))?")


class OffsetNotes(Protocol):
    """Reads and writes committed offsets with a text; `agents.workers.faust_app.FaustNotes`."""

    async def read(self, partitions: Iterable[Any]) -> Mapping[Any, tuple[int, str]]: ...

    async def write(self, notes: Mapping[Any, tuple[int, str]]) -> None: ...

    def keep(self, notes: Mapping[Any, tuple[int, str]]) -> None:
        """Remember ``notes`` (offset and text by partition), without a commit. The next commit of a
        partition carries the text if it commits exactly this offset."""


@dataclass(frozen=True)
class Note:
    """Work on the record at the committed offset has begun ``begun`` times and never ended.

    The other records through offset ``through`` were in work too at the first time. If ``at`` is
    set, the record at that offset was in work alone at the last time.
    """

    begun: int
    through: int
    at: int | None = None

    @classmethod
    def parse(cls, text: str) -> Note | None:
        """Return the note in the text, or None."""
        found = _NOTE.fullmatch(text)
        if not found:
            return None
        return cls(int(found[1]), int(found[2]), int(found[3]) if found[3] else None)

    def __str__(self) -> str:
        alone = "" if self.at is None else f" at={self.at}"
        return f"begun={self.begun} through={self.through}{alone}"


class CrashCounts:
    """The counts of one consumer. Failures to read or write a note are logged only: without the
    broker there is no commit, and counting starts later."""

    def __init__(self, stage: str, notes: OffsetNotes, *, careful_s: float = CAREFUL_S) -> None:
        self._stage = stage
        self._notes = notes
        self._careful_s = careful_s
        self._since = time.monotonic()
        self._known: dict[Any, Note | None] = {}
        self._begun: dict[Any, tuple[int, Note]] = {}

    def assigned(self) -> None:
        """Forget all counts: partitions were assigned anew."""
        self._since = time.monotonic()
        self._known.clear()
        self._begun.clear()

    async def read(self, partitions: Iterable[Any]) -> None:
        """Read the notes of the partitions that have not been read since the assignment."""
        unknown = sorted(set(partitions) - set(self._known))
        if not unknown:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = await self._notes.read(unknown)
        except Exception as error:  # noqa: BLE001 - see the class
            log.warning("crash_counts_unread", stage=self._stage, error=repr(error))
            return
        for partition in unknown:
            _, text = found.get(partition, (0, ""))
            self._known[partition] = Note.parse(text)

    def suspect(self, partition: Any, offset: int) -> bool:
        """Tell whether a worker ended while the record was in work."""
        note = self._known.get(partition)
        return note is not None and offset <= note.through

    def count(self, partition: Any) -> int:
        """Return how often the next record of the partition ended its worker."""
        note = self._known.get(partition)
        return 0 if note is None else note.begun

    async def begin(self, batch: Sequence[tuple[Any, int]]) -> None:
        """Note that work on the records begins; ``batch`` has their partitions and offsets."""
        first: dict[Any, int] = {}
        last: dict[Any, int] = {}
        for partition, offset in batch:
            first.setdefault(partition, offset)
            last[partition] = offset
        careful = time.monotonic() - self._since < self._careful_s
        self._begun = {}
        for partition, offset in first.items():
            known = self._known.get(partition) if self.suspect(partition, offset) else None
            if known:
                self._begun[partition] = offset, Note(known.begun + 1, known.through)
            elif careful:
                self._begun[partition] = offset, Note(1, last[partition])
        await self._write({each: (at, str(note)) for each, (at, note) in self._begun.items()})

    def finish(self, partition: Any) -> None:
        """Record that the next record of the partition did not end the worker; those after it were
        in work once."""
        note = self._known.get(partition)
        if note is not None:
            self._known[partition] = Note(1, note.through)

    # -- many records at once ----------------------------------------------------------------

    def blamed(self, partition: Any, offset: int, limit: int) -> int:
        """Return how often the record may have ended its worker. ``limit`` is reached only by a
        record that was in work alone."""
        note = self._known.get(partition)
        if note is None or offset > note.through:
            return 0
        return note.begun if note.at == offset else min(note.begun, limit - 1)

    async def begin_beside(self, partition: Any, first: int, offset: int) -> None:
        """Note that work on a record begins beside others; ``first`` is the partition's first
        record in work."""
        known = self._known.get(partition) if self.suspect(partition, first) else None
        if known:
            note = Note(known.begun + 1, max(known.through, offset))
        elif time.monotonic() - self._since < self._careful_s:
            note = Note(1, offset)
        else:
            return
        await self._begin_one(partition, first, note)

    async def begin_alone(self, partition: Any, first: int, offset: int, limit: int) -> None:
        """Note that the work on a suspect record begins, with no other record in work."""
        known = self._known[partition]
        if known is not None:
            note = Note(self.blamed(partition, offset, limit) + 1, known.through, at=offset)
            await self._begin_one(partition, first, note)

    async def _begin_one(self, partition: Any, first: int, note: Note) -> None:
        if self._begun.get(partition) != (first, note):
            self._begun[partition] = first, note
            await self._write({partition: (first, str(note))})

    def moved(self, partition: Any, first: int, in_work: bool) -> None:
        """Record that all records before ``first`` are finished; ``in_work`` tells whether others
        of the partition are not. The next commit is at ``first``."""
        begun = self._begun.pop(partition, None)
        if begun is None or not in_work:
            return
        note = begun[1]
        if first > note.through:
            return
        if note.at is not None and note.at < first:
            note = Note(1, note.through)
        self._begun[partition] = first, note
        self._notes.keep({partition: (first, str(note))})

    # ------------------------------------------------------------------------------------------

    async def withdraw(self) -> None:
        """Remove the notes of the batch in work: its end will not be the fault of a record."""
        begun, self._begun = self._begun, {}
        old = {
            partition: (offset, str(Note(note.begun - 1, note.through)) if note.begun > 1 else "")
            for partition, (offset, note) in begun.items()
        }
        await self._write(old)

    async def _write(self, notes: Mapping[Any, tuple[int, str]]) -> None:
        if not notes:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._notes.write(notes)
        except Exception as error:  # noqa: BLE001 - see the class
            log.warning("crash_counts_unwritten", stage=self._stage, error=repr(error))
