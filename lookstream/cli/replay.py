"""The operator's command: replay."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from lookstream.cli.answering import failing_politely, print_json
from lookstream.cli.options import DEFAULT_GATEWAY, AsJson, Force, Gateway, moment, pairs

if TYPE_CHECKING:
    from lookstream.client import Client
    from lookstream.client.replies import Replay

ASK_EVERY_S = 0.3


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(replay)


def replay(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="One that a stage reads.")],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="T", help="ISO 8601, or back from now: 90m, 2h, 7d."),
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="T", help="Up to when.")] = None,
    jobs: Annotated[
        list[str] | None, typer.Option("--job", metavar="ID", help="Only this job; repeatable.")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE", help="Only events that say so, such as source.url=…; repeatable."
        ),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="S", help="Only this, and what it needs; repeatable."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Events a second, at most.")
    ] = None,
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Publish each job's newest event of a topic again, so that all stages from there on work
    again: after a model's change, or a mistake.

    Without `--stage` each job runs what it ever wanted. What is known of the same photo and version
    is reused, unless forced; results are replaced only when the new ones are there. Ctrl-C leaves
    the replay running.

    Exits with 1 when it fails, 2 when it is refused or nobody answers.

    **Examples**

    `lookstream replay image-validated --stage captioning --rate 20`

    `lookstream replay image-submitted --from 2h --match group=spring --dry-run`
    """
    from lookstream.client import Client
    from lookstream.client.wishes import ReplayWishes

    wishes = ReplayWishes(
        since=moment(since),
        until=moment(until),
        job_ids=jobs or [],
        match=pairs(match or []),
        stages=stages or [],
        rate=rate,
        force=force,
        dry_run=dry_run,
    )
    with failing_politely(), Client(gateway) as client:
        ended = _watched(client, client.replay(topic, **wishes))
    if as_json:
        print_json(dict(ended.raw))
    else:
        typer.echo(_sentence(ended, dry_run))
    if ended.status == "failed":
        raise typer.Exit(1)


def _watched(client: Client, replay: Replay) -> Replay:
    """Show how far it is until its end, and return it then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # On stderr, so that what is printed can be piped.
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task("read", total=None)

        def show(now: Replay) -> None:
            done = now.published + now.skipped
            if done:
                bar.update(task, description="replayed", total=now.matched, completed=now.published)
            else:
                bar.update(task, completed=now.read)

        return _followed(lambda: client.replay_now(replay.replay_id), show)


def _followed(ask: Callable[[], Replay], show: Callable[[Replay], None]) -> Replay:
    while True:
        now = ask()
        show(now)
        if now.status != "running":
            return now
        time.sleep(ASK_EVERY_S)


def _sentence(ended: Replay, dry_run: bool) -> str:
    if ended.status == "failed":
        error = ended.raw.get("error") or {}
        return f"failed after {ended.published} events: {error.get('message', '')}"
    counts = f"{ended.read} records read, {ended.skipped} skipped"
    if dry_run:
        return f"would replay at most {ended.matched} jobs ({counts}); nothing was published"
    return f"{ended.published} of {ended.matched} jobs replayed ({counts})"
