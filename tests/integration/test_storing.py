"""Photos go into the store from a few threads: all of them, and a bad one fails alone."""

from __future__ import annotations

import asyncio
import threading
from io import BytesIO
from pathlib import Path

import pytest

from gateway.submissions.storing import Storing
from storage.artifacts.directory import DirectoryArtifacts
from storage.artifacts.links import LinkSigner
from storage.errors import InvalidKey


class Held(BytesIO):
    """A photo whose reading waits until it is let go."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.begun = threading.Event()
        self.released = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.begun.set()
        assert self.released.wait(10)
        return super().read(size)


@pytest.fixture
def artifacts(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path, LinkSigner(b"-" * 32, ""))


async def test_more_photos_than_threads_are_all_stored(artifacts: DirectoryArtifacts) -> None:
    storing = Storing(artifacts, threads=2)
    photos = {f"incoming/{number}": str(number).encode() for number in range(50)}
    await asyncio.gather(*(storing.put(key, BytesIO(data)) for key, data in photos.items()))
    assert {key: artifacts.get(key) for key in photos} == photos


async def test_it_goes_on_after_a_rest(artifacts: DirectoryArtifacts) -> None:
    storing = Storing(artifacts, threads=1)
    for number in range(3):
        await storing.put(f"incoming/{number}", BytesIO(b"photo"))
    assert artifacts.list("incoming/") == ["incoming/0", "incoming/1", "incoming/2"]


async def test_what_the_store_refuses_fails_alone(artifacts: DirectoryArtifacts) -> None:
    storing = Storing(artifacts, threads=1)
    done = await asyncio.gather(
        storing.put("incoming/1", BytesIO(b"photo")),
        storing.put("../outside", BytesIO(b"photo")),
        storing.put("incoming/2", BytesIO(b"photo")),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [type(None), InvalidKey, type(None)]
    assert artifacts.list("incoming/") == ["incoming/1", "incoming/2"]


async def test_a_slow_photo_holds_no_other_up(artifacts: DirectoryArtifacts) -> None:
    storing = Storing(artifacts, threads=2)
    slow = Held(b"slow")
    waiting = asyncio.create_task(storing.put("incoming/slow", slow))
    assert await asyncio.to_thread(slow.begun.wait, 10)
    await storing.put("incoming/quick", BytesIO(b"quick"))
    assert artifacts.list("incoming/") == ["incoming/quick"]
    slow.released.set()
    await waiting
    assert artifacts.get("incoming/slow") == b"slow"


async def test_a_caller_who_went_away_stops_nobody_else(artifacts: DirectoryArtifacts) -> None:
    storing = Storing(artifacts, threads=1)
    first = Held(b"first")
    gone = asyncio.create_task(storing.put("incoming/first", first))
    second = asyncio.create_task(storing.put("incoming/second", BytesIO(b"second")))
    assert await asyncio.to_thread(first.begun.wait, 10)
    gone.cancel()
    first.released.set()
    await second
    assert artifacts.get("incoming/second") == b"second"
