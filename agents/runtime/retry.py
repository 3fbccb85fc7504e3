"""What becomes of an outcome: a pure decision that the runtime carries out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

from agents.stages.errors import Rejected, Unavailable
from storage.errors import StoreUnavailable
from streams.errors import BrokerUnavailable


class Fate(Enum):
    """HOLD: wait until a dependency is back. RETRY: our fault, try again. REJECT: theirs, never
    again. GIVE_UP: out of tries."""

    HOLD = "hold"
    RETRY = "retry"
    REJECT = "reject"
    GIVE_UP = "give-up"


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how far apart. Delays are seconds, doubled each time up to ``cap_s``, with
    full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015). Who asks to be left alone for
    longer is, for up to ``longest_hold_s``."""

    attempts: int = 3
    base_s: float = 0.2
    cap_s: float = 15.0
    longest_hold_s: float = 300.0

    def delay(self, tries: int, chance: float | None = None) -> float:
        """Return the seconds to wait after ``tries`` failed tries; ``chance`` is in 0–1."""
        chance = random.random() if chance is None else chance  # noqa: S311 - no secret
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(tries, 30))
        return ceiling * (0.5 + chance / 2)

    def hold_s(self, error: BaseException, tries: int, chance: float | None = None) -> float:
        """Return the seconds to hold after ``tries`` tries that found a dependency out of reach."""
        return max(self.delay(tries, chance), min(asked_s(error), self.longest_hold_s))

    def decide(self, error: Exception, attempts: int) -> Fate:
        """Return what to do after the ``attempts``-th try (from 1) ended in ``error``."""
        if isinstance(error, Rejected):
            return Fate.REJECT
        if is_unavailable(error):
            return Fate.HOLD
        return Fate.RETRY if attempts < self.attempts else Fate.GIVE_UP


def asked_s(error: BaseException) -> float:
    """Return how many seconds ``error`` asks to be left alone, 0 where it does not say."""
    return (error.retry_after_s or 0.0) if isinstance(error, Unavailable) else 0.0


def is_unavailable(error: BaseException) -> bool:
    """Tell whether ``error`` says that something we depend on is out of reach."""
    return isinstance(error, Unavailable | StoreUnavailable | BrokerUnavailable)
