"""Load the user's vocabulary and check its words against the classes of the network."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open

from agents.vision.networks.weights import SHIPPED
from agents.vision.text import garments
from agents.vision.text.caption import EXTRA_WORDS, RETIRED_WORDS, WEARERS
from agents.vision.text.vocabulary import PLAIN, SECTIONS, Vocabulary, VocabularyError
from lookstream.errors import CannotStart
from lookstream.settings import Settings


def open_vocabulary(settings: Settings) -> Vocabulary:
    """Return the vocabulary in the settings' file; `PLAIN` without one. Raises `CannotStart`."""
    if not settings.vocabulary:
        return PLAIN
    try:
        known = classes(settings)
        # Captions also use broader words, and files may name classes of earlier networks.
        known["type"] = [*dict.fromkeys([*known["type"], *garments.every_word()])]
        known["colour"] = [*dict.fromkeys([*known["colour"], *garments.COLOUR_MEMBERS])]
        known["gender"] = [*dict.fromkeys([*known["gender"], *WEARERS])]
        return Vocabulary.load(Path(settings.vocabulary), known, [*EXTRA_WORDS, *RETIRED_WORDS])
    except VocabularyError as error:
        raise CannotStart(f"LOOKSTREAM_VOCABULARY: {error}") from error


def every_word(settings: Settings) -> str:
    """Return a vocabulary file that maps every word of the network to itself."""
    known = classes(settings)
    sections = {section: known[head] for section, head in SECTIONS.items()}
    sections["words"] = sorted(EXTRA_WORDS)
    content = {section: {word: [word] for word in words} for section, words in sections.items()}
    return str(yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def classes(settings: Settings) -> dict[str, list[str]]:
    """Return the network's classes by head, from the metadata of the weights file.

    Raises `CannotStart` if the file is not a garment model.
    """
    weights = Path(settings.weights) if settings.weights else SHIPPED
    try:
        with safe_open(weights, framework="numpy") as file:
            metadata = file.metadata() or {}
        return {head: json.loads(metadata[head]) for head in SECTIONS.values()}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise CannotStart(f"{weights.name} is not a garment model: {error}") from error
