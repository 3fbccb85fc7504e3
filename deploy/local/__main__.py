"""Start the real servers: ``python -m deploy.local up``.

    python -m deploy.local build [NAME …]           fetch and build, so that `up` starts quickly
    python -m deploy.local up [--data DIR] [NAME …] run until Ctrl-C or SIGTERM

`up` prints ``export LOOKSTREAM_TEST_…=URL`` for each server when the server is ready. Without
``--data`` the data is deleted at the end. Names: kafka, minio, ferretdb (default: all). Without
names, `build` also builds the tools that check the deployment.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from deploy.local.builds import NAMES, TOOLS, ServerUnavailable, built
from deploy.local.servers import FerretDB, Kafka, Minio

KINDS = {kind.name: kind for kind in (Kafka, Minio, FerretDB)}
VARIABLES = {"kafka": "KAFKA", "minio": "ARTIFACTS", "ferretdb": "JOBS"}


def main() -> int:
    arguments = _arguments()
    names = arguments.names or (NAMES if arguments.command == "up" else NAMES + TOOLS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if arguments.command == "build":
            for name in names:
                print(f"{name}: {built(name)}", flush=True)
        else:
            _up(names, arguments.data)
    except ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _up(names: Sequence[str], data: Path | None) -> None:
    with ExitStack() as stack:
        root = data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in names:
            server = KINDS[name]()
            stack.callback(server.stop)
            url = server.start(root.absolute() / name)
            if name == "minio":
                url = url.replace("/?", "/lookstream?")
            print(f"export LOOKSTREAM_TEST_{VARIABLES[name]}='{url}'", flush=True)
        signal.pause()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=("build", "up"))
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME")
    parser.add_argument("--data", type=Path, help="keep the servers' data in this directory")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
