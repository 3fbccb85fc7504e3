"""Follow jobs live, for `lookstream status --watch`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from rich.console import Console

from lookstream.cli.answering import print_line
from lookstream.cli.live import JobBoard
from lookstream.client import AsyncClient, JobEvent

STREAMS = 64
"""So many jobs are followed at once; the others' turn comes as these end."""


async def watch(gateway: str, job_ids: list[str], group: str | None, as_json: bool) -> bool:
    """Show changes as they come; return whether a job failed."""
    failed = False
    async with AsyncClient(gateway) as client:
        with JobBoard(Console(), drawing=sys.stdout.isatty() and not as_json) as board:
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
    """Yield the changes of all the jobs in the order they come, until the last one's end."""
    if not job_ids:
        async for change in client.stream(group=group):
            yield change
        return
    queue: asyncio.Queue[JobEvent | None] = asyncio.Queue()
    turns = asyncio.Semaphore(STREAMS)

    async def follow(job_id: str) -> None:
        async with turns:
            async for change in client.stream(job_id):
                await queue.put(change)

    async def follow_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for job_id in dict.fromkeys(job_ids):
                    group.create_task(follow(job_id))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await queue.put(None)

    following = asyncio.create_task(follow_all())
    try:
        while (heard := await queue.get()) is not None:
            yield heard
        await following
    finally:
        following.cancel()
