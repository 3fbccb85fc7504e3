"""Terminal output: progress bars, tables, and a table that updates live. Needs rich."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from lookstream_client.models import Counts, Job, JobEvent, Outcome, Similar
from lookstream_client.reading import artifacts

COLOURS = {"completed": "green", "failed": "red", "processing": "yellow", "pending": "dim"}
ROWS = 40
NO_GARMENT = "No garment found"
LIVE_ROWS = 30
PIPED_WIDTH = 10_000


def terminal() -> Console:
    """Return the console on standard output. Piped output has full lines, not 80 columns."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH)


class Bars:
    """Progress bars on standard error, or under the cell of a notebook. ``sent`` counts photos."""

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
    """Return bars for submitted photos and, with ``wait``, for completed jobs."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # Standard error leaves standard output free for pipes. In a notebook, rich uses the cell.
    shown_on = console or Console(stderr=True)
    progress = Progress(*columns, TimeElapsedColumn(), console=shown_on, transient=True)
    return Bars(progress, wait=wait)


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one row per photo, failed ones first if there are many, and the counts."""
    made = table("photo", "job", "status", "caption or error")
    # People copy ids, so ids are never shortened. In a narrow terminal, file names are.
    made.columns[0].max_width = max(12, console.width // 5)
    made.columns[0].no_wrap, made.columns[0].overflow = True, "ellipsis"
    made.columns[1].no_wrap = made.columns[2].no_wrap = True
    shown = sorted(outcomes, key=lambda outcome: not outcome.failed)[:ROWS]
    for outcome in shown if len(outcomes) > ROWS else outcomes:
        known = outcome.job or outcome.accepted
        made.add_row(
            Text(_short(outcome.photo)),
            known.job_id if known else "",
            job_status(outcome.status),
            Text(_reason(outcome)),
        )
    console.print(made)
    if len(outcomes) > ROWS:
        console.print(f"… and {len(outcomes) - ROWS} more")
    counts = Counter(outcome.status for outcome in outcomes)
    parts = [f"{count} {status}" for status, count in sorted(counts.items())]
    if known_before := sum(o.accepted is not None and o.accepted.replayed for o in outcomes):
        parts.append(f"{known_before} submitted before")
    console.print(", ".join(parts))


def show_jobs(console: Console, jobs: Sequence[Job], counts: Counts | None) -> None:
    """Print one row per job, and the counts if there are any."""
    made = table("job", "status", "submitted (UTC)", "file", "group", "caption or error")
    made.columns[0].no_wrap = made.columns[1].no_wrap = True
    made.columns[3].max_width = max(12, console.width // 6)
    made.columns[3].no_wrap, made.columns[3].overflow = True, "ellipsis"
    for job in jobs:
        submitted = f"{job.submitted_at.astimezone(UTC):%Y-%m-%d %H:%M}" if job.submitted_at else ""
        cells = (
            Text(submitted),
            Text(job.filename or ""),
            Text(job.group or ""),
            Text(_result(job)),
        )
        made.add_row(job.job_id, job_status(job.status), *cells)
    console.print(made)
    if counts:
        statuses = ("pending", "processing", "completed", "failed")
        parts = ", ".join(f"{getattr(counts, name)} {name}" for name in statuses)
        more = " and more" if counts.capped else ""
        console.print(f"{counts.total}{more} in total: {parts}")


def show_job(console: Console, job: Job) -> None:
    """Print one job: its stages and its main results."""
    made = table("stage", "status", "attempts", "cause")
    for name, stage in job.stages.items():
        cause = f"{stage.error.code}: {stage.error.message}" if stage.error else ""
        cause = "reused" if stage.reused else cause
        made.add_row(name, job_status(stage.status), str(stage.attempts), Text(cause))
    console.print(Text.assemble(job.job_id, "  ", job_status(job.status)))
    if told := _caption(job.caption):
        console.print(Text(told, style="bold"))
    for label in job.top5:
        console.print(Text(f"  {label.label} - {label.probability:.1%}"))
    console.print(made)


def show_everything(console: Console, job: Job) -> None:
    """Print one job with its attributes and the links to its artifacts."""
    show_job(console, job)
    facts = table("field", "value")
    for name, value in _facts(job).items():
        facts.add_row(name, Text(value))
    links = table("artifact", "link (expires)")
    for artifact in artifacts(job):
        # People copy links, so a long link is not wrapped.
        links.add_row(artifact.name, Text(artifact.url, no_wrap=True, overflow="ignore"))
    console.print(facts)
    console.print(links, soft_wrap=True)


def _facts(job: Job) -> dict[str, str]:
    parts = {
        "file name": job.filename,
        "description": job.description,
        "group": job.group,
        "run": str(job.run),
        "pose": job.pose and job.pose.subject,
        "sha256": job.original and job.original.sha256,
        **{name: f"{each.value} ({each.confidence:.0%})" for name, each in job.attributes.items()},
        "garments": ", ".join(" ".join(filter(None, (i.colour, i.type))) for i in job.items),
        **{f"metadata {name}": str(value) for name, value in job.metadata.items()},
        **{f"model of {name}": model for name, model in job.models.items()},
    }
    return {name: value for name, value in parts.items() if value}


def show_similar(console: Console, found: Sequence[Similar]) -> None:
    """Print one row per job with the similarity of its photo."""
    made = table("job", "similarity", "group", "caption")
    made.columns[0].no_wrap = True
    for each in found:
        cells = Text(each.group or ""), Text(_caption(each.caption))
        made.add_row(each.job_id, f"{each.similarity:.3f}", *cells)
    console.print(made)


def show_info(console: Console, info: Mapping[str, str]) -> None:
    """Print the addresses of the running system."""
    made = table("service", "address")
    for name, address in info.items():
        made.add_row(name, Text(address))
    console.print(made)


def table(*columns: str) -> Table:
    """Return an empty table without lines."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _reason(outcome: Outcome) -> str:
    if outcome.error is not None:
        return str(outcome.error)
    return _result(outcome.job) if outcome.job else ""


def _result(job: Job) -> str:
    if job.error:
        return f"{job.error.stage}: {job.error.code}"
    return _caption(job.caption)


def _caption(caption: str | None) -> str:
    """Return the caption; a note if the photo shows no garment; empty before captioning."""
    return NO_GARMENT if caption == "" else caption or ""


def job_status(status: str) -> Text:
    """Return a status with its colour."""
    return Text(status, style=COLOURS.get(status, "red"))


def _short(photo: str) -> str:
    return photo if "://" in photo else Path(photo).name


class JobBoard:
    """Shows the newest state of the jobs that changed last. Without a terminal, prints one line per
    change."""

    def __init__(self, console: Console, *, drawing: bool) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if drawing else None
        self._states: dict[str, JobEvent] = {}

    def show(self, change: JobEvent) -> None:
        """Show a change."""
        if self._live is None:
            self._console.print(*_cells(change), soft_wrap=True)
            return
        self._states.pop(change.job_id, None)
        self._states[change.job_id] = change
        if len(self._states) > LIVE_ROWS:
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
