"""The addresses that a process listens on, from /proc."""

from __future__ import annotations

import ipaddress
from pathlib import Path

LISTEN = "0A"


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the (address, port) of every TCP socket that the process listens on."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    return {
        address
        for table in ("tcp", "tcp6")
        for address, inode in _listeners(Path(f"/proc/{pid}/net/{table}"))
        if inode in sockets
    }


def _listeners(table: Path) -> list[tuple[tuple[str, int], str]]:
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return [(_address(row[1]), row[9]) for row in rows if row[3] == LISTEN]


def _address(text: str) -> tuple[str, int]:
    """Parse ``0100007F:1F90``: the address in words of the machine's byte order, and the port."""
    address, _, port = text.partition(":")
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)
