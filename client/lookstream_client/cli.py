"""The `lookstream` command: shared options, answers and exit codes, and the list of commands.

Exit codes:

0    success
1    a photo was refused, or a job has failed
2    wrong usage, job not found, refused by the gateway, or no answer
130  Ctrl-C
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Annotated, Any, TypeVar

import typer

from lookstream_client.errors import LookstreamError, RequestRefused

FAILED, UNREACHABLE, INTERRUPTED = 1, 2, 130

T = TypeVar("T")


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an error in one line and exit with 2."""
    try:
        yield
    except (LookstreamError, OSError) as error:
        print_error(error)
        raise typer.Exit(UNREACHABLE) from None


def for_each(job_ids: Sequence[str], act: Callable[[str], T]) -> tuple[list[T], bool]:
    """Act on each job; return the results, and whether all actions succeeded.

    A refusal does not stop the others. An unreachable gateway does.
    """
    done, well = [], True
    for job_id in job_ids:
        try:
            done.append(act(job_id))
        except RequestRefused as refusal:
            print_error(refusal)
            well = False
    return done, well


def print_error(error: Exception) -> None:
    """Print an error to standard error."""
    typer.echo(f"lookstream: {error}", err=True)


def print_json(document: Any) -> None:
    """Print a document as indented JSON."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write(os.linesep)


def print_line(document: Any) -> None:
    """Print a document as one line of JSON, without buffering."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + os.linesep)
    sys.stdout.flush()


COMMANDS = "lookstream.commands"
"""The entry-point group in which the server adds its commands."""
SERVER_COMMANDS = ("up", "gateway", "worker", "topics", "vocabulary")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Gateway = Annotated[
    str,
    typer.Option(
        "--gateway", metavar="URL", envvar="LOOKSTREAM_GATEWAY", help="The gateway's URL."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Jobs = Annotated[list[str], typer.Argument(metavar="JOB…", help="Job ids.")]
Stages = Annotated[
    str, typer.Option(metavar="A,B", help="Run only these stages and the stages they need.")
]
Force = Annotated[bool, typer.Option("--force", help="Compute known results again.")]


def names(text: str) -> list[str]:
    """Read a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs. Raises `typer.BadParameter`."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
        found[name] = value
    return found


def moment(text: str | None, now: datetime | None = None) -> datetime | None:
    """Read a time: ``90m``, ``2h`` or ``7d`` before now, or ISO 8601. Without a zone, the time is
    UTC.

    Raises `typer.BadParameter`.
    """
    if text is None:
        return None
    try:
        if ago := re.fullmatch(r"(\d{1,9})([smhdw])", text):
            return (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is before the first year of the calendar") from None
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2h or 2026-01-31T12:00") from None


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Turn photos of garments into data for marketplace listings.",
)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(version("lookstream"))
    except PackageNotFoundError:
        typer.echo(version("lookstream-client"))
    raise typer.Exit


@app.callback()
def lookstream(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn photos of garments into data for marketplace listings."""


def _needs_server(name: str) -> Callable[[], None]:
    def explain() -> None:
        typer.echo(
            f"lookstream: `{name}` needs the server: pip install 'lookstream[all]'", err=True
        )
        raise typer.Exit(UNREACHABLE)

    return explain


def main() -> None:
    """Run the command line."""
    command_line()()


@cache
def command_line() -> typer.Typer:
    """Return the command line: the client's commands, and those of an installed server."""
    from lookstream_client import cli_jobs, cli_process

    found = entry_points(group=COMMANDS)
    for entry in found:
        entry.load()(app)
    if not found:
        for name in SERVER_COMMANDS:
            app.command(name, hidden=True)(_needs_server(name))
    cli_process.register(app)
    cli_jobs.register(app)
    return app
