"""A table of jobs that changes while one looks at it; where nobody looks, a line a change."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lookstream.cli.tables import job_status, table
from lookstream.client import JobEvent

ROWS = 30


class JobBoard:
    """Shows the newest state of each job; of many, those that changed last."""

    def __init__(self, console: Console, *, drawing: bool) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if drawing else None
        self._states: dict[str, JobEvent] = {}

    def show(self, change: JobEvent) -> None:
        """Take a change in."""
        if self._live is None:
            self._console.print(*_cells(change), soft_wrap=True)
            return
        self._states.pop(change.job_id, None)
        self._states[change.job_id] = change
        if len(self._states) > ROWS:
            del self._states[next(iter(self._states))]
        self._live.update(self._table())

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        made = table("job", "status", "stages", "cause")
        for state in sorted(self._states.values(), key=lambda state: state.job_id):
            made.add_row(*_cells(state))
        return made


def _cells(change: JobEvent) -> tuple[Text, Text, Text, Text]:
    done = sum(status == "completed" for status in change.stages.values())
    error = change.error
    return (
        Text(change.job_id),
        job_status(change.status),
        Text(f"{done} done"),
        Text(f"{error.stage}: {error.code}" if error else ""),
    )
