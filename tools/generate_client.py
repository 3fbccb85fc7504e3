"""Generate `lookstream_client.client` from `lookstream_client.async_client`.

python tools/generate_client.py            # write the file
python tools/generate_client.py --check    # exit with 1 if the file is not current
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

PACKAGE = Path(__file__).parents[1] / "client" / "lookstream_client"
TARGET = PACKAGE / "client.py"
NAMES = {
    "AsyncClient": "Client",
    "AsyncBatchSubmitter": "BatchSubmitter",
    "AsyncTransport": "Transport",
    "async_in_thread": "in_thread",
    "async_sleep": "sleep",
    "asynccontextmanager": "contextmanager",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aread": "read",
}
DOC = '"""The client for programs that wait for each answer, and for threads.'
HEAD = f"{DOC}\n\nGenerated from async_client.py by tools/generate_client.py. Do not edit.\n"


def generated() -> str:
    """Return the text of the synchronous client."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "async", Path(folder) / "sync"
        source.mkdir()
        (source / "client.py").write_text((PACKAGE / "async_client.py").read_text())
        rule = unasync.Rule(str(source), str(target), additional_replacements=NAMES)
        unasync.unasync_files([str(source / "client.py")], [rule])
        body = (target / "client.py").read_text().split('"""', 2)[2]
    # With the path of the real file, ruff sorts the imports as in the package.
    made = f'{HEAD}"""{body}'
    for command in (["check", "--fix", "--quiet", "--select", "I"], ["format", "--quiet"]):
        made = subprocess.run(  # noqa: S603 - our own tool
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=made,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return made


def main() -> int:
    """Write or check the file; return the exit status."""
    target, text = TARGET, generated()
    if "--check" in sys.argv:
        current = target.exists() and target.read_text() == text
        if not current:
            print("client.py is not current: run `make client`", file=sys.stderr)
        return 0 if current else 1
    target.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
