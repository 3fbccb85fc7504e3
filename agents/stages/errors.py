"""How a stage says no.

    StageError
    ├── Rejected      the input's own fault: no retry, the job's stage fails with this code
    ├── Unavailable   something we depend on is out of reach: held and retried until it is back
    └── BadAnswer     something we depend on answers, but not what was asked

`BadAnswer` and any other exception are our fault: retried, then failed and dead-lettered.
"""

from __future__ import annotations


class StageError(Exception):
    """Base of what stages raise on purpose."""


class Rejected(StageError):
    """The input cannot be processed, ever. ``code`` is stable; ``message`` is for people."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail


class Unavailable(StageError):
    """A dependency is out of reach; the record is held until it is back.

    ``retry_after_s`` is how long it asks to be left alone, None where it does not say.
    """

    def __init__(
        self, dependency: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{dependency}: {message}")
        self.dependency = dependency
        self.retry_after_s = retry_after_s


class BadAnswer(StageError):
    """What came back is of no use. ``code`` is stable; ``message`` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
