"""The vector index: an exact search, each photo once, a bounded number of jobs."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.search.vector_index import VectorIndex
from storage.jobs.store import JobVector
from streams.events.embedding import SIZE, encode
from tests.vectors import along, like

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def kept(job_id: str, embedding: str | None, **more: str | None) -> JobVector:
    facts = {"sha256": f"photo of {job_id}", "model": "m", "group": None, **more}
    return JobVector(job_id, NOON, embedding=embedding, **facts)


ASKED = kept("asked", along(0))


def found(index: VectorIndex, limit: int = 9, group: str | None = None) -> list[str]:
    return [each.job_id for each in index.nearest(ASKED, group=group, limit=limit)]


def test_the_search_equals_a_brute_force_comparison() -> None:
    chance = np.random.default_rng(7)
    vectors = chance.standard_normal((2000, SIZE))
    index = VectorIndex(3000)
    index.write([kept(str(number), encode(each)) for number, each in enumerate(vectors)])
    index.write([kept(str(number), encode(vectors[number])) for number in (5, 1999)])
    asked = chance.standard_normal(SIZE)
    cosines = vectors @ asked / np.linalg.norm(vectors, axis=1) / np.linalg.norm(asked)
    nearest = index.nearest(kept("asked", encode(asked)), group=None, limit=50)
    told = [cosines[int(each.job_id)] for each in nearest]
    assert [each.similarity for each in nearest] == pytest.approx(told, abs=0.001)
    assert told == pytest.approx(np.sort(cosines)[:-51:-1], abs=0.001)


def test_the_most_similar_come_first_without_the_job_itself() -> None:
    index = VectorIndex(9)
    cosines = {"near": 0.9, "same": 1.0, "opposite": -1.0, "far": 0.1}
    index.write([ASKED, *(kept(name, like(cosine)) for name, cosine in cosines.items())])
    nearest = index.nearest(ASKED, group=None, limit=9)
    assert [each.job_id for each in nearest] == ["same", "near", "far", "opposite"]
    assert [each.similarity for each in nearest] == pytest.approx([1, 0.9, 0.1, -1], abs=0.001)
    assert all(-1 <= each.similarity <= 1 for each in nearest)
    assert found(index, limit=2) == ["same", "near"]


def test_a_photo_of_many_jobs_is_returned_once() -> None:
    index = VectorIndex(500)
    index.write([kept(f"copy {number}", like(0.9), sha256="copied") for number in range(400)])
    index.write([kept("own copy", along(0), sha256=ASKED.sha256), ASKED])
    index.write([kept("far", like(0.5)), kept("unvalidated", like(0.4), sha256=None)])
    first, second, *rest = found(index, limit=4)
    assert (first, second[:5], rest) == ("own copy", "copy ", ["far", "unvalidated"])
    assert len(found(index, limit=2)) == 2


def test_only_vectors_of_the_same_model_are_compared() -> None:
    index = VectorIndex(9)
    index.write([kept("other", along(0), model="m2"), kept("one", like(0.2))])
    index.write([kept("nameless", along(0), model=None)])
    assert found(index) == ["one"]


def test_a_group() -> None:
    index = VectorIndex(9)
    index.write([kept("a", like(0.9), group="spring"), kept("b", like(0.5), group="autumn")])
    index.write([kept("c", like(0.7))])
    assert found(index, group="autumn") == ["b"]
    assert found(index, group="winter") == []
    assert found(index) == ["a", "c", "b"]


def test_writes_replace_and_jobs_without_a_vector_are_removed() -> None:
    index = VectorIndex(9)
    index.write([kept("a", like(0.9)), kept("b", like(0.5)), kept("c", like(0.3))])
    index.write([kept("a", like(0.1)), kept("b", None), kept("nobody", None)])
    assert found(index) == ["c", "a"]
    index.forget(["c", "nobody"])
    assert found(index) == ["a"]
    index.write([kept("d", like(0.2)), kept("e", like(0.6))])
    assert found(index) == ["e", "d", "a"]
    assert len(index) == 3


def test_a_full_index_keeps_the_most_recently_written_jobs() -> None:
    index = VectorIndex(3)
    index.write([kept(name, like(0.5, axis=2)) for name in "abc"])
    index.write([kept("a", like(0.9)), kept("d", like(0.4))])
    assert found(index) == ["a", "c", "d"]
    index.write([kept(name, like(0.8)) for name in "efghij"])
    assert sorted(found(index)) == ["h", "i", "j"]
    assert len(index) == 3


@pytest.mark.parametrize(
    "text",
    [
        *("", "no base64!", "AAAA"),
        b64encode(np.zeros(SIZE, "<f2").tobytes()).decode(),
        b64encode(np.full(SIZE, np.nan, "<f2").tobytes()).decode(),
        b64encode(np.full(SIZE, np.inf, "<f2").tobytes()).decode(),
    ],
)
def test_invalid_vectors_are_ignored(text: str) -> None:
    index = VectorIndex(9)
    index.write([kept("odd", text), kept("good", like(0.5))])
    assert found(index) == ["good"]
    index.write([kept("odd", like(0.9))])
    assert found(index) == ["odd", "good"]


def test_an_empty_index_finds_nothing() -> None:
    assert found(VectorIndex(9)) == []
