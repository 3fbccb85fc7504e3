"""A link gives access to one object, for one method, until it expires. It cannot be forged."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts.links import LinkSigner
from storage.errors import InvalidLink, LinkExpired

NOW = 1_800_000_000.0
SIGNER = LinkSigner(b"0123456789abcdef", "https://shop.example/")


def parsed(link: str) -> dict[str, object]:
    query = {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}
    return {
        "key": unquote(urlsplit(link).path.removeprefix("/v1/artifacts/")),
        "expires": int(query["expires"]),
        "method": query["method"],
        "signature": query["signature"],
    }


def verify(signer: LinkSigner = SIGNER, now: float = NOW, **parts: object) -> None:
    signer.verify(parts.pop("key"), now=now, **parts)  # type: ignore[arg-type]


def test_a_link_has_the_gateways_address_and_its_parts_in_the_query() -> None:
    link = SIGNER.sign("shots/ab/v 1/neck.jpg", expires_s=60, now=NOW)
    assert link.startswith("https://shop.example/v1/artifacts/shots/ab/v%201/neck.jpg?expires=")
    assert parsed(link)["key"] == "shots/ab/v 1/neck.jpg"


@given(
    st.text(min_size=1, max_size=40).filter(lambda key: "\n" not in key),
    st.integers(1, 604_800),
    st.sampled_from(["GET", "PUT"]),
    st.floats(NOW, NOW + 1e6),
)
def test_a_link_is_good_for_as_long_as_asked_and_an_eighth_at_most_beyond(
    key: str, expires_s: int, method: str, now: float
) -> None:
    parts = parsed(SIGNER.sign(key, expires_s=expires_s, method=method, now=now))
    verify(now=now, **parts)
    verify(now=now + expires_s - 0.01, **parts)
    with pytest.raises(LinkExpired):
        verify(now=now + expires_s * 1.125 + 1, **parts)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "originals/b"},
        {"key": "originals/a/"},
        {"method": "PUT"},
        {"method": "get"},
        {"expires": int(NOW) + 10_000_000},
        {"signature": ""},
        {"signature": "0" * 64},
        {"signature": "é" * 64},
    ],
    ids=repr,
)
def test_a_changed_link_is_refused(change: dict[str, object]) -> None:
    parts = parsed(SIGNER.sign("originals/a", expires_s=60, now=NOW))
    with pytest.raises(InvalidLink):
        verify(**{**parts, **change})


def test_a_link_of_another_secret_is_refused() -> None:
    other = LinkSigner(b"fedcba9876543210", "https://shop.example")
    with pytest.raises(InvalidLink):
        verify(other, **parsed(SIGNER.sign("a", expires_s=60, now=NOW)))


def test_a_forged_link_is_refused_before_its_time_is_looked_at() -> None:
    with pytest.raises(InvalidLink):
        verify(key="a", expires=0, method="GET", signature="0" * 64)


def test_a_link_stays_the_same_for_a_while() -> None:
    links = {SIGNER.sign("a", expires_s=86_400, now=NOW + minute * 60) for minute in range(180)}
    assert len(links) <= 2


@pytest.mark.parametrize("expires_s", [0, -1, 604_801])
def test_a_life_beyond_the_limits_is_refused(expires_s: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        SIGNER.sign("a", expires_s=expires_s)


def test_only_reading_and_writing_can_be_signed() -> None:
    with pytest.raises(ValueError, match="GET or PUT"):
        SIGNER.sign("a", expires_s=60, method="DELETE")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        LinkSigner(b"", "")
