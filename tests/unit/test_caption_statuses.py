"""The effect of a model server's HTTP status on the job."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.captioners.exchange import Stumbled, error_of, retry_after_s
from agents.runtime.publishing import failure_code
from agents.stages.errors import BadAnswer, Unavailable

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "status", [302, 401, 402, 403, 404, 407, 408, 409, 425, 429, 500, 502, 503, 504, 529]
)
def test_temporary_and_configuration_errors_are_unavailable(status: int) -> None:
    error = error_of(status, "openai/m", 7.0)
    assert isinstance(error, Unavailable)
    assert error.dependency == "captions"
    assert f"openai/m: HTTP {status}" in str(error)
    assert isinstance(error, Stumbled) is (status in (500, 502, 504))


@pytest.mark.parametrize(("status", "asked_s"), [(429, 7.0), (503, 7.0), (500, 7.0), (401, None)])
def test_retry_after_is_respected(status: int, asked_s: float | None) -> None:
    error = error_of(status, "m", 7.0)
    assert isinstance(error, Unavailable)
    assert error.retry_after_s == asked_s


@pytest.mark.parametrize("status", [400, 405, 413, 415, 422])
def test_a_request_error_fails_the_job(status: int) -> None:
    error = error_of(status, "m")
    assert isinstance(error, BadAnswer)
    assert failure_code(error) == "caption-request-refused"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("1.5", 1.5),
        ("-3", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("9" * 400, None),
        ("soon", None),
        ("Fri, 02 Jan 2026 12:00:30 GMT", 30.0),
        ("Fri, 02 Jan 2026 11:00:00 GMT", 0.0),
        ("Fri, 02 Jan 2026 12:00:30 -0000", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOON) == seconds
