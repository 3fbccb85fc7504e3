"""Server-sent events, line by line (WHATWG HTML, 9.2): pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """One event: its kind, its data, and the id to resume after."""

    kind: str
    data: str
    event_id: str


class SseReader:
    """Makes events of lines. ``last_event_id`` and ``retry_s`` are as the server said last."""

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_s: float | None = None
        self._clear()

    def read(self, line: str) -> ServerEvent | None:
        """Take one line without its end; return the event that it completes."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._event_id = value
            case "retry" if value.isdecimal():
                self.retry_s = int(value) / 1000
        return None

    def restart(self) -> None:
        """Forget a half event: the line broke."""
        self._clear()

    def _complete(self) -> ServerEvent | None:
        # Only what was heard as a whole counts as heard.
        self.last_event_id = self._event_id
        event = ServerEvent(self._kind or "message", "\n".join(self._data), self._event_id)
        heard = bool(self._data)
        self._clear()
        return event if heard else None

    def _clear(self) -> None:
        self._kind, self._event_id = "", self.last_event_id
        self._data: list[str] = []
