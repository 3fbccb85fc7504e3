"""How long to ask again, and how long to wait between: pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PASSING = frozenset({429, 502, 503})
"""Answers of somebody who could not take it this time, and did nothing of it."""


@dataclass(frozen=True)
class Patience:
    """A failing request is sent again for ``total_s``; then the error is the caller's.

    An address where nobody has answered yet is more likely wrong than busy: it gets
    ``first_contact_s``. Pauses double from ``base_s`` to ``cap_s`` and are jittered, so that
    clients who failed together do not come back together; what ``Retry-After`` asks for is the
    least that is waited.
    """

    total_s: float = 30.0
    first_contact_s: float = 1.0
    base_s: float = 0.25
    cap_s: float = 8.0
    dice: Callable[[], float] = random.random

    def pause_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Return how long to wait after so many failed attempts (1 and up)."""
        longest = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        return max(longest * (0.5 + self.dice() / 2), retry_after_s or 0.0)


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, be it a number or a date.

    None when there is none, or none that can be read (RFC 9110, 10.2.3).
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
