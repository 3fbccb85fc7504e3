"""The HTTP server of the gateway: uvicorn, which ends event streams before it waits for answers."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn


class GatewayServer(uvicorn.Server):
    """``end_streams`` is called when the server stops. An event stream is an answer without an
    end: uvicorn would wait for it as long as it waits for any, and then break it off."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)
