"""Equal requests have the same fingerprint, and their jobs have the same ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID

import pytest
from fastapi import Request

from gateway.http.problems import Problem
from gateway.submissions.body import Submission
from gateway.submissions.idempotency import Key, checked_key, fingerprint, job_id, sender
from gateway.submissions.options import Options
from gateway.submissions.photos import Photo, Remote, Upload

AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


def asked(*photos: Photo | Problem, **options: object) -> Submission:
    return Submission(photos, Options.model_validate(options))


def upload(content: bytes) -> Upload:
    return Upload(BytesIO(content))


def test_the_same_request_has_the_same_fingerprint_and_its_files_are_read_again() -> None:
    photo = upload(b"a photo")
    first = fingerprint(asked(photo, Remote("https://a/b"), stages="pose,shots"))
    assert photo.file.read() == b"a photo"
    again = asked(upload(b"a photo"), Remote("https://a/b"), stages=["pose", "shots"])
    assert fingerprint(again) == first


def test_whatever_differs_shows() -> None:
    requests = [
        asked(upload(b"a"), upload(b"b")),
        asked(upload(b"b"), upload(b"a")),
        asked(upload(b"ab")),
        asked(Remote("https://a")),
        asked(upload(b"https://a")),
        asked(Problem("empty-file")),
        asked(upload(b"ab"), group="g"),
        asked(upload(b"ab"), lane="bulk"),
        asked(upload(b"ab"), force=True),
        asked(upload(b"ab"), stages=["pose"]),
        asked(upload(b"ab"), metadata={"a": 1}),
        asked(upload(b"ab"), metadata={"a": "1"}),
    ]
    assert len({fingerprint(request) for request in requests}) == len(requests)


def test_ids_are_of_version_7_and_made_of_key_time_and_place() -> None:
    made = UUID(job_id("key", AT, 0))
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == round(AT.timestamp() * 1000)
    assert job_id("key", AT, 0) == str(made)
    later = AT + timedelta(milliseconds=1)
    others = {job_id("key", AT, 1), job_id("yek", AT, 0), job_id("key", later, 0), str(made)}
    assert len(others) == 4


@pytest.mark.parametrize("key", [None, "a", "~" * 255, "8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_keys_that_are_taken(key: str | None) -> None:
    assert checked_key(key, asked_from("10.0.0.1")) == (key and Key(key, "10.0.0.1"))


@pytest.mark.parametrize("key", ["", "k" * 256, "é", "a\nb", "\x7f"])
def test_keys_that_are_refused(key: str) -> None:
    with pytest.raises(Problem) as refused:
        checked_key(key, asked_from("10.0.0.1"))
    assert refused.value.code == "invalid-request"


def asked_from(address: str | None) -> Request:
    client = address and (address, 1234)
    return Request({"type": "http", "client": client, "headers": []})


@pytest.mark.parametrize(
    ("addresses", "same"),
    [
        (("10.0.0.1", "10.0.0.1"), True),
        (("10.0.0.1", "10.0.0.2"), False),
        (("127.0.0.1", "::1"), True),
        (("10.0.0.1", "::ffff:10.0.0.1"), True),
        (("2001:db8::1", "2001:db8::a:b:c:d"), True),
        (("2001:db8::1", "2001:db8:0:1::1"), False),
        (("testclient", "testclient"), True),
        ((None, "10.0.0.1"), False),
    ],
)
def test_a_sender_is_an_address_or_an_ipv6_network(
    addresses: tuple[str | None, str | None], same: bool
) -> None:
    one, other = (sender(asked_from(address)) for address in addresses)
    assert (one == other) == same
