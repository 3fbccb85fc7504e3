"""Embeddings encode to text and decode back; other values are refused."""

from __future__ import annotations

import math
import random
import struct
from base64 import b64encode

import pytest
from pydantic import ValidationError

from streams.events.embedding import CHARACTERS, SIZE, decode, encode, half_floats
from streams.events.models import Classified

INF, NAN = math.inf, math.nan


def text_of(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}e", *numbers)).decode()


def vector(seed: int) -> list[float]:
    chance = random.Random(seed)  # noqa: S311
    numbers = [chance.gauss(0, 1) for _ in range(SIZE)]
    return [number / math.hypot(*numbers) for number in numbers]


def test_a_decoded_vector_has_length_1() -> None:
    text = encode([3.0, -4.0, *[0.0] * (SIZE - 2)])
    assert len(text) == CHARACTERS
    assert decode(text)[:3] == pytest.approx((0.6, -0.8, 0.0), abs=0.0005)
    assert text == encode([0.03, -0.04, *[0.0] * (SIZE - 2)])


def test_the_bytes_are_as_documented() -> None:
    text = encode([1.0, *[0.0] * (SIZE - 1)])
    assert half_floats(text) == b"\x00\x3c" + bytes(2 * (SIZE - 1))  # 1.0, little-endian
    assert text == "ADwA" + "A" * (CHARACTERS - 6) + "=="


@pytest.mark.parametrize("seed", range(50))
def test_a_cosine_is_kept_to_a_thousandth(seed: int) -> None:
    one, other = vector(seed), vector(seed + 1000)
    mixed = [0.8 * a + 0.6 * b for a, b in zip(one, other, strict=True)]
    cosine = _dot(one, mixed) / math.hypot(*mixed)
    assert _dot(decode(encode(one)), decode(encode(mixed))) == pytest.approx(cosine, abs=0.001)


def _dot(one: list[float] | tuple[float, ...], other: list[float] | tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [1.0] * (SIZE - 1),
        [1.0] * (SIZE + 1),
        [0.0] * SIZE,
        [NAN, *[0.0] * (SIZE - 1)],
        [INF, *[0.0] * (SIZE - 1)],
    ],
    ids=["none", "too few", "too many", "zeros", "nan", "infinite"],
)
def test_an_invalid_vector_is_not_encoded(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="128 finite numbers"):
        encode(numbers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A" * CHARACTERS,  # too many bytes
        "!" + "A" * (CHARACTERS - 2) + "=",
        "é" + "A" * (CHARACTERS - 2) + "=",
        text_of(*[1.0] * (SIZE - 1)),
        text_of(*[0.0] * SIZE),
        text_of(*[1.0] * SIZE),
        text_of(NAN, *[0.0] * (SIZE - 1)),
        text_of(INF, *[0.0] * (SIZE - 1)),
    ],
)
def test_invalid_text_is_not_decoded(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        decode(text)
    with pytest.raises(ValidationError):
        Classified(top5=(), model="m", embedding=text)


def test_an_event_may_have_one() -> None:
    text = encode(vector(7))
    assert Classified(top5=(), model="m", embedding=text).embedding == text
    assert Classified(top5=(), model="m").embedding is None
