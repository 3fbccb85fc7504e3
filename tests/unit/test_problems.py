"""Every error becomes a problem document with a stable code."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.http.byte_range import ByteRange, parse_range
from gateway.http.problem_responses import as_problem, documented, render
from gateway.http.problems import PROBLEMS, Problem
from gateway.submissions.photos import Remote, remote, uploaded
from storage import errors as storage_errors
from streams.errors import BrokerUnavailable, EventTooLarge, UnknownStage

DOCS = Path(__file__).parents[2] / "docs" / "rest.md"


def test_a_document_has_what_the_standard_asks() -> None:
    response = render(Problem("job-not-found", "no job 7"), "/v1/jobs/7")
    assert response.media_type == "application/problem+json"
    assert json.loads(bytes(response.body)) == {
        "type": "urn:lookstream:problem:job-not-found",
        "title": "There is no such job",
        "status": 404,
        "detail": "no job 7",
        "code": "job-not-found",
        "instance": "/v1/jobs/7",
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HTTPException(404), 404, "not-found"),
        (HTTPException(405, headers={"Allow": "GET"}), 405, "method-not-allowed"),
        (HTTPException(400, "that is not a form"), 400, "bad-request"),
        (HTTPException(418), 500, "internal-error"),
        (
            RequestValidationError([{"loc": ("query", "wait"), "msg": "bad"}]),
            422,
            "invalid-request",
        ),
        (storage_errors.ArtifactNotFound("x"), 404, "artifact-not-found"),
        (storage_errors.InvalidKey("x"), 422, "invalid-key"),
        (storage_errors.InvalidLink("x"), 403, "invalid-link"),
        (storage_errors.LinkExpired("x"), 403, "link-expired"),
        (storage_errors.InvalidCursor("x"), 422, "cursor-invalid"),
        (storage_errors.StorageError("x"), 500, "internal-error"),
        (storage_errors.StoreUnavailable("db.internal:27017"), 503, "store-unavailable"),
        (BrokerUnavailable("10.0.0.7:9092"), 503, "broker-unavailable"),
        (EventTooLarge("x"), 413, "event-too-large"),
        (ClientDisconnect(), 400, "bad-request"),
        (UnknownStage("unknown stage ironing"), 422, "unknown-stage"),
        (ZeroDivisionError("secret"), 500, "internal-error"),
    ],
)
def test_errors_map_to_status_and_code(error: Exception, status: int, code: str) -> None:
    problem = as_problem(error)
    assert (problem.status, problem.code) == (status, code)


def test_internal_errors_are_not_exposed() -> None:
    inside = [ZeroDivisionError("secret"), storage_errors.StoreUnavailable("secret")]
    assert all("secret" not in as_problem(error).detail for error in inside)


def test_unavailable_has_retry_after() -> None:
    assert as_problem(BrokerUnavailable("x")).headers["Retry-After"].isdigit()


def test_method_not_allowed_has_the_allow_header() -> None:
    assert as_problem(HTTPException(405, headers={"Allow": "GET"})).headers == {"Allow": "GET"}


def test_an_invalid_request_says_where() -> None:
    problem = as_problem(
        RequestValidationError([{"loc": ("query", "wait"), "msg": "too long", "input": "secret"}])
    )
    assert problem.errors == [{"where": "query.wait", "message": "too long"}]
    assert "secret" not in problem.detail


def test_every_code_is_in_the_docs_with_its_status() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (\d{3}) \|", DOCS.read_text(), re.MULTILINE))
    assert rows == {code: str(kind.status) for code, kind in PROBLEMS.items()}


def test_statuses_are_errors_that_exist() -> None:
    assert all(HTTPStatus(kind.status) >= HTTPStatus.BAD_REQUEST for kind in PROBLEMS.values())


def test_codes_of_one_status_share_one_documented_response() -> None:
    responses = documented("empty-file", "unknown-stage", "store-unavailable")
    assert set(responses) == {422, 503}
    examples = responses[422]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {"empty-file", "unknown-stage"}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "url-invalid"),
        ("dress.jpg", "url-invalid"),
        ("http://", "url-invalid"),
        ("http://[::1", "url-invalid"),
        ("http://example.com:99999/", "url-invalid"),
        ("http://exa mple.com/", "url-invalid"),
        ("http://example.com/\x00", "url-invalid"),
        ("http://example.com/" + "a" * 4096, "url-invalid"),
        ("file:///etc/passwd", "url-not-allowed"),
        ("ftp://example.com/a.jpg", "url-not-allowed"),
        ("data:image/png;base64,AAAA", "url-not-allowed"),
        ("https://user:password@example.com/a.jpg", "url-not-allowed"),
    ],
)
def test_invalid_urls_are_refused_on_submission(url: str, code: str) -> None:
    with pytest.raises(Problem) as refused:
        remote(url)
    assert refused.value.code == code
    assert "password@" not in refused.value.detail


def test_web_addresses_are_taken_as_they_are() -> None:
    assert remote(" HTTPS://example.com/a%20b.jpg?c=d ") == Remote(
        "HTTPS://example.com/a%20b.jpg?c=d"
    )


def test_sizes_up_to_the_limit_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(b"x" * 10)
    with path.open("rb") as file:
        assert uploaded(file, 10, max_bytes=10)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 4)),
        ("bytes=2-", ByteRange(2, 8)),
        ("bytes=2-99", ByteRange(2, 8)),
        ("bytes=-3", ByteRange(7, 3)),
        ("bytes=-99", ByteRange(0, 10)),
        ("bytes=5-2", None),
        ("bytes=0-1,4-5", None),
        ("bytes=-", None),
        ("items=0-1", None),
    ],
)
def test_ranges_of_ten_bytes(header: str | None, expected: ByteRange | None) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_ranges_outside(header: str, size: int) -> None:
    with pytest.raises(Problem) as refused:
        parse_range(header, size)
    assert refused.value.code == "range-not-satisfiable"
    assert refused.value.headers["Content-Range"] == f"bytes */{size}"
