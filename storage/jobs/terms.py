"""What a job can be searched by: short texts that an index holds for each job.

    type:shirts   colour:navy blue   label:shirt   sha256:…   word:navy

They come from the results of its stages: the caption's attributes and words, the likeliest class,
the content's hash. Compared without case, accents and double spaces. What this module says is a
part of `storage.jobs.sqlite.schema`'s version: a change needs a migration of old jobs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from storage.jobs.store import Job, JobQuery

PLACES: Mapping[str, tuple[str | int, ...]] = {
    "type": ("captioning", "attributes", "type", "value"),
    "colour": ("captioning", "attributes", "colour", "value"),
    "label": ("classification", "top5", 0, "label"),
    "sha256": ("validation", "sha256"),
}
CAPTION = ("captioning", "caption")
WORD = re.compile(r"[^\W_]+")


def terms(job: Job) -> tuple[str, ...]:
    """Return the terms of ``job``, sorted; a result of an unknown shape has none."""
    results = {stage: state.result for stage, state in job.stages.items()}
    found = {name: _text(results, *place) for name, place in PLACES.items()}
    named = {term(name, text) for name, text in found.items() if text is not None}
    return tuple(sorted(named | set(_word_terms(_text(results, *CAPTION) or ""))))


def wanted(query: JobQuery) -> tuple[str, ...]:
    """Return the terms that a job must have, all of them, to be found by ``query``, sorted."""
    asked = {name: getattr(query, name) for name in PLACES}
    named = {term(name, text) for name, text in asked.items() if text is not None}
    return tuple(sorted(named | set(_word_terms(query.text or ""))))


def words(text: str) -> list[str]:
    """Return the words of ``text`` as they are compared: "Women's T-Shirt" is women, s, t, shirt.

    Small: each is short, and a search for "women" and one for "women's" both find it.
    """
    return WORD.findall(_folded(text))


def term(name: str, text: str) -> str:
    return f"{name}:{' '.join(_folded(text).split())}"


def _word_terms(text: str) -> Iterator[str]:
    return (f"word:{word}" for word in words(text))


def _folded(text: str) -> str:
    """Return ``text`` by Unicode's compatibility caseless matching, and without accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _text(results: Mapping[str, Any], *place: str | int) -> str | None:
    """Return the text at ``place``; None where something else is, or nothing."""
    found: Any = results
    for step in place:
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, Sequence) and not isinstance(found, str) and found:
            found = found[0] if step == 0 else None
        else:
            return None
    return found if isinstance(found, str) else None
