"""The commands that process photos: submit, status, rerun, replay."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookstream_client.cli import (
    FAILED,
    INTERRUPTED,
    UNREACHABLE,
    AsJson,
    Force,
    Gateway,
    Jobs,
    Stages,
    for_each,
    moment,
    names,
    pairs,
    print_json,
    print_line,
    reporting_errors,
)
from lookstream_client.errors import PhotoNotFound
from lookstream_client.options import DEFAULT_GATEWAY

if TYPE_CHECKING:
    from lookstream_client import AsyncClient, Client, JobEvent, Outcome, Replay
    from lookstream_client.options import Photo, Selection, SubmitOptions

STDIN = "-"
SHOWN = 20
"""The number of skipped files that are named one by one."""
STREAMS = 64
"""The number of jobs that are followed at the same time. The next ones start when these end."""
ASK_EVERY_S = 0.3


class Lane(Enum):
    """The lanes, as choices of the command line."""

    interactive = "interactive"
    bulk = "bulk"


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (submit, status, rerun, replay):
        app.command()(command)


def submit(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE|DIR|PATTERN|URL|-]…",
            help="Photos; `-` reads a list from standard input.",
        ),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="LIST", help="A list, one photo per line.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all jobs have finished.")
    ] = False,
    stages: Stages = "",
    force: Force = False,
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="A name for these jobs: an album, a SKU.")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A value to store with each job; repeatable."),
    ] = None,
    lane: Annotated[
        Lane | None, typer.Option(help="Stored with the jobs. It has no effect yet.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make new jobs for photos that were submitted before.")
    ] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Submit photos: files, directories, patterns, URLs, or lists of these.

    If the command is interrupted, run it again: for 24 hours, the same photo with the same options
    gets the same job. If that job has failed or was deleted, the photo gets a new job. With
    `--again`, all photos get new jobs. In directories, files that are not photos are skipped and
    reported.

    Exit codes: 0 success, 1 a photo was refused or failed, 2 wrong usage or no answer, 130 Ctrl-C.

    **Examples**

    `lookstream submit photos/ --wait`

    `lookstream submit dress.jpg https://example.com/shirt.jpg --stages captioning,thumbnailing`

    `lookstream submit --from-file urls.txt --group spring --metadata season=26 --lane bulk`

    `find . -name '*.jpg' | lookstream submit -`
    """
    from lookstream_client.options import SubmitOptions

    options = SubmitOptions(
        stages=names(stages), force=force, group=group, metadata=pairs(metadata or [])
    )
    if lane is not None:
        options["lane"] = lane.value
    found = _found([*(photos or []), *_list(from_file)])
    _report_skipped(found.skipped)
    with reporting_errors():
        outcomes = _submit(gateway, found.photos, options, wait=wait, again=again)
    if as_json:
        print_json({"jobs": [outcome.raw for outcome in outcomes]})
    else:
        from lookstream_client.display import show_outcomes, terminal

        show_outcomes(terminal(), outcomes)
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(FAILED)


def _found(named: list[str]) -> Selection:
    """Return all photos that are named in the arguments or on standard input."""
    from lookstream_client.options import select

    if not named:
        raise typer.BadParameter("name files, directories or URLs, or a list with --from-file")
    try:
        return select([each for name in named for each in (_list(name) if name == "-" else [name])])
    except PhotoNotFound as error:
        raise typer.BadParameter(str(error)) from None


def _report_skipped(skipped: list[tuple[Path, str]]) -> None:
    """Write which files of the directories are not submitted, and why."""
    for path, reason in skipped[:SHOWN]:
        typer.echo(f"skipped {path}: {reason}", err=True)
    if len(skipped) > SHOWN:
        typer.echo(f"skipped {len(skipped) - SHOWN} more files", err=True)


