"""The loop of a confined child process. `agents.inputs.sandbox` is its parent."""

from __future__ import annotations

import ctypes
import gc
import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from resource import getpagesize
from typing import Any

from agents.inputs.confinement import Confinement, confine, use_one_heap
from agents.inputs.messages import Message, receive, send

Reserve = Callable[[int], None]
"""Asks the parent to reserve a number of bytes, and waits for the answer. Raises `NotGranted`."""
Answer = Callable[[dict[str, Any], list[bytes], Reserve], Message]

_LARGE = 32 << 20


class NotGranted(Exception):
    """The work needs more memory than the budget of all children."""


def serve(answer: Answer, descriptor: int, means: str) -> None:
    """Confine this process, then answer requests until the parent closes the socket.

    Import all modules before this call. ``descriptor`` is the socket to the parent. ``means`` is
    the JSON of a `Confinement`.
    """
    link = socket.socket(fileno=descriptor)
    use_one_heap()
    size = Path("/proc/self/statm")
    pages = int(size.read_text().split()[0]) if size.exists() else 0
    confine(Confinement(**json.loads(means)), descriptor)
    send(link, {"address_space": pages * getpagesize()})
    while _answer_one(answer, link):
        pass


def _answer_one(answer: Answer, link: socket.socket) -> bool:
    """Answer one request; return False when the parent has closed the socket."""
    try:
        header, blobs = receive(link)
        _set_alarms(header["alarm_s"], header["cpu_s"])
        need = 0

        def reserve(size: int) -> None:
            nonlocal need
            need = size
            _set_alarms(0, 0)
            send(link, {"need": size})
            granted = receive(link)[0]["granted"]
            _set_alarms(header["alarm_s"], header["cpu_s"])
            if not granted:
                raise NotGranted

        try:
            reply: Message = answer(header, blobs, reserve)
        except NotGranted:
            reply = {}, []
        del blobs
        if need > _LARGE:
            _give_memory_back()  # the parent reads this process's size right after the answer
        send(link, *reply)
    except (EOFError, OSError):
        return False
    _set_alarms(0, 0)
    return True


def _set_alarms(wall_s: float, cpu_s: float) -> None:
    """Let the kernel end this process after ``wall_s`` seconds, or after ``cpu_s`` seconds of
    computing. 0 removes the limit.

    The default action of SIGALRM and SIGPROF ends the process.
    """
    signal.setitimer(signal.ITIMER_REAL, wall_s)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _give_memory_back() -> None:
    """Return freed memory to the system, so that an idle child stays small (glibc only).

    The garbage collection comes first, because decoders of some formats are in reference cycles.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
