"""The gateway's HTTP server: uvicorn with limits, which ends event streams at shutdown."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import uvicorn

from gateway.http.connections import ConnectionLimits, protocol

RESERVED_FILES = 256
"""Open files that the gateway needs besides connections: stores, broker, spooled uploads."""


def server_config(app: Any, limits: ConnectionLimits, **settings: Any) -> uvicorn.Config:
    """Return uvicorn's configuration with ``limits`` for connections."""
    return uvicorn.Config(
        app,
        http=protocol(limits),
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=30,
        **settings,
    )


def raise_file_limit(limits: ConnectionLimits) -> ConnectionLimits:
    """Raise this process's limit of open files as far as allowed. Return ``limits`` with at most as
    many connections as the limit of open files leaves room for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY:
        return limits
    room = max(most // 2, most - RESERVED_FILES)
    return replace(limits, connections=min(limits.connections, room))


class GatewayServer(uvicorn.Server):
    """Calls ``end_streams`` at shutdown. An event stream has no end, so uvicorn would wait for it
    until its time-out."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)