def _list(path: str | None) -> list[str]:
    from lookstream_client.options import listed

    if path is None:
        return []
    if path == STDIN:
        return listed(sys.stdin)
    try:
        return listed(Path(path).read_text().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--from-file") from None


def _submit(
    gateway: str, photos: list[Photo], options: SubmitOptions, *, wait: bool, again: bool
) -> list[Outcome]:
    from lookstream_client import Client
    from lookstream_client.display import bars

    progress = bars(wait=wait)
    with Client(gateway) as client:
        try:
            return client.submit_all(
                photos, wait=wait, progress=progress, once=not again, **options
            )
        except KeyboardInterrupt:
            typer.echo(
                f"lookstream: interrupted; {progress.sent} of {len(photos)} photos are submitted. "
                "Run the same command to continue.",
                err=True,
            )
            raise typer.Exit(INTERRUPTED) from None


def status(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB]…", help="Job ids. With --watch and no ids: all jobs."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all jobs have finished.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show every change, live.")] = False,
    group: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With --watch: follow the jobs of this group."),
    ] = None,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Show the status of jobs. With `--watch`, show changes until the jobs have finished.

    `--watch` without a job follows all jobs, or those of a `--group`, until Ctrl-C.
    With `--json`, each change is one line.

    Exit codes: 0 success, 1 a job has failed, 2 wrong usage, job not found or no answer.

    **Examples**

    `lookstream status 01a20801-845d-768b-82dd-f448762e99cb --wait`

    `lookstream status --watch --group spring`
    """
    if not watch and (group is not None or not jobs):
        raise typer.BadParameter("name jobs, or use --watch to follow all jobs or a --group")
    if watch and group is not None and jobs:
        raise typer.BadParameter("name jobs or a --group, not both")
    with reporting_errors():
        if watch:
            failed = asyncio.run(_watch(gateway, jobs or [], group, as_json))
        else:
            failed = _show(gateway, jobs or [], wait, as_json)
    if failed:
        raise typer.Exit(FAILED)


def _show(gateway: str, job_ids: list[str], wait: bool, as_json: bool) -> bool:
    from lookstream_client import Client

    with Client(gateway) as client:
        found = [client.wait(job_id) if wait else client.job(job_id) for job_id in job_ids]
    if as_json:
        print_json({"jobs": [job.raw for job in found]})
    else:
        from lookstream_client.display import show_job, terminal

        for job in found:
            show_job(terminal(), job)
    return any(job.status == "failed" for job in found)


async def _watch(gateway: str, job_ids: list[str], group: str | None, as_json: bool) -> bool:
    """Show changes as they happen; return whether a job has failed."""
    from lookstream_client import AsyncClient
    from lookstream_client.display import JobBoard, terminal

    failed = False
    async with AsyncClient(gateway) as client:
        with JobBoard(terminal(), drawing=sys.stdout.isatty() and not as_json) as board:
            async for change in _changes(client, job_ids, group):
                if as_json:
                    print_line(change.raw)
                else:
                    board.show(change)
                failed = failed or change.status == "failed"
    return failed


async def _changes(
    client: AsyncClient, job_ids: list[str], group: str | None
) -> AsyncIterator[JobEvent]:
    """Yield the changes of all jobs in order of arrival, until the last job has finished."""
    if not job_ids:
        async for each in client.stream(group=group):
            yield each
        return
    queue: asyncio.Queue[JobEvent | None] = asyncio.Queue()
    turns = asyncio.Semaphore(STREAMS)

    async def follow(job_id: str) -> None:
        async with turns:
            async for one in client.stream(job_id):
                await queue.put(one)

    async def follow_all() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for job_id in dict.fromkeys(job_ids):
                    tasks.create_task(follow(job_id))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await queue.put(None)

    watching = asyncio.create_task(follow_all())
    try:
        while (change := await queue.get()) is not None:
            yield change
        await watching
    finally:
        watching.cancel()


def rerun(
    jobs: Jobs,
    stages: Stages = "",
    force: Force = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Process jobs again: all stages, or some. Known results of the same content and model are
    reused, unless `--force` is set. Old results stay until the new ones are ready.

    Exits with 2 if a job does not exist or its photo is no longer stored.

    **Example**

    `lookstream rerun 01a20801-845d-768b-82dd-f448762e99cb --stages captioning --force`
    """
    from lookstream_client import Client
    from lookstream_client.options import RerunOptions

    options = RerunOptions(stages=names(stages), force=force)
    with reporting_errors(), Client(gateway) as client:
        runs, succeeded = for_each(jobs, lambda job_id: client.rerun(job_id, **options))
    if as_json:
        print_json({"runs": [dict(run.raw) for run in runs]})
    else:
        for run in runs:
            typer.echo(f"{run.job_id}  run {run.run}")
    if not succeeded:
        raise typer.Exit(UNREACHABLE)


