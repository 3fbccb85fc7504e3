"""The gallery's filters and cards; text from users is never HTML."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gateway.pages.render import Pages
from gateway.search.gallery import MOST_COUNTED, STATUSES, Card, Filters, count_label, suggestions
from storage.jobs.store import Job, StageError
from tests.unit.test_views import RESULTS, done, job

EVIL = "\"'><img src=x onerror=alert(1)>"


def finished() -> Job:
    return job(status="completed", stages={name: done(result) for name, result in RESULTS.items()})


def card(of: Job) -> Card:
    return Card.of(of, lambda key, filename="": f"http://gateway/{key}")


def test_an_empty_form_does_not_filter() -> None:
    filters = Filters.read({"q": "", "status": ""})
    query = filters.query()
    assert not filters
    assert query.statuses == set(STATUSES)
    assert (query.group, query.type, query.colour, query.text) == (None, None, None, None)
    assert filters.address() == "/gallery"


def test_a_filled_form_becomes_a_query_and_a_link() -> None:
    filters = Filters.read({"q": "red dress", "status": "failed", "group": "a&b", "more": "no"})
    query = filters.query("next")
    assert (query.text, query.statuses, query.group) == ("red dress", {"failed"}, "a&b")
    assert query.cursor == "next"
    assert filters.address("x=") == "/gallery?q=red+dress&status=failed&group=a%26b&cursor=x%3D"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("  red ", "red"), ("r\x00e\nd", "red"), ("x" * 300, "x" * 200), ("\ud800", "")],
)
def test_invalid_characters_are_dropped(given: str, kept: str) -> None:
    assert Filters.read({"colour": given}).colour == kept


@pytest.mark.parametrize(
    ("given", "asked"), [("", None), ("true", True), ("false", False), ("maybe", None)]
)
def test_the_review_filter(given: str, asked: bool | None) -> None:
    filters = Filters.read({"needs_review": given})
    assert filters.query().needs_review is asked
    assert bool(filters) is (asked is not None)


def test_an_unknown_status_does_not_filter() -> None:
    assert Filters.read({"status": "deleted"}).query().statuses == set(STATUSES)


@pytest.mark.parametrize(
    ("total", "text"),
    [(0, "0 photos"), (1, "1 photo"), (1_234, "1,234 photos"), (10_001, "more than 10,000 photos")],
)
def test_the_count_is_shown_as_text(total: int, text: str) -> None:
    assert total <= MOST_COUNTED + 1
    assert count_label(total, Filters()) == text
    assert count_label(total, Filters(q="red")) == text.replace("photo", "matching photo")


def test_suggestions_come_from_the_cards() -> None:
    cards = [card(finished()), card(finished())]
    assert suggestions(cards, "colour") == ["red"]
    assert suggestions(cards, "unheard-of") == []


def test_a_cards_mark_changes_with_its_job() -> None:
    before = finished()
    assert card(before).mark != card(replace(before, revision=before.revision + 1)).mark


def test_a_jobs_page_marks_each_attribute_that_needs_review() -> None:
    honest = finished()
    attributes = {
        "type": {"value": "dress", "confidence": 0.5, "needs_review": True},
        "colour": {"value": "red", "confidence": 0.9, "needs_review": False},
        "sleeve": {"value": "long", "confidence": 0.9},
    }
    words = {"caption": "Red Dress", "attributes": attributes, "model": "m"}
    stages = {**honest.stages, "captioning": done(words)}
    text = Pages().text("job.html", card=card(replace(honest, stages=stages)), comparable=True)
    rows = re.findall(r"<dt>(\w+)</dt>\s*<dd>(.*?)</dd>", text, re.DOTALL)
    marked = {name for name, shown in rows if "(needs review)" in shown}
    assert set(attributes) <= {name for name, _ in rows}
    assert marked == {"type"}


@pytest.mark.parametrize("needed", [True, False])
def test_a_card_says_whether_the_caption_needs_review(needed: bool) -> None:
    words = {"caption": "Dress", "attributes": {}, "needs_review": needed, "model": "m"}
    job = finished()
    shown = card(replace(job, stages={**job.stages, "captioning": done(words)}))
    assert ("Needs review" in Pages().text("card.html", card=shown)) is needed


def test_text_from_users_is_never_html() -> None:
    honest = finished()
    words = {
        "caption": EVIL,
        "description": EVIL,
        "attributes": {EVIL: {"value": EVIL, "confidence": 0.5}},
        "model": EVIL,
    }
    hostile = replace(
        honest,
        group=EVIL,
        source={"url": f"javascript:{EVIL}"},
        metadata={EVIL: EVIL, "list": [EVIL]},
        status="failed",
        error=StageError(EVIL, "error", EVIL, EVIL),
        stages={**honest.stages, "captioning": done(words)},
    )
    pages = Pages()
    text = pages.text("job.html", card=card(hostile), comparable=True)
    text += pages.text("card.html", card=card(hostile))
    assert text.count("onerror") > 10
    assert "<img src=x" not in text
    assert 'href="javascript:' not in text
    assert "style=" not in text
