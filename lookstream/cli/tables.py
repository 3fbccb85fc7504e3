"""Jobs and the system's addresses as tables for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lookstream.client import Counts, Job, Outcome, Similar
from lookstream.client.downloading import artifacts

if TYPE_CHECKING:
    from streams.broker.topics import Topic

COLOURS = {"completed": "green", "failed": "red", "processing": "yellow", "pending": "dim"}
ROWS = 40


def show_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one row a photo, the failed ones first where there are many, and the counts."""
    made = table("photo", "job", "status", "caption, or what went wrong")
    # Ids are for copying and never cut; where the terminal is narrow, names are.
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
            Text(_said(outcome)),
        )
    console.print(made)
    if len(outcomes) > ROWS:
        console.print(f"… and {len(outcomes) - ROWS} more")
    counts = Counter(outcome.status for outcome in outcomes)
    told = [f"{count} {status}" for status, count in sorted(counts.items())]
    if known_before := sum(o.accepted is not None and o.accepted.replayed for o in outcomes):
        told.append(f"{known_before} handed over before")
    console.print(", ".join(told))


def show_jobs(console: Console, jobs: Sequence[Job], counts: Counts | None) -> None:
    """Print one row a job, and how many there are when they were counted."""
    made = table("job", "status", "submitted", "group", "caption, or what went wrong")
    made.columns[0].no_wrap = made.columns[1].no_wrap = True
    for job in jobs:
        submitted = f"{job.submitted_at.astimezone():%Y-%m-%d %H:%M}" if job.submitted_at else ""
        cells = Text(submitted), Text(job.group or ""), Text(_result(job))
        made.add_row(job.job_id, job_status(job.status), *cells)
    console.print(made)
    if counts:
        statuses = ("pending", "processing", "completed", "failed")
        told = ", ".join(f"{getattr(counts, name)} {name}" for name in statuses)
        more = " and more" if counts.capped else ""
        console.print(f"{counts.total}{more} in all: {told}")


def show_job(console: Console, job: Job) -> None:
    """Print one job: its stages, and what was found out."""
    made = table("stage", "status", "attempts", "cause")
    for name, stage in job.stages.items():
        cause = f"{stage.error.code}: {stage.error.message}" if stage.error else ""
        cause = "reused" if stage.reused else cause
        made.add_row(name, job_status(stage.status), str(stage.attempts), Text(cause))
    console.print(Text.assemble(job.job_id, "  ", job_status(job.status)))
    if job.caption:
        console.print(Text(job.caption, style="bold"))
    for label in job.top5:
        console.print(Text(f"  {label.label} - {label.probability:.1%}"))
    console.print(made)


def show_everything(console: Console, job: Job) -> None:
    """Print one job with its words, its attributes and the links to its artifacts."""
    show_job(console, job)
    facts = table("what", "")
    for name, value in _facts(job).items():
        facts.add_row(name, Text(value))
    links = table("artifact", "link, for a while")
    for artifact in artifacts(job):
        # A link is for copying: better off the edge than broken.
        links.add_row(artifact.name, Text(artifact.url, no_wrap=True, overflow="ignore"))
    console.print(facts)
    console.print(links, soft_wrap=True)


def _facts(job: Job) -> dict[str, str]:
    told = {
        "description": job.description,
        "group": job.group,
        "run": str(job.run),
        "pose": job.pose and job.pose.subject,
        "sha256": job.original and job.original.sha256,
        **{name: f"{each.value} ({each.confidence:.0%})" for name, each in job.attributes.items()},
        **{f"metadata {name}": str(value) for name, value in job.metadata.items()},
        **{f"model of {name}": model for name, model in job.models.items()},
    }
    return {name: value for name, value in told.items() if value}


def show_similar(console: Console, found: Sequence[Similar]) -> None:
    """Print one row a job, and how alike its photo is."""
    made = table("job", "alike", "group", "caption")
    made.columns[0].no_wrap = True
    for each in found:
        cells = Text(each.group or ""), Text(each.caption or "")
        made.add_row(each.job_id, f"{each.similarity:.3f}", *cells)
    console.print(made)


def show_info(console: Console, info: Mapping[str, str]) -> None:
    """Print where the running system is."""
    made = table("what", "where")
    for name, address in info.items():
        made.add_row(name, Text(address))
    console.print(made)


def show_topics(console: Console, topics: Sequence[Topic], created: Sequence[str]) -> None:
    """Print the topics that the system uses, and which of them were just made."""
    made = table("topic", "partitions", "kept", "")
    for topic in topics:
        kept = "newest a key" if topic.compacted else f"{topic.retention_days} days"
        new = "created" if topic.name in created else ""
        made.add_row(topic.name, str(topic.partitions), kept, new)
    console.print(made)


def table(*columns: str) -> Table:
    """Return an empty table without lines."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def _said(outcome: Outcome) -> str:
    if outcome.error is not None:
        return str(outcome.error)
    return _result(outcome.job) if outcome.job else ""


def _result(job: Job) -> str:
    return f"{job.error.stage}: {job.error.code}" if job.error else job.caption or ""


def job_status(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=COLOURS.get(status, "red"))


def _short(photo: str) -> str:
    return photo if "://" in photo else Path(photo).name
