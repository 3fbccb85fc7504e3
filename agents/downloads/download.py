"""One download: from a URL into quarantine. Blocking; runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from agents.inputs.fetching import Fetched, load_source
from agents.stages.errors import Rejected, Unavailable
from storage.artifacts import keys
from storage.artifacts.erasure import is_being_erased
from storage.artifacts.store import ArtifactStore
from streams.events.models import ImageDownloaded, ImageSubmitted

T = TypeVar("T")


class Fetches(Protocol):
    """The part of `agents.inputs.fetching.Fetcher` that a download uses."""

    def fetch(
        self, url: str, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched: ...


def download(event: ImageSubmitted, fetcher: Fetches, artifacts: ArtifactStore) -> ImageDownloaded:
    """Store the content of the event's URL in quarantine; return the event for validation.

    A known URL is fetched under the condition that it changed, unless the event has ``force``.
    Raises what `Fetcher.fetch` raises, `StoreUnavailable`, and `Unavailable` while the stored
    content is being erased.
    """
    url = event.source.url or ""
    known = None if event.force else load_source(event.source, artifacts)
    if known and (known.etag or known.last_modified):
        fetched = fetcher.fetch(url, etag=known.etag, last_modified=known.last_modified)
        if fetched.file is None:
            if keep(known.sha256, event.job_id, artifacts):
                return downloaded(event, sha256=known.sha256)
            fetched = fetcher.fetch(url)
    else:
        fetched = fetcher.fetch(url)
    if fetched.file is None:
        raise Rejected("url-refused", "The server answered 'not modified' without a condition.")
    with fetched.file as file:
        artifacts.put(keys.incoming(event.job_id), file)
    return downloaded(event, etag=fetched.etag, last_modified=fetched.last_modified)


def keep(sha256: str, job_id: str, artifacts: ArtifactStore) -> bool:
    """Claim stored content for a job; return False if there is no such content."""
    if not artifacts.exists(keys.original(sha256)):
        return False
    artifacts.put(keys.claim(sha256, job_id), b"")
    if is_being_erased(artifacts, sha256):
        raise Unavailable("erasure", "the same photo is being erased", retry_after_s=1.0)
    return artifacts.exists(keys.original(sha256))


def downloaded(event: ImageSubmitted, **facts: object) -> ImageDownloaded:
    """Return the event of a download; ``facts`` are sha256, etag, last_modified."""
    names = ("job_id", "run", "lane", "source", "stages", "wanted_item")
    known = {name: getattr(event, name) for name in names}
    return ImageDownloaded.model_validate({**known, "force": event.force, **facts})


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a new daemon thread, which does not delay the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - passed to the caller
            _call(loop, done, partial(done.set_exception, error))
        else:
            _call(loop, done, partial(done.set_result, result))

    threading.Thread(target=run, name="download", daemon=True).start()
    return await done


def _call(
    loop: asyncio.AbstractEventLoop, done: asyncio.Future[T], settle: Callable[[], None]
) -> None:
    """Call ``settle`` in the loop, unless the caller has stopped waiting."""
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(lambda: None if done.cancelled() else settle())
