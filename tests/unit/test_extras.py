"""Each extra of the server installs enough for its command."""

from __future__ import annotations

import subprocess
import sys

import pytest

GATEWAY_ONLY = ("fastapi", "starlette", "uvicorn", "jinja2", "python_multipart", "httptools")
WORKER_ONLY = (
    *("torch", "mediapipe", "cv2", "safetensors", "faust", "mode", "aiokafka", "cramjam"),
    "pillow_heif",
)
BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def run(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, ",".join(blocked)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("blocked", "modules"),
    [
        (WORKER_ONLY, "lookstream.cli, lookstream.supervisor.processes, gateway.server"),
        (WORKER_ONLY, "gateway.app, lookstream.wiring.gateway"),
        (GATEWAY_ONLY, "lookstream.cli, lookstream.supervisor.processes, agents.workers.worker"),
    ],
)
def test_a_process_needs_only_its_own_extra(blocked: tuple[str, ...], modules: str) -> None:
    """The gateway loads no package of `[worker]`, and a worker none of `[gateway]`."""
    ran = run(blocked, f"import {modules}")
    assert ran.returncode == 0, ran.stderr


def test_a_missing_extra_is_named() -> None:
    """A server command without its packages exits with 2 and names the extra."""
    code = "from lookstream_client.cli import command_line; command_line()(['vocabulary'])"
    ran = run(("safetensors",), code)
    assert ran.returncode == 2
    assert "pip install 'lookstream[all]'" in ran.stderr
    assert "Traceback" not in ran.stderr
