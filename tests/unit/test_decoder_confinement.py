"""What a worker tells about its decoders' confinement, and how it hides its own memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from agents.inputs import landlock
from agents.inputs.confinement import Confinement, supported
from agents.runtime.health import answer
from lookstream.errors import CannotStart
from lookstream.wiring.workers import check_sandbox

HIDDEN = """
import ctypes
from lookstream.supervisor.processes import hide_memory
hide_memory()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
"""


def test_an_old_kernel_is_recognised() -> None:
    def no_such_call(*_: object) -> int:
        return -1

    assert landlock.abi(no_such_call) == 0
    means = supported(lambda: landlock.abi(no_such_call), lambda: False)
    assert means == Confinement(0, False)
    assert means.missing == ["landlock", "seccomp"]
    assert supported(lambda: 0, lambda: True).missing == ["landlock"]
    assert supported(lambda: 7, lambda: True).missing == []


def test_health_tells_what_confines_decoders() -> None:
    facts = {"decoder_sandbox": {"landlock": 0, "seccomp": True}}
    status, _, body = answer("/health/ready", dict, CollectorRegistry(), facts)
    assert (status, json.loads(body)) == (200, {"status": "ready", "stages": {}, **facts})


def test_a_worker_that_requires_the_sandbox_does_not_start_without_it() -> None:
    check_sandbox([])
    with pytest.raises(CannotStart, match=r"LOOKSTREAM_SANDBOX_REQUIRED.*landlock"):
        check_sandbox(Confinement(0, True).missing)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl")
def test_processes_with_secrets_deny_others_their_memory() -> None:
    command = [sys.executable, "-W", "ignore", "-c", HIDDEN]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "0"
