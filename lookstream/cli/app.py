"""The command line. Each command loads what it needs when it runs: `submit` starts in a blink."""

from __future__ import annotations

from typing import Annotated

import typer

from lookstream.cli import changes, jobs, replay, serving, status, submit, vocabulary

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Turn photos of garments into listing-ready data.",
)


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
vocabulary.register(app)

# --- As a client of a running gateway ---------------------------------------------------------

submit.register(app)
status.register(app)
jobs.register(app)
changes.register(app)
replay.register(app)
