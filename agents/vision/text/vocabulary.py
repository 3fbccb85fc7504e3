"""The user's words for the networks' classes.

A YAML file maps each of your words to one or several classes:

    types:
      tee: [t-shirt, lounge tshirt]
      vest: [undershirt]
    colours:
      navy: [navy blue]
    words:
      crew-neck: [round-neck]
    leave_out: [unisex]

Classes that are not in the file keep their names. Captions never contain the words of `leave_out`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from agents.vision.networks.prediction import Prediction, Ranking

SECTIONS = {
    "types": "type", "colours": "colour", "genders": "gender", "patterns": "pattern",
    "sleeves": "sleeve", "necklines": "neckline",
}  # fmt: skip
"""The file's sections by head. The names are also `Prediction`'s fields."""


class VocabularyError(ValueError):
    """The file is not valid; the message lists all errors."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by section: ``said`` maps a class to the user's word, ``joined`` to the word's first
    class."""

    said: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    joined: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    leave_out: frozenset[str] = frozenset()
    version: str = ""

    @classmethod
    def load(
        cls, path: Path, classes: Mapping[str, Sequence[str]], words: Iterable[str]
    ) -> Vocabulary:
        """Read a file and check it against the classes of each head and the words of captions.

        Raises `VocabularyError`.
        """
        try:
            content = path.read_bytes()
            found = yaml.safe_load(content) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise VocabularyError(f"{path.name} cannot be read: {error}") from error
        known = {section: tuple(classes[head]) for section, head in SECTIONS.items()}
        known["words"] = tuple(words)
        wrong = list(_problems(found, known))
        if wrong:
            raise VocabularyError(f"{path.name}: " + "; ".join(wrong))
        sections = {section: found.get(section) or {} for section in known}
        return cls(
            said={s: {c: word for word, listed in m.items() for c in listed}
                  for s, m in sections.items()},
            joined={s: {c: listed[0] for listed in m.values() for c in listed}
                    for s, m in sections.items()},
            leave_out=frozenset(found.get("leave_out") or ()),
            version=hashlib.sha256(content).hexdigest()[:8],
        )  # fmt: skip

    def joined_in(self, seen: Prediction) -> Prediction:
        """Return the prediction; classes with the same user's word are added up in the first
        class."""
        changed: dict[str, Any] = {
            section: _joined(getattr(seen, section), self.joined.get(section, {}))
            for section in SECTIONS
        }
        return replace(seen, **changed)

    def word(self, section: str, class_: str) -> str:
        """Return the user's word for a class, or the class itself."""
        return self.said.get(section, {}).get(class_, class_)


PLAIN = Vocabulary()


def _joined(ranking: Ranking, into: Mapping[str, str]) -> Ranking:
    if not into:
        return ranking
    shares: dict[str, float] = {}
    for word, share in ranking:
        first = into.get(word, word)
        shares[first] = round(shares.get(first, 0.0) + share, 6)
    return tuple(sorted(shares.items(), key=lambda pair: (-pair[1], pair[0])))


def _problems(found: Any, known: Mapping[str, Sequence[str]]) -> Iterable[str]:
    if not isinstance(found, dict):
        yield "a mapping of sections is wanted"
        return
    allowed = [*known, "leave_out"]
    for section, content in found.items():
        if section not in allowed:
            yield f"there is no section {section!r}{_near(str(section), allowed)}"
        elif section == "leave_out":
            if not _is_words(content or []):
                yield "leave_out: a list of words is wanted"
        elif not isinstance(content, dict) or not all(_is_words(v) for v in content.values()):
            yield f"{section}: each word of yours is to have a list of the networks' words"
        else:
            yield from _misnamed(section, content, known[section])


def _misnamed(
    section: str, content: Mapping[str, Sequence[str]], known: Sequence[str]
) -> Iterable[str]:
    taken: dict[str, str] = {}
    for word, listed in content.items():
        for class_ in listed:
            if class_ not in known:
                yield f"{section}: the networks have no {class_!r}{_near(class_, known)}"
            elif class_ in taken:
                yield f"{section}: {class_!r} stands under {taken[class_]!r} and under {word!r}"
            taken[class_] = str(word)


def _is_words(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(word, str) and word for word in content)


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
