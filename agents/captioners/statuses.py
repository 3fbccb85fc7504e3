"""What an HTTP status of a model's server means for the job: pure.

The server's own words are not repeated: they may hold what was sent, the key among it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from agents.errors import BadAnswer, StageError, Unavailable

NAME = "captions"
"""The dependency, as readiness and logs name it."""

OPERATORS = {
    401: "it does not accept the key",
    402: "the account has to be paid for",
    403: "it does not allow this key the model",
    404: "it has no such model, or the address is wrong",
    407: "a proxy asks for a password",
}
PASSING = frozenset({408, 409, 425, 429})
BROKEN = frozenset({500, 502, 504})


class Stumbled(Unavailable):
    """The server did not come to an end with a request: it is ill, or the photo is."""


def error_of(status: int, model: str, retry_after_s: float | None = None) -> StageError:
    """Return the error of an answer that is not 200.

    What passes by itself, and what the operator has to mend, holds the jobs; what the server says
    of this request alone fails its job.
    """
    if status in OPERATORS:
        return Unavailable(NAME, f"{model}: HTTP {status}, {OPERATORS[status]}")
    if status in PASSING or status >= 500:
        kind = Stumbled if status in BROKEN else Unavailable
        return kind(NAME, f"{model}: HTTP {status}", retry_after_s=retry_after_s)
    if status < 400:
        return Unavailable(NAME, f"{model}: HTTP {status}, the address leads elsewhere")
    return BadAnswer("caption-request-refused", f"The model refused the request (HTTP {status}).")


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, a number or a date (RFC 9110, 10.2.3).

    None where there is none, or none that can be read.
    """
    text = (header or "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", text, re.ASCII):
        return float(text)
    try:
        left = (parsedate_to_datetime(text) - (now or datetime.now(UTC))).total_seconds()
    except (TypeError, ValueError, OverflowError):  # no date, or one without a zone
        return None
    return max(0.0, left)
