"""The `lookstream` command: shared options, output and exit codes, and the commands list, show,
similar, download, delete and info. `cli_process.py` has the others.

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lookstream_client.errors import LookstreamError, RequestRefused
from lookstream_client.options import DEFAULT_GATEWAY

if TYPE_CHECKING:
    from lookstream_client import Client, Counts, Job
    from lookstream_client.options import Filters

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
PARALLEL = 8
LONGEST_PAGE = 200
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
Named = Annotated[str | None, typer.Option(metavar="NAME")]
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
        if ago := re.fullmatch(r"([0-9]{1,9})([smhdw])", text):
            return (now or datetime.now(UTC)) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is outside the years 1 to 9999") from None
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
    from lookstream_client import cli_process

    found = entry_points(group=COMMANDS)
    for entry in found:
        entry.load()(app)
    if not found:
        for name in SERVER_COMMANDS:
            app.command(name, hidden=True)(_needs_server(name))
    cli_process.register(app)
    app.command("list")(list_)
    for command in (show, similar, download, delete, info):
        app.command()(command)
    return app


def list_(
    status: Annotated[
        list[str] | None, typer.Option(help="pending, processing, completed, failed; repeatable.")
    ] = None,
    group: Named = None,
    type_: Annotated[
        str | None, typer.Option("--type", metavar="NAME", help="The garment's type: dress.")
    ] = None,
    colour: Named = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME", help="The most likely class.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            "-q",
            metavar="WORDS",
            help="Words that the caption or the file name contains.",
        ),
    ] = None,
    needs_review: Annotated[
        bool | None,
        typer.Option(help="Only captions that a person should check, or only the others."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Submitted at or after: 2h, 2026-01-31 (UTC)."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Submitted before.")] = None,
    limit: Annotated[
        int, typer.Option(min=0, max=10**9, help="List at most so many jobs; 0 lists all.")
    ] = 50,
    counts: Annotated[bool, typer.Option("--counts", help="Count the jobs by status.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    **Examples**

    `lookstream list --status failed --since 2h`

    `lookstream list --colour red --type dress --text floral --json`
    """
    from lookstream_client import Client
    from lookstream_client.options import Filters

    filters = Filters(
        status=status or [],
        group=group,
        type=type_,
        colour=colour,
        label=label,
        text=text,
        needs_review=needs_review,
        since=moment(since),
        until=moment(until),
    )
    with reporting_errors(), Client(gateway) as client:
        jobs, counted = _listed(client, filters, limit, counts)
    if as_json:
        extra = {"counts": dict(counted.raw)} if counted else {}
        print_json({"jobs": [job.raw for job in jobs], **extra})
    else:
        from lookstream_client.display import show_jobs, terminal

        show_jobs(terminal(), jobs, counted)


def _listed(
    client: Client, filters: Filters, limit: int, counts: bool
) -> tuple[list[Job], Counts | None]:
    counted = client.page(limit=1, counts=True, **filters).counts if counts else None
    if 0 < limit <= LONGEST_PAGE:
        return list(client.page(limit=limit, **filters).jobs), counted
    return list(islice(client.jobs(**filters), limit or None)), counted


def show(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Show everything about a job: caption, classes, stages, artifacts.

    **Example**

    `lookstream show 01a20801-845d-768b-82dd-f448762e99cb`
    """
    from lookstream_client import Client

    with reporting_errors(), Client(gateway) as client:
        found = client.job(job)
    if as_json:
        print_json(found.raw)
    else:
        from lookstream_client.display import show_everything, terminal

        show_everything(terminal(), found)


def similar(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="The largest number of jobs.")] = 12,
    group: Named = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """List the jobs with the most similar photos, best first.

    Exits with 2 if the photo has no embedding yet, for example before it is classified.

    **Examples**

    `lookstream similar 01a20801-845d-768b-82dd-f448762e99cb`

    `lookstream similar 01a20801-845d-768b-82dd-f448762e99cb --group spring --limit 3 --json`
    """
    from lookstream_client import Client

    with reporting_errors(), Client(gateway) as client:
        found = client.similar(job, limit=limit, group=group)
    if as_json:
        print_json({"jobs": [dict(each.raw) for each in found]})
    else:
        from lookstream_client.display import show_similar, terminal

        show_similar(terminal(), found)


def download(
    jobs: Jobs,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="The folder for the jobs' folders."),
    ] = Path(),
    untouched: Annotated[
        bool,
        typer.Option(
            "--untouched",
            help="Also download the file as it was submitted. Its metadata may contain "
            "place, time and camera.",
        ),
    ] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Download the pictures of jobs and `job.json`. The pictures are: original, thumbnails, shots,
    annotated picture and cut-out.

    Each job gets a folder with the job's id as its name. The original is a copy in full size
    without metadata. `--untouched` adds the file as it was submitted.

    **Example**

    `lookstream download 01a20801-845d-768b-82dd-f448762e99cb -o results`
    """
    from lookstream_client import Client

    with reporting_errors(), Client(gateway) as client:
        with ThreadPoolExecutor(PARALLEL) as threads:
            fetching = {
                job_id: threads.submit(
                    client.download, job_id, output / job_id, untouched=untouched
                )
                for job_id in jobs
            }
        files, succeeded = for_each(list(fetching), lambda job_id: fetching[job_id].result())
    paths = [path for each in files for path in each]
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            typer.echo(path)
    if not succeeded:
        raise typer.Exit(UNREACHABLE)


def delete(
    jobs: Jobs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Delete jobs and their artifacts. Artifacts stay if another job has the same content.

    Deleting a job also stops its processing. Exits with 2 if a job does not exist.

    **Example**

    `lookstream delete 01a20801-845d-768b-82dd-f448762e99cb --yes`
    """
    from lookstream_client import Client

    if not yes:
        _confirm(len(jobs))
    with reporting_errors(), Client(gateway) as client:

        def act(job_id: str) -> str:
            client.delete(job_id)
            return job_id

        deleted, succeeded = for_each(jobs, act)
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"{len(deleted)} deleted")
    if not succeeded:
        raise typer.Exit(UNREACHABLE)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("use --yes if standard input is not a terminal")
    typer.confirm(f"Delete {count} {'job' if count == 1 else 'jobs'} permanently?", abort=True)


def info(gateway: Gateway = DEFAULT_GATEWAY, as_json: AsJson = False) -> None:
    """Show the addresses of the running system, for example for other Kafka clients.

    **Example**

    `kcat -b $(lookstream info --json | jq -r .kafka) -L`
    """
    from lookstream_client import Client

    with reporting_errors(), Client(gateway) as client:
        addresses = client.info()
    if as_json:
        print_json(dict(addresses.raw))
    else:
        from lookstream_client.display import show_info, terminal

        show_info(terminal(), addresses.raw)
