"""Broken images from the generator of ``make broken-images``, a few of each inexpensive kind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from agents.inputs.decoding import Decoder
from agents.stages.errors import Rejected
from benchmarks.broken_files import FORMATS, Case, cases, intact
from benchmarks.broken_images import Outcome, table

CASES = cases(4000, seed=2)
CHEAP = ("truncated", "false header", "bits flipped", "bytes moved", "cut and continued")
CODES = {
    "truncated-image", "decode-failed", "not-an-image", "unsupported-format", "too-many-pixels",
    "too-small", "too-many-scans",
}  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(processes=1)
    yield decoder
    decoder.close()


def answer(decoder: Decoder, case: Case) -> str:
    try:
        decoder.inspect(case.make())
    except Rejected as error:
        return error.code
    return "completed"


@pytest.mark.parametrize("name", FORMATS)
def test_the_files_are_intact_before_they_are_broken(decoder: Decoder, name: str) -> None:
    found = decoder.inspect(intact(name))
    assert (found.width, found.height) == (300, 400)


@pytest.mark.parametrize("kind", CHEAP)
def test_each_broken_image_is_completed_or_rejected_by_a_code(decoder: Decoder, kind: str) -> None:
    chosen = [case for case in CASES if case.kind == kind]
    some = random.Random(3).sample(chosen, 150)  # noqa: S311 - not for secrets
    found = Counter(answer(decoder, case) for case in some)
    assert set(found) <= CODES | {"completed"}


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - {"mpo"}))
def test_a_photo_cut_anywhere_is_truncated(decoder: Decoder, name: str) -> None:
    """Of an MPO, only the first picture is used."""
    cut = [case for case in CASES if case.kind == "truncated" and case.name == name]
    found = Counter(answer(decoder, case) for case in cut)
    assert set(found) <= {"truncated-image", "not-an-image", "decode-failed"}
    assert found["truncated-image"] >= 90


def test_equal_seeds_give_equal_files() -> None:
    numbers = random.Random(4).sample(range(4000), 40)  # noqa: S311 - not for secrets
    cheap = [number for number in numbers if CASES[number].kind in CHEAP]
    again = cases(4000, seed=2)
    assert all(CASES[number].make() == again[number].make() for number in cheap)


def test_the_table_counts_completed_files_and_codes() -> None:
    outcomes = [
        Outcome("bomb", "png", 0, "completed", 1.0, 100),
        Outcome("bomb", "png", 1, "decode-failed", 2.5, 300),
        Outcome("truncated", "png", 2, "ERROR OSError: no", 0.1, 50),
    ]
    lines = table(outcomes).splitlines()
    assert lines[2] == "| bomb | 2 | 1 | decode-failed 1 | 2.50 | 300 |"
    assert lines[-1] == "| all | 3 | 1 | decode-failed 1, ERROR OSError 1 | 2.50 | 300 |"
