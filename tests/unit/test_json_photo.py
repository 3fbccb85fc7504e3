"""The JSON body of a submission is separated into the photo and the rest, however it is cut."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.limits import Memory
from gateway.http.problems import Problem
from gateway.submissions.json_photo import LARGEST_REST, MOST_TOKENS, JsonScanner

PHOTO = bytes(range(256)) * 3
TEXT = base64.b64encode(PHOTO).decode()
MAX_BYTES = 2000


def scanned(body: bytes, size: int = 7) -> tuple[JsonScanner, bytes]:
    """Scan ``body`` in pieces of ``size`` bytes; return the scanner and the photo."""
    scanner = JsonScanner(MAX_BYTES, Memory(100_000_000).share())
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return scanner, b"".join(map(scanner.feed, pieces))


OTHERS: dict[str, Any] = {
    "urls": ['https://example.com/a,b\\"{}[]:.jpg', "\\", '"image_base64":"'],
    "metadata": {"image_base64": "not the photo", "a": [[1, 2], {"b": None}], "ü": "\u2028\\u"},
}


@given(st.integers(1, 40), st.sampled_from(["image_base64", "metadata", "urls"]), st.booleans())
def test_the_photo_is_taken_out_of_any_object(size: int, first: str, ascii_only: bool) -> None:
    fields = {**OTHERS, "image_base64": TEXT}
    ordered = {first: fields[first], **fields}
    body = json.dumps(ordered, ensure_ascii=ascii_only, indent=1).encode()
    scanner, photo = scanned(body, size)
    assert photo == PHOTO
    assert json.loads(scanner.rest) == {**OTHERS, "image_base64": ""}


WRITTEN = {
    "plain": TEXT,
    "slashes as PHP writes them": TEXT.replace("/", "\\/"),
    "as .NET writes it": TEXT.replace("+", "\\u002B").replace("/", "\\u002f"),
    "lines": "\\r\\n".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76)),
    "data URL": f"data:image/jpeg;base64,{TEXT}",
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
def test_every_way_to_write_base64_is_read(text: str, size: int) -> None:
    scanner, photo = scanned(f'{{"image\\u005fbase64" : "{text}"}}'.encode(), size)
    assert photo == PHOTO
    assert scanner.photo is not None
    assert scanner.photo.problem is None


@pytest.mark.parametrize("text", ["data", "AAAA", "AA==", "", "data:", "data:,"])
def test_short_texts_are_read(text: str) -> None:
    expected = base64.b64decode("" if ":" in text else text)
    assert scanned(f'{{"image_base64": "{text}"}}'.encode())[1] == expected


BAD = {
    "a character": f"{TEXT}!!!!",
    "padding": "AAA",
    "padding inside": "AA==AAAA",
    "an escape": f"{TEXT}\\b\\b\\b\\b",
    "half an escape": "AAAA\\u00",
    "a backslash": "AAAA\\\\AAA",
    "not ASCII": "AAA\\u00e9",
}


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_other_texts_are_no_base64(text: str, size: int) -> None:
    scanner, _ = scanned(f'{{"image_base64": "{text}"}}'.encode(), size)
    assert scanner.photo is not None
    assert scanner.photo.problem is not None
    assert scanner.photo.problem.code == "base64-invalid"


def test_a_large_photo_is_not_kept() -> None:
    text = base64.b64encode(bytes(10 * MAX_BYTES)).decode()
    scanner, photo = scanned(f'{{"image_base64": "{text}"}}'.encode(), 100)
    assert len(photo) <= MAX_BYTES
    assert scanner.photo is not None
    assert scanner.photo.problem is not None
    assert scanner.photo.problem.code == "too-large"


@given(st.binary(max_size=200) | st.text('{}[]":,\\u00 image_base64', max_size=200).map(str.encode))
def test_no_body_raises_an_error(body: bytes) -> None:
    scanner, _ = scanned(body)
    assert len(scanner.rest) <= len(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"urls":[' + b"1," * (MOST_TOKENS + 1),
        b"[" * (MOST_TOKENS + 1),
        b'{"urls":["' + b"a" * LARGEST_REST,
        b" " * (LARGEST_REST + 1),
    ],
    ids=["values", "brackets", "one text", "spaces"],
)
def test_the_rest_is_limited(body: bytes) -> None:
    with pytest.raises(Problem) as raised:
        scanned(body, 60_000)
    assert raised.value.code == "too-large"


def test_memory_is_shared_and_given_back() -> None:
    memory = Memory(100_000)
    with memory.share() as first, memory.share() as second:
        first.take(150_000)
        second.take(64_000)
        with pytest.raises(Problem, match="at the same time") as raised:
            second.take(20_000)
        assert raised.value.code == "busy"
        assert raised.value.headers["Retry-After"]
    assert memory.left == 100_000
