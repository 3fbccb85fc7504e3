"""Who watches many photos on their way, and bars for people who do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Steps(Protocol):
    """Told of each step. All calls come from one thread, or from one event loop."""

    def begin(self, total: int) -> None:
        """So many photos are to be handed over."""

    def submitted(self) -> None:
        """One is handed over, or refused."""

    def finished(self) -> None:
        """Nothing more will happen to one that we wait for."""

    def end(self) -> None:
        """All is done, or given up."""


class Unseen:
    """Nobody watches."""

    def begin(self, total: int) -> None:
        pass

    def submitted(self) -> None:
        pass

    def finished(self) -> None:
        pass

    def end(self) -> None:
        pass


class Bars:
    """Bars, on standard error in a terminal, under the cell in a notebook; ``sent`` counts."""

    def __init__(self, progress: Progress, *, wait: bool) -> None:
        self.sent = 0
        self._progress = progress
        self._sent = progress.add_task("submitted", total=None)
        self._done = progress.add_task("completed", total=None, visible=wait)

    def begin(self, total: int) -> None:
        for task in (self._sent, self._done):
            self._progress.update(task, total=total)
        self._progress.start()

    def submitted(self) -> None:
        self.sent += 1
        self._progress.advance(self._sent)

    def finished(self) -> None:
        self._progress.advance(self._done)

    def end(self) -> None:
        self._progress.stop()


def bars(*, wait: bool, console: Console | None = None) -> Bars:
    """Return bars for handing over, and for completion where it is waited for."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # On stderr, so that what is printed can be piped; in a notebook rich finds the cell itself.
    shown_on = console or Console(stderr=True)
    progress = Progress(*columns, TimeElapsedColumn(), console=shown_on, transient=True)
    return Bars(progress, wait=wait)
