"""Job stores keep one record for each idempotency key until it expires."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from storage.jobs.store import IdempotencyRecord, JobStore
from tests.contract.job_stores import NOON, opened

DAY = timedelta(days=1)
FIRST = IdempotencyRecord("ann:key", "fingerprint", NOON)


async def test_the_first_of_a_key_is_kept_and_given_to_all(store: JobStore, url: str) -> None:
    assert await store.claim_idempotency_key(FIRST, expired=NOON - DAY) == FIRST
    again = replace(FIRST, at=NOON + timedelta(hours=1))
    other = replace(again, fingerprint="another body")
    async with opened(url) as second:
        assert await second.claim_idempotency_key(again, expired=again.at - DAY) == FIRST
        assert await second.claim_idempotency_key(other, expired=again.at - DAY) == FIRST
    different = replace(FIRST, key="bob:key")
    assert await store.claim_idempotency_key(different, expired=NOON - DAY) == different


async def test_a_record_is_read_without_a_claim(store: JobStore) -> None:
    assert await store.idempotency_record(FIRST.key) is None
    await store.claim_idempotency_key(FIRST, expired=NOON - DAY)
    assert await store.idempotency_record(FIRST.key) == FIRST
    assert await store.idempotency_record("bob:key") is None


async def test_an_expired_one_gives_way(store: JobStore) -> None:
    await store.claim_idempotency_key(FIRST, expired=NOON - DAY)
    late = IdempotencyRecord(FIRST.key, "another body", NOON + DAY)
    assert await store.claim_idempotency_key(late, expired=late.at - DAY) == FIRST
    later = replace(late, at=late.at + timedelta(microseconds=1))
    assert await store.claim_idempotency_key(later, expired=later.at - DAY) == later


async def test_of_many_at_once_one_is_kept(store: JobStore, url: str) -> None:
    await store.claim_idempotency_key(replace(FIRST, at=NOON - 2 * DAY), expired=NOON - 3 * DAY)
    mine = [IdempotencyRecord("ann:key", f"body {number}", NOON) for number in range(12)]
    async with opened(url) as two, opened(url) as three:
        kept = await asyncio.gather(
            *(
                (store, two, three)[number % 3].claim_idempotency_key(one, expired=NOON - DAY)
                for number, one in enumerate(mine)
            )
        )
    assert len(set(kept)) == 1
    assert kept[0] in mine


async def test_keys_of_any_kind_are_told_apart(store: JobStore) -> None:
    keys = ["a.b", "$a", "é", "e\u0301", "A", "a", "x" * 400, "' --", "%"]
    kept = [
        await store.claim_idempotency_key(IdempotencyRecord(key, key, NOON), expired=NOON - DAY)
        for key in keys
    ]
    assert [one.fingerprint for one in kept] == keys
