"""The files beside a job file: private to their owner, with space kept for deletions."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

RESERVE_BYTES = 1_048_576


def make_private(path: Path) -> None:
    """Give the job file mode 0600; create the file, and its directory with mode 0700, if missing.

    An existing directory keeps its mode, because it may hold other files. SQLite creates the files
    beside the job file with the mode of the job file.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Never open an existing job file: closing a descriptor drops all POSIX locks of this process on
    # the file. Another process would then delete the write-ahead log that this process writes to.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        with contextlib.suppress(FileNotFoundError, PermissionError):
            each.chmod(0o600)


class Reserve:
    """A file that keeps disk space, so that jobs can be deleted on a full disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self) -> None:
        """Create the file if it is missing; do nothing on a full disk."""
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            except OSError:
                self._path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)

    def release(self) -> bool:
        """Delete the file; return False if that is not possible, such as when it is missing."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
