"""The commands that change what is there: delete, rerun."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lookstream.cli.answering import UNREACHABLE, failing_politely, for_each, print_json
from lookstream.cli.options import (
    DEFAULT_GATEWAY,
    AsJson,
    Force,
    Gateway,
    Jobs,
    Stages,
    names,
)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (delete, rerun):
        app.command()(command)


def delete(
    jobs: Jobs,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Delete jobs, and their artifacts where no other job has the same content.

    A job in flight is cancelled. Exits with 2 when one of them is not there.

    **Example**

    `lookstream delete 01a20801-845d-768b-82dd-f448762e99cb --yes`
    """
    from lookstream.client import Client

    if not yes:
        _confirm(len(jobs))
    with failing_politely(), Client(gateway) as client:

        def act(job_id: str) -> str:
            client.delete(job_id)
            return job_id

        deleted, well = for_each(jobs, act)
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"{len(deleted)} deleted")
    if not well:
        raise typer.Exit(UNREACHABLE)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("say --yes where nobody can be asked")
    typer.confirm(f"Delete {count} {'job' if count == 1 else 'jobs'} for good?", abort=True)


def rerun(
    jobs: Jobs,
    stages: Stages = "",
    force: Force = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Process jobs again, all stages or some. What is known of the same content and model is
    reused, unless forced; results are replaced only when the new ones are there.

    Exits with 2 when one of them is not there, or has no photo left to run on.

    **Example**

    `lookstream rerun 01a20801-845d-768b-82dd-f448762e99cb --stages captioning --force`
    """
    from lookstream.client import Client
    from lookstream.client.wishes import RunAgain

    wishes = RunAgain(stages=names(stages), force=force)
    with failing_politely(), Client(gateway) as client:
        runs, well = for_each(jobs, lambda job_id: client.rerun(job_id, **wishes))
    if as_json:
        print_json({"runs": [dict(run.raw) for run in runs]})
    else:
        for run in runs:
            typer.echo(f"{run.job_id}  run {run.run}")
    if not well:
        raise typer.Exit(UNREACHABLE)
