"""The errors that a stage raises on purpose.

    StageError
    ├── Rejected      the input cannot be processed: no retry, the stage fails with this code
    ├── Unavailable   a dependency is unavailable: the runtime waits and retries until it is back
    ├── TakesLong     the work would delay other work: the runtime postpones it
    └── BadAnswer     a dependency answered, but the answer cannot be used

After `BadAnswer` and any other exception, the runtime retries a few times. Then the stage fails,
and the record goes to the dead letters.
"""

from __future__ import annotations


class StageError(Exception):
    """The base of the errors that stages raise on purpose."""


class Rejected(StageError):
    """The input can never be processed. ``code`` is stable; ``message`` is for people."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Unavailable(StageError):
    """A dependency is unavailable. The runtime retries until the dependency is back.

    ``retry_after_s`` is the delay that the dependency asks for; None if it does not ask.
    """

    def __init__(
        self, dependency: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{dependency}: {message}")
        self.dependency = dependency
        self.retry_after_s = retry_after_s


class TakesLong(StageError):
    """The work would delay the work behind it. Only a stage that ``postpones`` may raise this."""


class BadAnswer(StageError):
    """A dependency's answer cannot be used. ``code`` is stable; ``message`` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
