"""Ask a local process whether it is ready: ``python -m lookstream.supervisor.probe``.

The health check of containers, which have no curl. It asks the worker where
``LOOKSTREAM_WORKER_PORT`` is set, else the gateway, and exits with 0 only when that is ready.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException

LIMIT_S = 4.0


def port(environment: Mapping[str, str]) -> int:
    """Return the port on which this environment's process says whether it is ready."""
    return int(environment.get("LOOKSTREAM_WORKER_PORT") or environment["LOOKSTREAM_PORT"])


def reason(at: int) -> str | None:
    """Return why the process at that port is not ready, None when it is."""
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
