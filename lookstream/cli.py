"""The command line. Each command loads what it needs when it runs: `submit` starts in a blink."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lookstream import serving

if TYPE_CHECKING:
    from lookstream.submitting import Order, Outcome

UNREACHABLE = 2

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Turn photos of garments into listing-ready data.",
)

Gateway = Annotated[
    str,
    typer.Option(
        "--gateway", metavar="URL", envvar="LOOKSTREAM_GATEWAY", help="Where the gateway is."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DEFAULT_GATEWAY = "http://127.0.0.1:8000"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("lookstream"))
        raise typer.Exit


@app.callback()
def lookstream(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Turn photos of garments into listing-ready data."""


# --- Running the system -----------------------------------------------------------------------

serving.register(app)


# --- As a client of a running gateway ---------------------------------------------------------


@app.command()
def submit(
    photos: Annotated[list[str], typer.Argument(metavar="FILE|DIR|URL…", help="The photos.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    stages: Annotated[
        str, typer.Option(metavar="A,B", help="Only these stages, and what they need.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Compute again what is known.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Hand photos over: files, directories of images, URLs.

    Exits with 0 when all went well, 1 when a photo was refused or failed, 2 when nobody answers.

    **Examples**

    `lookstream submit photos/ --wait`

    `lookstream submit dress.jpg https://example.com/shirt.jpg --stages captioning,thumbnailing`
    """
    from lookstream.inputs import NothingThere, expand
    from lookstream.submitting import Order

    try:
        found = expand(photos)
    except NothingThere as error:
        raise typer.BadParameter(str(error)) from None
    order = Order([name.strip() for name in stages.split(",") if name.strip()], force, wait)
    with _failing_politely():
        outcomes = _submit(gateway, found, order)
        if as_json:
            _print_json({"jobs": [outcome.as_json() for outcome in outcomes]})
        else:
            from rich.console import Console

            from lookstream.tables import show_outcomes

            show_outcomes(Console(), outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


def _submit(gateway: str, photos: list[Any], order: Order) -> list[Outcome]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from lookstream.client import Client
    from lookstream.submitting import Submission

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # On stderr, so that what is printed can be piped.
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with Client(gateway) as client, bar:
        sent = bar.add_task("submitted", total=len(photos))
        done = bar.add_task("completed", total=len(photos), visible=order.wait)
        submission = Submission(
            client,
            order,
            submitted=lambda: bar.advance(sent),
            finished=lambda: bar.advance(done),
        )
        return submission.run(photos)


@app.command()
def status(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="Job ids.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Tell what has become of jobs.

    Exits with 1 when one of them has failed, 2 when there is no such job or nobody answers.

    **Example**

    `lookstream status 01a20801-845d-768b-82dd-f448762e99cb --wait`
    """
    from lookstream.client import Client

    with _failing_politely(), Client(gateway) as client:
        found = [client.wait(job_id) if wait else client.job(job_id) for job_id in jobs]
    if as_json:
        _print_json({"jobs": found})
    else:
        from rich.console import Console

        from lookstream.tables import show_job

        for job in found:
            show_job(Console(), job)
    if any(job["status"] == "failed" for job in found):
        raise typer.Exit(1)


@app.command()
def info(gateway: Gateway = DEFAULT_GATEWAY, as_json: AsJson = False) -> None:
    """Tell where the running system is, so that any Kafka client can join in.

    **Example**

    `kcat -b $(lookstream info --json | jq -r .kafka) -L`
    """
    from lookstream.client import Client

    with _failing_politely(), Client(gateway) as client:
        addresses = client.info()
    if as_json:
        _print_json(addresses)
    else:
        from rich.console import Console

        from lookstream.tables import show_info

        show_info(Console(), addresses)


@contextmanager
def _failing_politely() -> Iterator[None]:
    """Say in one line what went wrong, and exit with 2."""
    from lookstream.errors import LookstreamError

    try:
        yield
    except LookstreamError as error:
        typer.echo(f"lookstream: {error}", err=True)
        raise typer.Exit(UNREACHABLE) from None


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write(os.linesep)
