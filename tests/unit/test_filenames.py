"""File names of clients are cleaned, and artifacts are saved under derived names."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts.links import content_disposition
from streams.events.filenames import (
    LONGEST,
    LONGEST_BYTES,
    clean_filename,
    stem_of,
    url_filename,
)
from streams.events.models import ImageSubmitted


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("shirt-front.jpg", "shirt-front.jpg"),
        ("  Blaues Kleid (2).JPG ", "Blaues Kleid (2).JPG"),
        ("C:\\fotos\\kleid.jpg", "kleid.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..", None),
        ("", None),
        ("\u0000", None),
        (".hidden.jpg", "hidden.jpg"),
        ('a"b\r\nSet-Cookie: x.jpg', "a-bSet-Cookie- x.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("e\u0301te\u0301.jpg", "été.jpg"),
        ("写真.heic", "写真.heic"),
        ("x" * 400 + ".jpeg", "x" * (LONGEST - 5) + ".jpeg"),
    ],
)
def test_names_are_cleaned(given_name: str, kept: str | None) -> None:
    assert clean_filename(given_name) == kept


@given(st.text(max_size=300))
def test_every_text_gives_a_safe_name_or_none(text: str) -> None:
    name = clean_filename(text)
    if name is None:
        return
    assert 0 < len(name) <= LONGEST
    assert len(name.encode()) <= LONGEST_BYTES
    assert not set(name) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(each).startswith("C") for each in name)
    assert not name.startswith(".")
    assert clean_filename(name) == name
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/p/red%20dress.jpg?w=300", "red dress.jpg"),
        ("https://a.example/", None),
        ("https://a.example/%2e%2e%2fx.png", "x.png"),
        ("", None),
    ],
)
def test_a_url_ends_with_a_name(url: str, name: str | None) -> None:
    assert url_filename(url) == name


def test_a_stem_has_no_suffix() -> None:
    assert stem_of("shirt.v2.jpg") == "shirt.v2"
    assert stem_of("shirt") == "shirt"


def test_an_event_cleans_the_name_and_never_fails_because_of_it() -> None:
    event = {"job_id": "01a20801-845d-768b-82dd-f448762e99cb", "source": {"object": "uploads/a"}}
    named = ImageSubmitted.model_validate({**event, "filename": "../" + "y" * 9000 + ".jpg"})
    assert named.filename is not None
    assert len(named.filename) == LONGEST
    assert ImageSubmitted.model_validate(event).filename is None
    assert ImageSubmitted.model_validate({**event, "filename": "/"}).filename is None


def test_a_header_names_the_file_for_old_and_new_browsers() -> None:
    assert content_disposition("Kleid äöü.jpg") == (
        "inline; filename=\"Kleid ___.jpg\"; filename*=UTF-8''Kleid%20%C3%A4%C3%B6%C3%BC.jpg"
    )
