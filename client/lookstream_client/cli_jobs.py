"""The commands that read and delete jobs: list, show, similar, download, delete, info."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookstream_client.cli import (
    UNREACHABLE,
    AsJson,
    Gateway,
    Jobs,
    for_each,
    moment,
    print_json,
    reporting_errors,
)
from lookstream_client.options import DEFAULT_GATEWAY

if TYPE_CHECKING:
    from lookstream_client import Client, Counts, Job
    from lookstream_client.options import Filters

PARALLEL = 8
LONGEST_PAGE = 200

Named = Annotated[str | None, typer.Option(metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("list")(list_)
    for command in (show, similar, download, delete, info):
        app.command()(command)


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
        str | None, typer.Option("--text", "-q", metavar="WORDS", help="Words of the caption.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Submitted at or after: 2h, 2026-01-31 (UTC)."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Submitted before.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="The number of jobs; 0 for all.")] = 50,
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
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Download all artifacts of jobs: original, thumbnails, shots, annotated picture, `job.json`.

    Each job gets a folder with its id as the name. A file appears only when it is complete.

    **Example**

    `lookstream download 01a20801-845d-768b-82dd-f448762e99cb -o results`
    """
    from lookstream_client import Client

    with reporting_errors(), Client(gateway) as client:
        with ThreadPoolExecutor(PARALLEL) as threads:
            fetching = {
                job_id: threads.submit(client.download, job_id, output / job_id) for job_id in jobs
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
    """Delete jobs. Artifacts stay if another job has the same content.

    A running job is cancelled. Exits with 2 if a job does not exist.

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
        raise typer.BadParameter("use --yes if standard input is no terminal")
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
