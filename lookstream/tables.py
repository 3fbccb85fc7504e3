"""Jobs and the system's addresses as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lookstream.client import Job
from lookstream.submitting import Outcome
from streams.topics import Topic

COLOURS = {"completed": "green", "failed": "red", "processing": "yellow", "pending": "dim"}
ROWS = 40


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one row a photo, the failed ones first where there are many, and the counts."""
    table = _table("photo", "job", "status", "caption, or what went wrong")
    # Ids are for copying and never cut; where the terminal is narrow, names are.
    table.columns[0].max_width = max(12, console.width // 5)
    table.columns[0].no_wrap, table.columns[0].overflow = True, "ellipsis"
    table.columns[1].no_wrap = table.columns[2].no_wrap = True
    shown = sorted(outcomes, key=lambda outcome: not outcome.failed)[:ROWS]
    for outcome in shown if len(outcomes) > ROWS else outcomes:
        table.add_row(Text(_short(outcome.photo)), *_job_cells(outcome.job, str(outcome.error)))
    console.print(table)
    if len(outcomes) > ROWS:
        console.print(f"… and {len(outcomes) - ROWS} more")
    counts = Counter("refused" if o.job is None else o.job["status"] for o in outcomes)
    console.print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))


def show_job(console: Console, job: Job) -> None:
    """Print one job: its stages, and what was found out."""
    table = _table("stage", "status", "attempts", "cause")
    for name, stage in job["stages"].items():
        error = stage.get("error")
        cause = f"{error['code']}: {error['message']}" if error else ""
        cause = "reused" if stage["reused"] else cause
        table.add_row(name, _status(stage["status"]), str(stage["attempts"]), Text(cause))
    console.print(Text.assemble(job["job_id"], "  ", _status(job["status"])))
    if job["caption"]:
        console.print(Text(job["caption"], style="bold"))
    for label in job["top5"]:
        console.print(Text(f"  {label['label']} - {label['probability']:.1%}"))
    console.print(table)


def show_info(console: Console, info: Mapping[str, str]) -> None:
    """Print where the running system is."""
    table = _table("what", "where")
    for name, address in info.items():
        table.add_row(name, Text(address))
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _job_cells(job: Job | None, error: str) -> tuple[str, Text, Text]:
    if job is None:
        return "", _status("refused"), Text(error)
    failure = job.get("error")
    said = f"{failure['stage']}: {failure['code']}" if failure else job.get("caption") or ""
    return job["job_id"], _status(job["status"]), Text(said)


def _status(status: str) -> Text:
    return Text(status, style=COLOURS.get(status, "red"))


def _short(photo: str) -> str:
    return photo if "://" in photo else Path(photo).name


def show_topics(console: Console, topics: Sequence[Topic], created: Sequence[str]) -> None:
    """Print the topics that the system uses, and which of them were just made."""
    table = _table("topic", "partitions", "kept", "")
    for topic in topics:
        kept = "newest a key" if topic.compacted else f"{topic.retention_days} days"
        made = "created" if topic.name in created else ""
        table.add_row(topic.name, str(topic.partitions), kept, made)
    console.print(table)
