"""A mailbox holds the newest state of each job, oldest update first, up to a limit."""

from __future__ import annotations

import asyncio

import pytest

from streams.consumers.feed import Mailbox
from streams.events.models import JobUpdated

JOBS = [f"01a20801-845d-768b-82dd-{number:012x}" for number in range(5)]


def update(job: int, revision: int = 1, run: int = 1) -> JobUpdated:
    return JobUpdated(
        job_id=JOBS[job],
        run=run,
        status="processing",
        revision=revision,
        updated_at="2026-01-02T03:04:05Z",
    )


def taken(mailbox: Mailbox, most: int = 100) -> list[tuple[int, int, int]]:
    return [
        (JOBS.index(news.update.job_id), news.update.run, news.update.revision)
        for news in mailbox.take(most)
    ]


def test_a_newer_state_replaces_an_older_one() -> None:
    mailbox = Mailbox()
    for each in (update(0, 1), update(1, 1), update(0, 3), update(0, 2)):
        mailbox.put(each)
    assert taken(mailbox) == [(0, 1, 3), (1, 1, 1)]
    assert taken(mailbox) == []


def test_a_higher_run_is_newer_whatever_its_revision() -> None:
    mailbox = Mailbox()
    for each in (update(0, 9, run=1), update(0, 2, run=2), update(0, 10, run=1)):
        mailbox.put(each)
    assert taken(mailbox) == [(0, 2, 2)]


def test_updates_are_taken_in_the_order_of_arrival() -> None:
    mailbox = Mailbox()
    for job in (2, 0, 1):
        mailbox.put(update(job))
    first = mailbox.take(1)[0]
    mailbox.put(update(0, 2))
    rest = mailbox.take()
    assert [news.update.job_id for news in rest] == [JOBS[0], JOBS[1]]
    assert first.received_ms <= rest[0].received_ms <= rest[1].received_ms


def test_too_many_jobs_close_and_empty_the_mailbox() -> None:
    mailbox = Mailbox(most=2)
    for _ in range(3):
        mailbox.put(update(0))
        mailbox.put(update(1))
    assert not mailbox.closed
    mailbox.put(update(2))
    mailbox.put(update(3))
    assert mailbox.closed
    assert len(mailbox) == 0


def test_a_gap_is_reported_once() -> None:
    mailbox = Mailbox()
    assert not mailbox.take_gap()
    mailbox.mark_gap()
    assert mailbox.take_gap()
    assert not mailbox.take_gap()


@pytest.mark.parametrize("stir", [lambda box: box.put(update(0)), Mailbox.mark_gap, Mailbox.close])
async def test_updates_gaps_and_closing_end_the_wait(stir: object) -> None:
    mailbox = Mailbox()
    await mailbox.wait(0.01)  # no update yet
    waiting = asyncio.create_task(mailbox.wait())
    await asyncio.sleep(0)
    assert callable(stir)
    stir(mailbox)
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(mailbox.wait(), 5)  # the state is unchanged, so this returns too


async def test_a_cancellation_during_an_update_is_not_lost() -> None:
    mailbox = Mailbox()
    waiting = asyncio.create_task(mailbox.wait(60))
    await asyncio.sleep(0)
    mailbox.put(update(0))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
