"""`lookstream status`: what has become of jobs, once or as it happens."""

from __future__ import annotations

from typing import Annotated

import typer

from lookstream.cli.answering import FAILED, failing_politely, print_json
from lookstream.cli.options import DEFAULT_GATEWAY, AsJson, Gateway


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(status)


def status(
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]…", help="Job ids; all, with --watch.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show every change, live.")] = False,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --watch: follow a group.")
    ] = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Tell what has become of jobs; with `--watch` as it happens, until they are at their ends.

    `--watch` without a job follows all that happens from now on, or a `--group`, until Ctrl-C.
    With `--json` each change is one line.

    Exits with 1 when one of them has failed, 2 when there is no such job or nobody answers.

    **Examples**

    `lookstream status 01a20801-845d-768b-82dd-f448762e99cb --wait`

    `lookstream status --watch --group spring`
    """
    if not watch and (group is not None or not jobs):
        raise typer.BadParameter("name jobs, or --watch to follow all or a --group")
    if watch and group is not None and jobs:
        raise typer.BadParameter("jobs or a --group, not both")
    with failing_politely():
        if watch:
            failed = _watched(gateway, jobs or [], group, as_json)
        else:
            failed = _told(gateway, jobs or [], wait, as_json)
    if failed:
        raise typer.Exit(FAILED)


def _told(gateway: str, job_ids: list[str], wait: bool, as_json: bool) -> bool:
    from lookstream.client import Client

    with Client(gateway) as client:
        found = [client.wait(job_id) if wait else client.job(job_id) for job_id in job_ids]
    if as_json:
        print_json({"jobs": [job.raw for job in found]})
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_job

        for job in found:
            show_job(Console(), job)
    return any(job.status == "failed" for job in found)


def _watched(gateway: str, job_ids: list[str], group: str | None, as_json: bool) -> bool:
    import asyncio

    from lookstream.cli.watching import watch

    return asyncio.run(watch(gateway, job_ids, group, as_json))
