"""How a stage says no.

    StageError
    ├── Rejected      the input's own fault: no retry, the job's stage fails with this code
    └── Unavailable   something we depend on is out of reach: held and retried until it is back

Any other exception is our fault: retried, then failed and dead-lettered.
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
    """A dependency is out of reach; the record is held until it is back."""

    def __init__(self, dependency: str, message: str) -> None:
        super().__init__(f"{dependency}: {message}")
        self.dependency = dependency
