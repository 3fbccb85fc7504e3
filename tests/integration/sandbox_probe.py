"""The decoder child with one more question: what can a photo that took over this process do?

Everything else is the real decoder child: its imports, its confinement, its loop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.inputs.child import Reserve, serve
from agents.inputs.messages import Message
from agents.vision.images import decoding_child

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
READ_MEMORY, TRACE, MEMFD, RING, SHARE_NOT, SET_LIMIT = (
    (310, 101, 319, 425, 272, 302) if X86 else (270, 117, 279, 425, 97, 261)
)
"""Numbers of process_vm_readv, ptrace, memfd_create, io_uring_setup, unshare, prlimit64."""


def main(descriptor: int, means: str) -> None:
    serve(answer, descriptor, means)


def answer(header: dict[str, Any], blobs: list[bytes], reserve: Reserve) -> Message:
    if header["ask"] != "attack":
        return decoding_child.answer(header, blobs, reserve)
    chosen = {name: act for name, act in attacks(**header["targets"]).items()
              if name in (header["only"] or (name,))}  # fmt: skip
    outcomes = {name: outcome(act) for name, act in chosen.items()}
    return {"outcomes": outcomes, "facts": facts()}, []


def attacks(secret: str, folder: str, parent: int) -> dict[str, Callable[[], object]]:
    buffer = ctypes.create_string_buffer(64)
    return {
        "read the secret": lambda: Path(secret).read_bytes(),
        "list the photos": lambda: list(Path(folder).iterdir()),
        "read own environment": lambda: Path("/proc/self/environ").read_bytes(),
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "open the parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb"),
        "read the parent's memory": lambda: call(READ_MEMORY, parent, buffer, 1, buffer, 1, 0),
        "trace the parent": lambda: call(TRACE, 16, parent, 0, 0),
        "signal the parent": lambda: os.kill(parent, 0),
        "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "open a UDP socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM),
        "open a UNIX socket": lambda: socket.socket(socket.AF_UNIX),
        "open a netlink socket": lambda: socket.socket(16, socket.SOCK_RAW),
        "fork": os.fork,
        "execute": lambda: os.execv(sys.executable, [sys.executable]),  # noqa: S606
        "spawn": lambda: os.posix_spawn(sys.executable, [sys.executable, "-V"], {}),
        "run a command": lambda: subprocess.run(["/bin/true"], check=False),
        "write a file": lambda: Path(folder, "new").write_bytes(b"x"),
        "delete the secret": lambda: Path(secret).unlink(),
        "make a memory file": lambda: call(MEMFD, b"x", 0),
        "set up a ring": lambda: call(RING, 1, buffer),
        "leave the namespaces": lambda: call(SHARE_NOT, 0x10000000),
        "raise a limit": lambda: call(SET_LIMIT, 0, resource.RLIMIT_AS, buffer, None),
        "change the user": lambda: os.setuid(65_534),
        "open a terminal": lambda: os.open("/dev/tty", os.O_RDWR),
    }


def outcome(act: Callable[[], object]) -> str:
    """Return the name of the error, or "done"."""
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def call(number: int, *arguments: object) -> None:
    if LIBC.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")


def facts() -> dict[str, Any]:
    started: list[int] = []
    thread = threading.Thread(target=started.append, args=(1,))
    thread.start()
    thread.join()
    return {
        "environment": dict(os.environ),
        "descriptors": [each for each in range(256) if is_open(each)],
        "thread": bool(started),
        "path": sys.path,
    }


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
