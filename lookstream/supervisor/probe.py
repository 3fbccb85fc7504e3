"""The health check of containers without curl: ``python -m lookstream.supervisor.probe``.

Exits with 0 if the local process is ready: the worker if ``LOOKSTREAM_WORKER_PORT`` is set,
otherwise the gateway.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException

LIMIT_S = 4.0


def port(environment: Mapping[str, str]) -> int:
    """Return the port of the process's readiness endpoint."""
    return int(environment.get("LOOKSTREAM_WORKER_PORT") or environment["LOOKSTREAM_PORT"])


def reason(at: int) -> str | None:
    """Return why the process at the port is not ready; None if it is ready."""
    try:
        with closing(HTTPConnection("127.0.0.1", at, timeout=LIMIT_S)) as connection:
            connection.request("GET", "/health/ready")
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
    except (HTTPException, OSError) as error:
        return repr(error)
    return None if answer.status == 200 else said


def main() -> int:
    why = reason(port({"LOOKSTREAM_PORT": "8000", **os.environ}))
    if why is not None:
        sys.stderr.write(f"not ready: {why}\n")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
