"""The ids of events: where a listener was, so that it can go on from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_MARK = re.compile(r"(\d{1,10})\.(\d{1,18})", re.ASCII)
_TIME = re.compile(r"\d{1,13}", re.ASCII)


@dataclass(frozen=True, order=True)
class JobMark:
    """A state of one job, on the stream of that job: older ones are less."""

    run: int
    revision: int

    def __str__(self) -> str:
        return f"{self.run}.{self.revision}"

    @classmethod
    def parse(cls, text: str) -> JobMark | None:
        """Read an id; None for any that is not of this kind, as if there were none."""
        found = _MARK.fullmatch(text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True)
class TimeMark:
    """A moment of the gateway's clock (UTC milliseconds), on the stream of many jobs."""

    ms: int

    def __str__(self) -> str:
        return str(self.ms)

    @classmethod
    def now(cls) -> TimeMark:
        return cls(int(datetime.now(UTC).timestamp() * 1000))

    @classmethod
    def parse(cls, text: str) -> TimeMark | None:
        """Read an id; None for any that is not of this kind, as if there were none."""
        return cls(int(text)) if _TIME.fullmatch(text) else None

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1000, UTC)
