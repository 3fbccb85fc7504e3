"""The offsets that a side-by-side consumer may commit."""

from __future__ import annotations

from random import Random

from agents.workers.side_by_side import Window


def test_an_offset_is_committed_when_all_before_it_are_finished() -> None:
    window = Window()
    for offset in (5, 6, 9):
        window.begin("p", offset)
    assert window.finish("p", 9) is None
    assert window.finish("p", 5) == 6
    assert window.finish("p", 6) == 10, "Kafka may leave gaps between offsets"


def test_partitions_do_not_wait_for_each_other() -> None:
    window = Window()
    window.begin("p", 1)
    window.begin("q", 1)
    assert window.finish("q", 1) == 2
    assert window.finish("p", 1) == 2


def test_no_order_of_ends_commits_past_an_unfinished_record() -> None:
    dice = Random(7)  # noqa: S311 - not for secrets
    for _ in range(50):
        window, open_, order = Window(), set(range(20)), list(range(20))
        dice.shuffle(order)
        for offset in range(20):
            window.begin("p", offset)
        committed = 0
        for offset in order:
            open_.discard(offset)
            committed = window.finish("p", offset) or committed
            assert committed == min(open_, default=20)
