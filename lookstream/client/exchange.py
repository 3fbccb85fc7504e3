"""What the clients' operations are made of: values that say what is to be done, and no I/O.

An operation is a generator, a `Flow`: it yields what it needs done (`Request`, `Pause`, `Work`),
is sent what came of it, and returns its result. Each is written once, and performed on threads by
`transport.py` and on an event loop by `async_transport.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One HTTP request. ``path`` is one of the gateway's, or a whole URL.

    The body is ``json``, or ``content`` (a path is streamed), or a form of ``fields`` with one
    ``file``. A good answer's body goes ``into`` a file when that is given. ``patience_s`` is how
    much longer than usual an answer may take. What is not ``repeatable`` might be done twice if
    it were sent again after the line broke.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | Path | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    file: bytes | None = None
    into: Path | None = None
    patience_s: float = 0.0
    repeatable: bool = True


@dataclass(frozen=True)
class Answer:
    """What came back; ``headers`` are looked up in any case."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    def document(self) -> dict[str, Any] | None:
        """Return the JSON object in the body, None when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None


@dataclass(frozen=True)
class Pause:
    """Wait so long."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Blocking work of our own: files, hashes. It must not hold an event loop up."""

    do: Callable[[], Any]


Effect: TypeAlias = Request | Pause | Work
Flow: TypeAlias = Generator[Effect, Any, T]
