"""Each listener gets the updates that it subscribed to."""

from __future__ import annotations

from streams.consumers.feed import JobFeed, Mailbox
from streams.events.models import JobUpdated

JOB = "01a20801-845d-768b-82dd-f448762e99cb"
OTHER = "01a20801-845d-768b-82dd-f448762e99cc"


def update(job_id: str, group: str | None = None, **more: object) -> JobUpdated:
    fields = {"status": "pending", "revision": 1, "updated_at": "2026-01-02T03:04:05Z", **more}
    return JobUpdated(job_id=job_id, group=group, **fields)  # type: ignore[arg-type]


def heard(mailbox: Mailbox) -> list[str]:
    return [news.update.job_id for news in mailbox.take()]


def test_each_listener_gets_the_updates_of_its_subscription() -> None:
    feed = JobFeed()
    with (
        feed.subscribe_to_job(JOB) as job,
        feed.subscribe_to_group("spring") as spring,
        feed.subscribe_to_group("autumn") as autumn,
        feed.subscribe_to_group(None) as everything,
    ):
        assert feed.listeners == 4
        feed.deliver([update(JOB, "spring"), update(OTHER)])
        assert heard(job) == [JOB]
        assert heard(spring) == [JOB]
        assert heard(autumn) == []
        assert heard(everything) == [JOB, OTHER]


def test_all_groups_get_the_deletion_of_a_job() -> None:
    feed = JobFeed()
    with feed.subscribe_to_group("spring") as spring, feed.subscribe_to_group(None) as everything:
        feed.deliver([update(JOB, status="deleted")])
        assert heard(spring) == heard(everything) == [JOB]


def test_the_feed_wants_only_subscribed_jobs() -> None:
    feed = JobFeed()
    assert not feed.wants(JOB)
    with feed.subscribe_to_job(JOB):
        assert feed.wants(JOB)
        assert not feed.wants(OTHER)
    with feed.subscribe_to_group("spring"):
        assert feed.wants(OTHER)
    assert not feed.wants(JOB)
    assert feed.listeners == 0


def test_a_closed_feed_closes_all_mailboxes() -> None:
    feed = JobFeed()
    with feed.subscribe_to_job(JOB) as before:
        feed.close()
        assert before.closed
        with feed.subscribe_to_group(None) as after:
            assert after.closed
    feed.open()
    with feed.subscribe_to_job(JOB) as again:
        assert not again.closed


def test_all_mailboxes_get_a_gap() -> None:
    feed = JobFeed()
    with feed.subscribe_to_job(JOB) as job, feed.subscribe_to_group(None) as everything:
        feed.mark_gap()
        assert job.take_gap()
        assert everything.take_gap()
