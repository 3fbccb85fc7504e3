"""The seccomp filter: its numbers are the kernel's, and its program allows only what it lists."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from agents.inputs import seccomp

ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {"x86_64": seccomp.X86_64, "aarch64": seccomp.AARCH64}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def run(program: bytes, number: int, architecture: int, argument: int = 0) -> int:
    """Run the filter as the kernel would; return its answer."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    steps, at, value = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x15:
            at += yes if value == operand else no
        else:
            return int(operand)


@pytest.mark.parametrize("machine", NUMBERS)
@pytest.mark.parametrize("files", [False, True])
def test_only_the_listed_calls_are_allowed(machine: str, files: bool) -> None:
    program, numbers = seccomp.program(machine, files=files), NUMBERS[machine]
    allowed = {n for n in range(600) if run(program, n, ARCHITECTURES[machine]) == ALLOW}
    assert {numbers[name] for name in seccomp.ALLOWED if name in numbers} <= allowed
    assert (numbers["openat"] in allowed) is files
    assert len(program) // 8 < 4096, "the kernel's limit"
    forbidden = {numbers[name] for name in ("clone", "clone3", "ioctl")}
    assert not forbidden & allowed


@pytest.mark.parametrize("machine", NUMBERS)
def test_a_thread_may_start_and_a_process_may_not(machine: str) -> None:
    program, clone = seccomp.program(machine, files=True), NUMBERS[machine]["clone"]
    architecture = ARCHITECTURES[machine]
    assert run(program, clone, architecture, 0x3D0F00) == ALLOW
    for flags in (0, 17, 0x1200011, 0x3D0F00 | 0x10000000):
        assert run(program, clone, architecture, flags) == FAIL | errno.EPERM
    assert run(program, NUMBERS[machine]["clone3"], architecture) == FAIL | errno.ENOSYS
    assert run(program, 0, 0x40000003) == KILL, "32-bit calls have other numbers"


@pytest.mark.parametrize("machine", NUMBERS)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    kernel = {name: int(number) for name, number in found}
    kernel.setdefault("newfstatat", kernel.get("fstatat", -1))
    assert {name: kernel.get(name) for name in NUMBERS[machine]} == dict(NUMBERS[machine])
