"""The decoder child process: ``python -m agents.vision.images.decoding_child FD MEMORY_BYTES``."""

from __future__ import annotations

import ctypes
import dataclasses
import resource
import signal
import socket
import sys
from typing import Any

from agents.inputs.sandbox import Message, receive, send
from agents.stages.errors import Rejected
from agents.vision.images import picture

_LARGE = 4_000_000


def answer(header: dict[str, Any], blobs: list[bytes]) -> Message:
    """Answer one request. Errors are answers too."""
    try:
        if header["ask"] == "inspect":
            found = picture.inspect(
                blobs[0], max_pixels=header["max_pixels"], long_side=header["long_side"]
            )
            facts = dataclasses.asdict(found)
            return {"facts": facts}, [facts.pop("working")]
        if header["ask"] == "measure":
            return {"size": picture.measure(blobs[0], max_pixels=header["max_pixels"])}, []
        if header["ask"] == "crops":
            return {}, picture.crops(blobs[0], header["boxes"], max_pixels=header["max_pixels"])
        return {}, []
    except Rejected as error:
        return {"rejected": [error.code, error.message, error.detail]}, []
    except MemoryError:
        rejected = ["decode-failed", "The image needs too much memory to decode.", "MemoryError"]
        return {"rejected": rejected}, []
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
        return {"error": f"{type(error).__name__}: {error}"}, []


def main() -> None:
    """Answer requests until the parent closes the socket."""
    link = socket.socket(fileno=int(sys.argv[1]))
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    send(link, {})
    while True:
        try:
            header, blobs = receive(link)
        except (EOFError, OSError):
            return
        # The default action of SIGALRM ends the process.
        signal.setitimer(signal.ITIMER_REAL, header["alarm_s"])
        size = sum(map(len, blobs))
        reply = answer(header, blobs)
        del blobs
        try:
            send(link, *reply)
        except OSError:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        del reply
        if size > _LARGE:
            _give_memory_back()


def _give_memory_back() -> None:
    """Return freed memory to the system, so that an idle child stays small (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


if __name__ == "__main__":
    main()
