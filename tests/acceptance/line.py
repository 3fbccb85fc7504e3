"""A TCP proxy to the gateway that stalls after a number of bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 4096


class Line:
    """Forwards ``allowance`` bytes to the gateway, then nothing until `mend`."""

    def __init__(self, gateway: str, allowance: int) -> None:
        there = urlsplit(gateway)
        self._there = (there.hostname, there.port)
        self._left = allowance
        self._lock = threading.Lock()
        self._mended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @classmethod
    @contextmanager
    def to(cls, gateway: str, allowance: int) -> Iterator[Line]:
        line = cls(gateway, allowance)
        threading.Thread(target=line._accept, daemon=True).start()
        try:
            yield line
        finally:
            line.mend()
            with suppress(OSError):
                line._listener.shutdown(socket.SHUT_RDWR)  # close() alone does not end accept()
            line._listener.close()

    def mend(self) -> None:
        """Forward everything from now on."""
        self._mended.set()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._there) as far:
            back = threading.Thread(target=self._carry, args=(far, near, False), daemon=True)
            back.start()
            self._carry(near, far, True)
            back.join()

    def _carry(self, source: socket.socket, sink: socket.socket, upwards: bool) -> None:
        with suppress(OSError):  # one side closed the connection
            while part := source.recv(CHUNK):
                if upwards and not self._has_room(len(part)):
                    self._mended.wait()
                sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _has_room(self, size: int) -> bool:
        with self._lock:
            self._left -= size
            return self._left >= 0
