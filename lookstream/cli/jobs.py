"""The commands that read what is there: list, show, similar, download, info."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookstream.cli.answering import UNREACHABLE, failing_politely, for_each, print_json
from lookstream.cli.options import DEFAULT_GATEWAY, AsJson, Gateway, Jobs, moment

if TYPE_CHECKING:
    from lookstream.client import Client, Counts, Job
    from lookstream.client.wishes import Filters

PARALLEL = 8
LONGEST_PAGE = 200

Named = Annotated[str | None, typer.Option(metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("list")(list_)
    for command in (show, similar, download, info):
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
    label: Annotated[str | None, typer.Option(metavar="NAME", help="The likeliest class.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", "-q", metavar="WORDS", help="Words of the caption.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Submitted from then on: 2h, 2026-01-31.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Submitted before.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many; 0 for all.")] = 50,
    counts: Annotated[bool, typer.Option("--counts", help="Count them by status.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first.

    **Examples**

    `lookstream list --status failed --since 2h`

    `lookstream list --colour red --type dress --text floral --json`
    """
    from lookstream.client import Client
    from lookstream.client.wishes import Filters

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
    with failing_politely(), Client(gateway) as client:
        jobs, counted = _listed(client, filters, limit, counts)
    if as_json:
        told = {"counts": dict(counted.raw)} if counted else {}
        print_json({"jobs": [job.raw for job in jobs], **told})
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_jobs

        show_jobs(Console(), jobs, counted)


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
    """Show all that is known of a job: words, classes, stages, artifacts.

    **Example**

    `lookstream show 01a20801-845d-768b-82dd-f448762e99cb`
    """
    from lookstream.client import Client

    with failing_politely(), Client(gateway) as client:
        found = client.job(job)
    if as_json:
        print_json(found.raw)
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_everything

        show_everything(Console(), found)


def similar(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job id.")],
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, at most.")] = 12,
    group: Named = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """List the jobs whose photos are most like a job's, the best first.

    Exits with 2 when that photo has nothing to be compared by, as before it is classified.

    **Examples**

    `lookstream similar 01a20801-845d-768b-82dd-f448762e99cb`

    `lookstream similar 01a20801-845d-768b-82dd-f448762e99cb --group spring --limit 3 --json`
    """
    from lookstream.client import Client

    with failing_politely(), Client(gateway) as client:
        found = client.similar(job, limit=limit, group=group)
    if as_json:
        print_json({"jobs": [dict(each.raw) for each in found]})
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_similar

        show_similar(Console(), found)


def download(
    jobs: Jobs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A folder a job goes in here.")
    ] = Path(),
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Fetch all artifacts of jobs: original, thumbnails, shots, annotated picture, `job.json`.

    Each job gets a folder of its own, called by its id. A file is there as a whole or not at all.

    **Example**

    `lookstream download 01a20801-845d-768b-82dd-f448762e99cb -o results`
    """
    from lookstream.client import Client

    with failing_politely(), Client(gateway) as client:
        with ThreadPoolExecutor(PARALLEL) as threads:
            fetching = {
                job_id: threads.submit(client.download, job_id, output / job_id) for job_id in jobs
            }
        files, well = for_each(list(fetching), lambda job_id: fetching[job_id].result())
    paths = [path for each in files for path in each]
    if as_json:
        print_json({"files": [str(path) for path in paths]})
    else:
        for path in paths:
            typer.echo(path)
    if not well:
        raise typer.Exit(UNREACHABLE)


def info(gateway: Gateway = DEFAULT_GATEWAY, as_json: AsJson = False) -> None:
    """Tell where the running system is, so that any Kafka client can join in.

    **Example**

    `kcat -b $(lookstream info --json | jq -r .kafka) -L`
    """
    from lookstream.client import Client

    with failing_politely(), Client(gateway) as client:
        addresses = client.info()
    if as_json:
        print_json(dict(addresses.raw))
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_info

        show_info(Console(), addresses.raw)
