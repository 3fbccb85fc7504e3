"""Answers of caption models: how they become captions, and which answers are nonsense."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.captioners import answers
from agents.captioners.prompt import PROMPT, SCHEMA, full_prompt, version_of
from agents.stages.errors import BadAnswer
from streams.events.models import Attribute, Captioned

GOOD: dict[str, Any] = {
    "caption": "Women's Red Wrap Dress",
    "description": "A red wrap dress. It has short sleeves.",
    "attributes": [
        {"name": "colour", "value": "Red", "confidence": 0.9},
        {"name": "type", "value": "wrap dress", "confidence": 0.97},
    ],
    "needs_review": False,
}
TEXT = json.dumps(GOOD)


def read(**changed: Any) -> Captioned:
    return answers.captioned(json.dumps({**GOOD, **changed}), "m")


def attribute(name: str, value: str, confidence: Any = 0.9) -> dict[str, Any]:
    return {"name": name, "value": value, "confidence": confidence}


def test_an_answer_becomes_a_caption() -> None:
    found = answers.captioned(TEXT, "openai/some-model")
    assert found.model == "openai/some-model"
    assert (found.caption, found.description) == (GOOD["caption"], GOOD["description"])
    assert list(found.attributes) == ["type", "colour"]
    assert found.attributes["colour"] == Attribute(value="red", confidence=0.9)
    assert not found.needs_review


@pytest.mark.parametrize(
    "words",
    [
        f"```json\n{TEXT}\n```",
        f"Sure! Here it is:\n{TEXT}\nAnything else?",
        f"<think>A {{dress}}? Or {{}}…</think>{TEXT}",
        f"By the schema {{caption, …}} this is:\n\n```\n{TEXT}```",
    ],
    ids=["fenced", "prose", "thinking", "braces"],
)
def test_json_is_extracted_from_surrounding_text(words: str) -> None:
    assert answers.captioned(words, "m").caption == GOOD["caption"]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "I cannot help with that.",
        TEXT[:-20],
        "[]",
        "{}",
        '"a caption"',
        "{" * 100_000,
        '{"caption": ' * 5000,
        json.dumps(list(GOOD)),
    ],
    ids=lambda words: words[:12] or "empty",
)
def test_an_answer_without_a_json_object_is_nonsense(words: str) -> None:
    with pytest.raises(BadAnswer) as raised:
        answers.captioned(words, "m")
    assert raised.value.code == "caption-nonsense"


@pytest.mark.parametrize(
    "changed",
    [
        {"caption": None},
        {"caption": ["a"]},
        {"caption": ""},
        {"caption": " \n\t "},
        {"caption": "..."},
        {"caption": "x" * 81},
        {"description": None},
        {"needs_review": "perhaps"},
        {"attributes": {"type": "dress"}},
        {"attributes": [{"name": "type", "value": "dress"}]},
        {"attributes": [attribute("type", "dress", 95)]},
        {"attributes": [attribute("type", "dress", -0.1)]},
        {"attributes": [attribute("type", "dress", "NaN")]},
        {"attributes": [attribute("type", "dress")] * 101},
    ],
    ids=lambda changed: json.dumps(changed)[:50],
)
def test_an_answer_that_violates_the_schema_is_nonsense(changed: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer) as raised:
        read(**changed)
    assert raised.value.code == "caption-nonsense"
    assert "dress" not in str(raised.value), "an answer is not repeated in an error"


@pytest.mark.parametrize(
    ("told", "caption"),
    [
        ("  Red\n Dress ", "Red Dress"),
        ('"Red Dress."', "Red Dress"),
        ("Red\x00 Dress\ud800", "Red Dress"),
        ("Red " * 20, ("Red " * 20).strip()),
        ("Women's Dress " + "very " * 20, "Women's Dress " + "very " * 12 + "very"),
        ("A" * 70 + " with a print", "A" * 70),
        ("A" * 76 + ", and more of it", "A" * 76),
    ],
)
def test_captions_are_one_line_of_at_most_80_characters(told: str, caption: str) -> None:
    assert read(caption=told).caption == caption


@given(st.text(max_size=300))
def test_a_caption_from_any_text_is_valid_in_the_event(told: str) -> None:
    try:
        found = read(caption=told, description=told, attributes=[attribute("type", told)])
    except BadAnswer:
        return
    assert 0 < len(found.caption) <= 80
    assert found.caption in " ".join(told.split()) or not told.isprintable()
    found.model_dump_json().encode()


@given(st.text(max_size=200))
def test_any_text_without_json_raises_bad_answer(words: str) -> None:
    with pytest.raises(BadAnswer):
        answers.captioned(words, "m")


def test_unrequested_and_unknown_attributes_are_dropped() -> None:
    found = read(
        attributes=[
            attribute("type", "dress"),
            attribute("type", "shirt"),
            attribute("brand", "acme"),
            attribute("sleeve", "Unknown"),
            attribute("Neckline", " V-Neck "),
            attribute("pattern", ""),
            attribute("gender", "women, " + "perhaps " * 20),
        ]
    )
    assert {name: each.value for name, each in found.attributes.items()} == {
        "gender": "women, perhaps perhaps perhaps perhaps",
        "type": "dress",
        "neckline": "v-neck",
    }


@pytest.mark.parametrize(
    ("said", "type_", "colour", "wanted"),
    [
        (False, 0.5, 0.5, False),
        (True, 0.9, 0.9, True),
        (False, 0.49, 0.9, True),
        (False, 0.9, 0.49, True),
        (False, None, 0.9, True),
        (False, 0.9, None, True),
    ],
)
def test_an_uncertain_type_or_colour_needs_review(
    said: bool, type_: float | None, colour: float | None, wanted: bool
) -> None:
    told = [("type", "dress", type_), ("colour", "red", colour)]
    attributes = [attribute(*each) for each in told if each[2] is not None]
    assert read(needs_review=said, attributes=attributes).needs_review is wanted


def test_a_caption_without_attributes_always_needs_review() -> None:
    found = answers.sentence("a woman in a red dress\n", "m")
    assert found == Captioned(caption="a woman in a red dress", needs_review=True, model="m")
    with pytest.raises(BadAnswer):
        answers.sentence("  ", "m")


def test_the_schema_takes_what_is_read_and_is_strict() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(GOOD, SCHEMA)
    for part in (SCHEMA, SCHEMA["properties"]["attributes"]["items"]):
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])


def test_the_full_prompt_contains_the_schema() -> None:
    assert full_prompt("").startswith(PROMPT)
    assert full_prompt("  ") == full_prompt("")
    own = full_prompt("Describe it in Latin.")
    assert own.startswith("Describe it in Latin.\n")
    assert json.dumps(SCHEMA, separators=(",", ":")) in own
    assert "at most 80" not in own


def test_the_version_depends_on_model_and_prompt_and_is_a_valid_key() -> None:
    versions = {
        version_of("openai/a", "x"),
        version_of("openai/a", "y"),
        version_of("openai/b", "x"),
        version_of("gemini/a", "x"),
        version_of("openai/" + "a" * 500, "x"),
        version_of("openai/" + "a" * 501, "x"),
    }
    assert len(versions) == 6
    assert all(len(each) < 100 for each in versions)
    assert version_of("openai/Qwen/Qwen2.5-VL:7b/../é", "x").startswith(
        "openai-Qwen-Qwen2.5-VL-7b-"
    )
