"""A seccomp filter for the child process: a list of allowed system calls for two architectures.

The filter is classic BPF and is installed with ``prctl``, so no library has to be present. A system
call that is not in the list fails with EPERM (a few fail with another errno, see `_ERRNO`). A call
from another architecture ends the process. The numbers are those of Linux's ``unistd.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping

_READS_AND_WRITES = (
    "read", "write", "close", "fstat", "lseek", "pread64", "readv", "writev",
    "sendto", "recvfrom", "shutdown", "getsockname", "getsockopt", "ppoll", "poll",
)  # fmt: skip
_MEMORY = ("mmap", "mprotect", "munmap", "mremap", "madvise", "brk", "membarrier")
_TIME = (
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "setitimer",
    "getrusage", "sched_yield", "sched_getaffinity",
)  # fmt: skip
_PROCESS = (
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "futex", "rseq",
    "restart_syscall", "set_robust_list", "getpid", "gettid", "getuid", "geteuid", "getgid",
    "getegid", "getrandom", "sysinfo", "uname", "exit", "exit_group",
)  # fmt: skip
_FILES = ("openat", "open", "newfstatat", "stat", "statx", "getdents64", "readlink", "readlinkat",
          "getcwd")  # fmt: skip
"""Allowed only under Landlock, which limits the calls to the interpreter's own files."""

ALLOWED = (*_READS_AND_WRITES, *_MEMORY, *_TIME, *_PROCESS)

_ERRNO = {"clone3": errno.ENOSYS, "ioctl": errno.ENOTTY}
"""Denied with an errno that the C library and Python's ``open`` handle."""
_THREAD_FLAGS = (0x3D0F00, 0x7D0F00)
"""The flags of ``clone`` with which glibc and musl start a thread. The HEIF decoder needs one.
With any other flags ``clone`` fails, so the process cannot start a process."""

X86_64 = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "poll": 7, "lseek": 8,
    "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14,
    "rt_sigreturn": 15, "ioctl": 16, "pread64": 17, "readv": 19, "writev": 20, "sched_yield": 24,
    "mremap": 25, "madvise": 28, "nanosleep": 35, "setitimer": 38, "getpid": 39, "sendto": 44,
    "recvfrom": 45, "shutdown": 48, "getsockname": 51, "getsockopt": 55, "clone": 56, "exit": 60,
    "uname": 63, "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99,
    "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "sigaltstack": 131,
    "gettid": 186, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
    "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
    "exit_group": 231, "openat": 257, "newfstatat": 262, "readlinkat": 267, "ppoll": 271,
    "set_robust_list": 273, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334,
    "clone3": 435,
}  # fmt: skip
AARCH64 = {
    "getcwd": 17, "ioctl": 29, "openat": 56, "close": 57, "getdents64": 61, "lseek": 62,
    "read": 63, "write": 64, "readv": 65, "writev": 66, "pread64": 67, "ppoll": 73,
    "readlinkat": 78, "newfstatat": 79, "fstat": 80, "exit": 93, "exit_group": 94, "futex": 98,
    "set_robust_list": 99, "nanosleep": 101, "setitimer": 103, "clock_gettime": 113,
    "clock_getres": 114, "clock_nanosleep": 115, "sched_getaffinity": 123, "sched_yield": 124,
    "restart_syscall": 128, "sigaltstack": 132, "rt_sigaction": 134, "rt_sigprocmask": 135,
    "rt_sigreturn": 139, "uname": 160, "getrusage": 165, "gettimeofday": 169, "getpid": 172,
    "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177, "gettid": 178, "sysinfo": 179,
    "getsockname": 204, "sendto": 206, "recvfrom": 207, "getsockopt": 209, "shutdown": 210,
    "brk": 214, "munmap": 215, "mremap": 216, "clone": 220, "mmap": 222, "mprotect": 226,
    "madvise": 233, "getrandom": 278, "membarrier": 283, "statx": 291, "rseq": 293, "clone3": 435,
}  # fmt: skip

_ARCHITECTURES: Mapping[str, tuple[int, Mapping[str, int]]] = {
    "x86_64": (0xC000003E, X86_64),
    "aarch64": (0xC00000B7, AARCH64),
}
"""``platform.machine()`` → the kernel's AUDIT_ARCH constant and the numbers of the calls."""

_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET
_KILL, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000  # SECCOMP_RET_…
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # offsets in struct seccomp_data
_PR_GET_SECCOMP, _PR_SET_SECCOMP, _MODE_FILTER = 21, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def available() -> bool:
    """Tell whether the kernel accepts seccomp filters and this architecture is known.

    Installs nothing: a kernel with filters answers EFAULT to a filter at address 0.
    """
    if platform.machine() not in _ARCHITECTURES:
        return False
    return _set_filter(None) == errno.EFAULT


def program(machine: str, *, files: bool) -> bytes:
    """Return the BPF program for an architecture, such as ``x86_64``. With ``files``, the program
    also allows opening files and listing folders."""
    architecture, numbers = _ARCHITECTURES[machine]
    names = (*ALLOWED, *_FILES) if files else ALLOWED
    answers = [(numbers[name], _ALLOW) for name in names if name in numbers]
    answers += [(numbers[name], _FAIL | number) for name, number in _ERRNO.items()]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    steps += [(_LOAD, 0, 0, _NUMBER_AT)]
    for number, answer in answers:
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    steps += [(_EQUAL, 1, 0, numbers["clone"]), (_RETURN, 0, 0, _FAIL | errno.EPERM)]
    steps += [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT)]
    for flags in _THREAD_FLAGS:
        steps += [(_EQUAL, 0, 1, flags), (_RETURN, 0, 0, _ALLOW)]
    steps += [(_RETURN, 0, 0, _FAIL | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def install(*, files: bool) -> None:
    """Install the filter for this process for good. Needs no_new_privs. Raises `OSError`."""
    code = program(platform.machine(), files=files)
    filter_ = _Program(len(code) // 8, code)
    if error := _set_filter(ctypes.byref(filter_)):
        raise OSError(error, "seccomp: " + os.strerror(error))


def _set_filter(filter_: object) -> int:
    """Return 0 or the errno."""
    libc, zero = ctypes.CDLL(None, use_errno=True), ctypes.c_ulong(0)
    failed = libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), filter_, zero, zero)
    return ctypes.get_errno() if failed else 0
