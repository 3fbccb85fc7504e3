"""`lookstream submit`: hand photos over, so that doing it again goes on and does nothing twice."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookstream.cli.answering import FAILED, INTERRUPTED, failing_politely, print_json
from lookstream.cli.options import (
    DEFAULT_GATEWAY,
    AsJson,
    Force,
    Gateway,
    Stages,
    names,
    pairs,
)

if TYPE_CHECKING:
    from lookstream.client import Outcome
    from lookstream.client.photos import Photo
    from lookstream.client.wishes import Wishes

STDIN = "-"


class Lane(Enum):
    """The lanes, as choices of the command line."""

    interactive = "interactive"
    bulk = "bulk"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(submit)


def submit(
    photos: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE|DIR|PATTERN|URL|-]…", help="The photos; `-` lists them."),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="LIST", help="A list, one a line.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are done.")] = False,
    stages: Stages = "",
    force: Force = False,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="The jobs' group: an album, a SKU.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Kept with the jobs; may be repeated."),
    ] = None,
    lane: Annotated[Lane | None, typer.Option(help="bulk is for backfills.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make new jobs of what was handed over before.")
    ] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Hand photos over: files, directories of images, patterns, URLs, lists of all these.

    Interrupted, it goes on where it stopped when you say the same again: for 24 hours the same
    photo with the same options is the same job. `--again` makes new ones all the same.

    Exits with 0 when all went well, 1 when a photo was refused or failed, 2 when nobody answers,
    130 on Ctrl-C.

    **Examples**

    `lookstream submit photos/ --wait`

    `lookstream submit dress.jpg https://example.com/shirt.jpg --stages captioning,thumbnailing`

    `lookstream submit --from-file urls.txt --group spring --metadata season=26 --lane bulk`

    `find . -name '*.jpg' | lookstream submit -`
    """
    from lookstream.client.wishes import Wishes

    wishes = Wishes(stages=names(stages), force=force, group=group, metadata=pairs(metadata or []))
    if lane is not None:
        wishes["lane"] = lane.value
    found = _found([*(photos or []), *_list(from_file)])
    with failing_politely():
        outcomes = _handed_over(gateway, found, wishes, wait=wait, again=again)
    if as_json:
        print_json({"jobs": [outcome.raw for outcome in outcomes]})
    else:
        from rich.console import Console

        from lookstream.cli.tables import show_outcomes

        show_outcomes(Console(), outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(FAILED)


def _found(named: list[str]) -> list[Photo]:
    """Return all photos that are named, here or in lists on stdin."""
    from lookstream.client.inputs import expand
    from lookstream.errors import NothingThere

    if not named:
        raise typer.BadParameter("name files, directories or URLs, or a list by --from-file")
    try:
        return expand([each for name in named for each in (_list(name) if name == "-" else [name])])
    except NothingThere as error:
        raise typer.BadParameter(str(error)) from None


def _list(path: str | None) -> list[str]:
    from lookstream.client.inputs import listed

    if path is None:
        return []
    if path == STDIN:
        return listed(sys.stdin)
    try:
        return listed(Path(path).read_text().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--from-file") from None


def _handed_over(
    gateway: str, photos: list[Photo], wishes: Wishes, *, wait: bool, again: bool
) -> list[Outcome]:
    from lookstream.client import Client
    from lookstream.client.progress import bars

    progress = bars(wait=wait)
    with Client(gateway) as client:
        try:
            return client.submit_all(photos, wait=wait, progress=progress, once=not again, **wishes)
        except KeyboardInterrupt:
            typer.echo(
                f"lookstream: interrupted; {progress.sent} of {len(photos)} are handed over, "
                "and the same command goes on with the others",
                err=True,
            )
            raise typer.Exit(INTERRUPTED) from None
