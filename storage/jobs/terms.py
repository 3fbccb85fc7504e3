"""Search terms: the short texts by which a job is found.

    type:shirts   colour:navy blue   label:shirt   sha256:…   word:navy   review:needed

Terms are made from stage results (the caption's attributes, words and review mark, the most
probable class, the hash of the content) and from the words of the file name. Case, accents and
repeated spaces are ignored. Stores keep the terms of each job, so a change here needs new versions
of `storage.jobs.sqlite.schema` and `storage.jobs.mongo.schema`, and migrations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storage.jobs.store import Job, JobQuery

TERM_FIELDS: Mapping[str, tuple[str | int, ...]] = {
    "type": ("captioning", "attributes", "type", "value"),
    "colour": ("captioning", "attributes", "colour", "value"),
    "label": ("classification", "top5", 0, "label"),
    "sha256": ("validation", "sha256"),
}
CAPTION_FIELD = ("captioning", "caption")
REVIEW_FIELD = ("captioning", "needs_review")
REVIEW_NEEDED, NO_REVIEW = "review:needed", "review:none"
WORD = re.compile(r"[^\W_]+")


def job_terms(job: Job) -> tuple[str, ...]:
    """Return the terms of ``job``, sorted. A result of an unknown shape adds none."""
    results = {stage: state.result for stage, state in job.stages.items()}
    found = {name: _text(results, *path) for name, path in TERM_FIELDS.items()}
    named = {term(name, text) for name, text in found.items() if text is not None}
    text = f"{_text(results, *CAPTION_FIELD) or ''} {job.filename or ''}"
    review = _review_terms(_value(results, *REVIEW_FIELD))
    return tuple(sorted(named | review | set(_word_terms(text))))


def query_terms(query: JobQuery) -> tuple[str, ...]:
    """Return the terms, sorted, all of which a job must have to match ``query``."""
    asked = {name: getattr(query, name) for name in TERM_FIELDS}
    named = {term(name, text) for name, text in asked.items() if text is not None}
    review = _review_terms(query.needs_review)
    return tuple(sorted(named | review | set(_word_terms(query.text or ""))))


def words(text: str) -> list[str]:
    """Return the words of ``text`` for comparison: "Women's T-Shirt" gives women, s, t, shirt.

    So a search for "women" and a search for "women's" both find that text.
    """
    return WORD.findall(_folded(text))


def term(name: str, text: str) -> str:
    return f"{name}:{' '.join(_folded(text).split())}"


def _word_terms(text: str) -> Iterator[str]:
    return (f"word:{word}" for word in words(text))


def _folded(text: str) -> str:
    """Return ``text`` in lower case (Unicode's compatibility caseless form), without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _review_terms(needed: Any) -> set[str]:
    """Return the term of a review mark; none for a value that is not a bool."""
    if not isinstance(needed, bool):
        return set()
    return {REVIEW_NEEDED if needed else NO_REVIEW}


def _text(results: Mapping[str, Any], *path: str | int) -> str | None:
    """Return the text at ``path``, or None if there is no text."""
    found = _value(results, *path)
    return found if isinstance(found, str) else None


def _value(results: Mapping[str, Any], *path: str | int) -> Any:
    found: Any = results
    for step in path:
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and found:
            found = found[0] if step == 0 else None
        else:
            return None
    return found
