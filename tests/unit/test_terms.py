"""Jobs and queries give the same search terms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.vision.text import garments
from storage.jobs.store import Job, JobQuery, StageCompleted
from storage.jobs.terms import job_terms, query_terms, words
from storage.jobs.transition import fold

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def seen(**results: Any) -> Job:
    updates = [
        StageCompleted("job", 1, NOON, stage, result, tuple(results))
        for stage, result in results.items()
    ]
    job = fold(None, updates)
    assert job is not None
    return job


def test_terms_come_from_the_results() -> None:
    job = seen(
        validation={"sha256": "ab12", "width": 3},
        captioning={
            "caption": "Women's Navy Blue Shirt",
            "attributes": {
                "type": {"value": "Shirts", "confidence": 0.9},
                "colour": {"value": "navy  blue"},
                "gender": {"value": "women"},
            },
            "needs_review": True,
        },
        classification={"top5": [{"label": "Jersey"}, {"label": "sock"}]},
        pose={"subject": "person"},
    )
    assert set(job_terms(job)) == {
        "type:shirts",
        "colour:navy blue",
        "label:jersey",
        "sha256:ab12",
        "review:needed",
        *(f"word:{word}" for word in ("women", "s", "navy", "blue", "shirt")),
    }
    assert list(job_terms(job)) == sorted(job_terms(job))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"caption": None, "attributes": None, "top5": None, "sha256": None},
        {"caption": ["x"], "attributes": ["x"], "top5": [], "sha256": 7},
        {"attributes": {"type": "x", "colour": {"value": 7}}, "top5": "x"},
        {"attributes": {"type": {}}, "top5": ["x", {"label": "second"}]},
        {"needs_review": None},
        {"needs_review": "yes"},
        {"needs_review": 1},
    ],
    ids=repr,
)
def test_a_result_of_another_shape_has_no_terms(result: dict[str, Any]) -> None:
    assert job_terms(seen(validation=result, captioning=result, classification=result)) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Women's T-Shirt", ["women", "s", "t", "shirt"]),
        ("  Été — ÉTÉ\u0301 ", ["ete", "ete"]),
        ("Straße №7", ["strasse", "no7"]),
        ("snake_case 日本", ["snake", "case", "日本"]),
        ("!? \0 -", []),
    ],
)
def test_words_are_compared_without_case_and_accents(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_query_wants_all_its_terms() -> None:
    query = JobQuery(
        type="Dress",
        colour="RED ",
        label="a",
        sha256="FF",
        text="red dress red",
        needs_review=True,
    )
    assert query_terms(query) == (
        *("colour:red", "label:a", "review:needed", "sha256:ff", "type:dress"),
        *("word:dress", "word:red"),
    )
    assert query_terms(JobQuery(group="album")) == ()


@given(st.text(max_size=80))
def test_a_caption_is_found_by_itself(text: str) -> None:
    job = seen(captioning={"caption": text})
    assert set(query_terms(JobQuery(text=text))) == set(job_terms(job))
    assert set(query_terms(JobQuery(text=text.upper()))) == set(
        query_terms(JobQuery(text=text.upper().lower()))
    )


def test_every_word_that_the_network_may_say_can_be_found() -> None:
    for name in (*garments.every_word(), *garments.COLOUR_MEMBERS):
        job = seen(captioning={"attributes": {"type": {"value": name}}, "caption": name})
        assert set(query_terms(JobQuery(type=name.title(), text=name))) == set(job_terms(job))
