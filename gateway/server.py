"""The gateway's HTTP server: uvicorn that ends event streams at shutdown."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn


class GatewayServer(uvicorn.Server):
    """Calls ``end_streams`` at shutdown. An event stream has no end, so uvicorn would wait for it
    until its time-out."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)