def replay(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="A topic that a stage reads.")],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="T", help="Start: ISO 8601, or before now: 90m, 2h, 7d."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="T", help="End, in the same form.")
    ] = None,
    jobs: Annotated[
        list[str] | None, typer.Option("--job", metavar="ID", help="Only this job; repeatable.")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE", help="Only events with this value: source.url=…; repeatable."
        ),
    ] = None,
    stages: Annotated[
        list[str] | None,
        typer.Option(
            "--stage", metavar="S", help="Run only this stage and the stages it needs; repeatable."
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="At most N events per second.")
    ] = None,
    force: Force = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the events, and publish nothing.")
    ] = False,
    gateway: Gateway = DEFAULT_GATEWAY,
    as_json: AsJson = False,
) -> None:
    """Publish each job's newest event of a topic again. All stages from that topic onwards run
    again. Use this after a model has changed or a mistake was fixed.

    Without `--stage`, each job runs the stages that it has ever requested. Known results of the
    same photo and version are reused, unless `--force` is set. Old results stay until the new ones
    are ready. Ctrl-C does not stop the replay.

    Exit codes: 0 success, 1 the replay has failed, 2 wrong usage, refused or no answer.

    **Examples**

    `lookstream replay image-validated --stage captioning --rate 20`

    `lookstream replay image-submitted --from 2h --match group=spring --dry-run`
    """
    from lookstream_client import Client
    from lookstream_client.options import ReplayOptions

    options = ReplayOptions(
        since=moment(since),
        until=moment(until),
        job_ids=jobs or [],
        match=pairs(match or []),
        stages=stages or [],
        rate=rate,
        force=force,
        dry_run=dry_run,
    )
    with reporting_errors(), Client(gateway) as client:
        ended = _watch_replay(client, client.replay(topic, **options))
    if as_json:
        print_json(dict(ended.raw))
    else:
        typer.echo(_sentence(ended, dry_run))
    if ended.status == "failed":
        raise typer.Exit(FAILED)


def _watch_replay(client: Client, started: Replay) -> Replay:
    """Show the progress of a replay; return its final status."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    # Standard error leaves standard output free for pipes.
    bar = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
    with bar:
        task = bar.add_task("read", total=None)

        def show(now: Replay) -> None:
            if now.published + now.skipped:
                bar.update(task, description="replayed", total=now.matched, completed=now.published)
            else:
                bar.update(task, completed=now.read)

        return _poll(lambda: client.replay_now(started.replay_id), show)


def _poll(ask: Callable[[], Replay], show: Callable[[Replay], None]) -> Replay:
    while True:
        now = ask()
        show(now)
        if now.status != "running":
            return now
        time.sleep(ASK_EVERY_S)


def _sentence(ended: Replay, dry_run: bool) -> str:
    if ended.status == "failed":
        reason = ended.error.message if ended.error else ""
        return f"failed after {ended.published} events: {reason}"
    counts = f"{ended.read} records read, {ended.skipped} skipped"
    if dry_run:
        return f"would replay at most {ended.matched} jobs ({counts}); nothing was published"
    return f"{ended.published} of {ended.matched} jobs replayed ({counts})"
