"""What to do after an error: `RetryPolicy` decides (pure), `UnavailableRetry` waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import structlog

from agents.stages.errors import Rejected, Unavailable
from storage.errors import StoreUnavailable
from streams.errors import BrokerUnavailable

T = TypeVar("T")
log = structlog.get_logger()


class RetryDecision(Enum):
    """What the runtime does with an event whose processing failed."""

    WAIT = "wait"
    """A dependency is unavailable: try again until the dependency is back."""
    RETRY = "retry"
    """An unexpected error: try again, up to `RetryPolicy.attempts` tries."""
    REJECT = "reject"
    """The input cannot be processed: publish `stage-failed` at once."""
    GIVE_UP = "give-up"
    """No tries left: publish `stage-failed` and a dead letter."""


@dataclass(frozen=True)
class RetryPolicy:
    """Number of tries and delays between them.

    Delays are in seconds. They double up to ``cap_s``, with equal jitter (Brooker,
    "Exponential Backoff and Jitter", AWS 2015). A dependency may ask for a longer delay, up to
    ``longest_wait_s``.
    """

    attempts: int = 3
    base_s: float = 0.2
    cap_s: float = 15.0
    longest_wait_s: float = 300.0

    def delay(self, tries: int, chance: float | None = None) -> float:
        """Return how many seconds to wait after ``tries`` failed tries.

        The limit doubles with each try, up to ``cap_s``. The delay is random, between half of the
        limit and the limit. ``chance`` (0–1) is used instead of a random number.
        """
        chance = random.random() if chance is None else chance  # noqa: S311 - no secret
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(tries, 30))
        return ceiling * (0.5 + chance / 2)

    def unavailable_delay_s(
        self, error: BaseException, tries: int, chance: float | None = None
    ) -> float:
        """Return the delay in seconds after ``tries`` tries that found a dependency unavailable."""
        return max(self.delay(tries, chance), min(requested_delay_s(error), self.longest_wait_s))

    def decide(self, error: Exception, attempts: int) -> RetryDecision:
        """Return what to do after try number ``attempts`` (from 1) ended in ``error``."""
        if isinstance(error, Rejected):
            return RetryDecision.REJECT
        if is_unavailable(error):
            return RetryDecision.WAIT
        return RetryDecision.RETRY if attempts < self.attempts else RetryDecision.GIVE_UP


def requested_delay_s(error: BaseException) -> float:
    """Return the delay that ``error`` asks for (``Retry-After``), 0 when it asks for none."""
    try:
        delay = float(error.retry_after_s or 0.0) if isinstance(error, Unavailable) else 0.0
    except (TypeError, ValueError):  # a stage may pass any value
        return 0.0
    return delay if delay > 0.0 else 0.0


def is_unavailable(error: BaseException) -> bool:
    """Tell whether ``error`` means that a dependency is unavailable."""
    return isinstance(error, Unavailable | StoreUnavailable | BrokerUnavailable)


class UnavailableRetry:
    """Retries a call while a dependency is unavailable; ``waiting_for`` holds the last reason."""

    def __init__(self, stage: str, policy: RetryPolicy) -> None:
        self.waiting_for: str | None = None
        self._stage = stage
        self._policy = policy

    async def until_available(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call ``call`` until no dependency is unavailable; return its result. Raises every other
        error of ``call``."""
        tries = 0
        while True:
            try:
                result = await call()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                tries += 1
                await self.wait(error, tries)
            else:
                self.clear()
                return result

    async def wait(self, error: BaseException, tries: int) -> None:
        """Record what is unavailable and sleep for the policy's delay."""
        self.waiting_for = str(error)
        log.warning("dependency_unavailable", stage=self._stage, tries=tries, reason=str(error))
        await asyncio.sleep(self._policy.unavailable_delay_s(error, tries))

    def clear(self) -> None:
        """Record that the processor waits for no dependency."""
        self.waiting_for = None
