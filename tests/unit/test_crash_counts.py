"""How often a record ended its worker: counted in the commits, so that the count outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from agents.workers.crash_counts import CrashCounts
from agents.workers.turns import Turns

P, Q = ("toy", 0), ("toy", 1)


class Group:
    """The committed offsets of a consumer group. ``down`` makes every call fail."""

    def __init__(self) -> None:
        self.committed: dict[Any, tuple[int, str]] = {}
        self.down = False
        self.next_commits: dict[Any, tuple[int, str]] = {}

    async def read(self, partitions: Iterable[Any]) -> Mapping[Any, tuple[int, str]]:
        if self.down:
            raise OSError("no broker")
        return {each: self.committed[each] for each in partitions if each in self.committed}

    async def write(self, notes: Mapping[Any, tuple[int, str]]) -> None:
        if self.down:
            raise OSError("no broker")
        self.committed.update(notes)

    def keep(self, notes: Mapping[Any, tuple[int, str]]) -> None:
        self.next_commits = dict(notes)


async def worker(group: Group, **options: Any) -> CrashCounts:
    """Return the counts of a new worker that has just got its partitions."""
    counts = CrashCounts("toy", group, **options)
    counts.assigned()
    await counts.read([P, Q])
    return counts


def batch(partition: Any, first: int, last: int) -> list[tuple[Any, int]]:
    return [(partition, offset) for offset in range(first, last + 1)]


async def test_a_new_group_suspects_no_record() -> None:
    counts = await worker(Group())
    assert not counts.suspect(P, 0)
    assert counts.count(P) == 0


async def test_the_records_of_an_unfinished_batch_are_suspect() -> None:
    group = Group()
    first = await worker(group)
    await first.begin([*batch(P, 5, 8), *batch(Q, 1, 2)])
    second = await worker(group)
    assert [offset for offset in range(4, 12) if second.suspect(P, offset)] == [4, 5, 6, 7, 8]
    assert second.suspect(Q, 2)
    assert second.count(P) == 1


async def test_each_death_counts_for_the_record_in_work_only() -> None:
    group = Group()
    await (await worker(group)).begin(batch(P, 5, 8))
    second = await worker(group)
    await second.begin(batch(P, 5, 5))
    second.finish(P)
    await second.begin(batch(P, 6, 6))
    third = await worker(group)
    assert (group.committed[P][0], third.count(P)) == (6, 2)
    await third.begin(batch(P, 6, 6))
    fourth = await worker(group)
    assert fourth.count(P) == 3
    fourth.finish(P)
    assert fourth.count(P) == 1, "record 7 was in work at the first death only"


async def test_a_finished_batch_leaves_no_count() -> None:
    group = Group()
    await (await worker(group)).begin(batch(P, 5, 8))
    group.committed[P] = (9, "")
    assert not (await worker(group)).suspect(P, 9)


async def test_a_stop_during_the_batch_counts_for_nothing() -> None:
    group = Group()
    first = await worker(group)
    await first.begin(batch(P, 5, 8))
    await first.withdraw()
    assert not (await worker(group)).suspect(P, 5)


async def test_a_worker_that_runs_for_long_writes_no_notes() -> None:
    group = Group()
    counts = await worker(group, careful_s=0.0)
    await counts.begin(batch(P, 5, 8))
    assert group.committed == {}


async def test_without_a_broker_nothing_is_counted_and_nothing_fails() -> None:
    group = Group()
    group.down = True
    counts = await worker(group)
    await counts.begin(batch(P, 5, 8))
    assert not counts.suspect(P, 5)


async def test_a_text_of_another_program_is_no_note() -> None:
    group = Group()
    group.committed[P] = (5, "moved by hand")
    assert not (await worker(group)).suspect(P, 5)


async def test_a_suspect_works_alone() -> None:
    turns, order = Turns(), []
    started, release = asyncio.Event(), asyncio.Event()

    async def normal(name: str) -> None:
        async with turns.together():
            started.set()
            await release.wait()
            order.append(name)

    async def suspect() -> None:
        async with turns.alone():
            order.append("suspect")

    first = asyncio.create_task(normal("first"))
    await started.wait()
    alone = asyncio.create_task(suspect())
    await asyncio.sleep(0)
    later = asyncio.create_task(normal("later"))
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, alone, later)
    assert order == ["first", "suspect", "later"]


async def test_a_suspect_does_not_wait_for_ever() -> None:
    turns = Turns(patience_s=0.01)
    async with turns.together(), turns.alone(), turns.together():
        pass


async def test_beside_others_only_a_record_that_was_alone_reaches_the_limit() -> None:
    group = Group()
    for deaths in range(2):  # three records are in work at each death
        counts = await worker(group)
        assert [counts.blamed(P, offset, 3) for offset in (5, 6, 7)] == [deaths] * 3
        for offset in (5, 6, 7):
            await counts.begin_beside(P, 5, offset)
    counts = await worker(group)
    await counts.begin_alone(P, 5, 5, 3)
    counts.moved(P, 6, in_work=False)
    await counts.begin_alone(P, 6, 6, 3)
    last = await worker(group)
    assert group.committed[P][0] == 6
    assert [last.blamed(P, offset, 3) for offset in (6, 7, 8)] == [3, 2, 0]


async def test_the_note_stays_with_the_first_record_in_work() -> None:
    group = Group()
    counts = await worker(group)
    for offset in (5, 6, 7):
        await counts.begin_beside(P, 5, offset)
    counts.moved(P, 6, in_work=True)
    assert group.next_commits == {P: (6, "begun=1 through=7")}
    group.committed |= group.next_commits
    assert (await worker(group)).blamed(P, 7, 3) == 1
    counts.moved(P, 8, in_work=False)
    assert group.next_commits == {P: (6, "begun=1 through=7")}, "no note for the next commit"


async def test_a_stop_blames_no_record_beside_others() -> None:
    group = Group()
    counts = await worker(group)
    await counts.begin_beside(P, 5, 6)
    await counts.withdraw()
    assert not (await worker(group)).suspect(P, 5)
    later = await worker(group, careful_s=0)
    await later.begin_beside(P, 5, 6)
    assert not (await worker(group)).suspect(P, 5), "a long-running worker writes no notes"
