"""The artifact store in a directory: one file for each object, at ``root/<key>``.

Files are written in ``root/.lookstream/unfinished`` and then moved into place. The content type of
an object is stored in ``root/.lookstream/types`` if the key's suffix does not imply it. A key
cannot start with a dot, so no key names a file in ``root/.lookstream``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from storage.artifacts.keys import IRREPLACEABLE, safe_key, safe_prefix
from storage.artifacts.links import LinkSigner
from storage.artifacts.store import CHUNK, ArtifactInfo
from storage.errors import (
    ArtifactNotFound,
    InvalidKey,
    StorageFull,
    StoreUnavailable,
    is_disk_full,
)

ANY_TYPE = "application/octet-stream"
TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".json": "application/json"}
UNFINISHED_S = 86_400.0
MOVE_ATTEMPTS = 20


class DirectoryArtifacts:
    """An `ArtifactStore` in a local directory, shared by any number of processes.

    After ``put`` returns, an object survives a crash of the process. A submitted photo
    (`keys.IRREPLACEABLE`) also survives a crash of the machine: its file is synced before the move
    and its directory after it. See docs/adr/0005-what-is-synced.md.
    """

    def __init__(self, root: Path, signer: LinkSigner) -> None:
        self._root = root.absolute()
        self._own = self._root / ".lookstream"
        self._signer = signer
        self._delete_unfinished()

    def _delete_unfinished(self) -> None:
        """Delete the files that killed writers left more than a day ago."""
        limit = time.time() - UNFINISHED_S
        with contextlib.suppress(OSError):
            for left in (self._own / "unfinished").iterdir():
                if left.stat().st_mtime < limit:
                    left.unlink()

    def put(
        self, key: str, data: bytes | BinaryIO, *, content_type: str = ANY_TYPE
    ) -> ArtifactInfo:
        path = self._path(key)
        with _writing(key), self._unfinished() as unfinished:
            with unfinished.open("wb") as file:
                for chunk in (data,) if isinstance(data, bytes) else _read(data, None):
                    file.write(chunk)
                if key.startswith(IRREPLACEABLE):
                    file.flush()
                    os.fsync(file.fileno())
            self._move(unfinished, path, synced=key.startswith(IRREPLACEABLE))
            self._store_type(key, content_type)
            return self._info(key, path)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with _reading(key), self._path(key).open("rb") as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)

    def stream(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        chunks = self._chunks(key, offset, length)
        next(chunks)
        return chunks

    def stat(self, key: str) -> ArtifactInfo:
        path = self._path(key)
        with _reading(key):
            return self._info(key, path)

    def exists(self, key: str) -> bool:
        path = self._path(key)
        with _reading(key):
            return path.is_file()

    def copy(self, source: str, destination: str, *, content_type: str | None = None) -> None:
        """Make a hard link. No file is changed in place, so two keys can share one file."""
        target = self._path(destination)
        content_type = content_type or self.stat(source).content_type
        with _writing(destination), self._unfinished() as unfinished:
            unfinished.unlink()
            with _reading(source):
                _link_or_copy(self._path(source), unfinished)
            self._move(unfinished, target, synced=destination.startswith(IRREPLACEABLE))
            self._store_type(destination, content_type)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with contextlib.suppress(ArtifactNotFound), _reading(key):
            path.unlink()
            self._type_path(key).unlink(missing_ok=True)
            self._prune(path.parent)

    def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
        safe_prefix(prefix)
        keys: list[str] = []
        with _reading(prefix):
            base = prefix[: prefix.rfind("/") + 1]
            for key in _walk(self._root / base, base, prefix, after):
                if len(keys) == limit:
                    break
                keys.append(key)
        return keys

    def signed_link(
        self, key: str, *, expires_s: int, method: str = "GET", size: int | None = None
    ) -> str:
        return self._signer.sign(safe_key(key), expires_s=expires_s, method=method)

    def check(self) -> None:
        with _writing("."), self._unfinished() as unfinished:
            unfinished.write_bytes(b"writable")

    def _prune(self, directory: Path) -> None:
        """Remove empty directories, since their names may contain the hash of an erased content."""
        with contextlib.suppress(OSError):  # not empty, or another process removed it
            while directory != self._root:
                directory.rmdir()
                directory = directory.parent

    def _path(self, key: str) -> Path:
        return self._root / safe_key(key)

    def _type_path(self, key: str) -> Path:
        return self._own / "types" / hashlib.sha256(key.encode()).hexdigest()

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """Yield an empty temporary file; delete it at the end unless it was moved."""
        unfinished = self._own / "unfinished"
        try:
            unfinished.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=unfinished)
        except OSError as error:
            raise _failed(error) from error
        os.close(descriptor)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _move(self, unfinished: Path, path: Path, *, synced: bool) -> None:
        """Move a file into place; with ``synced``, also sync its directory.

        On a journalling file system, the sync also makes new parent directories durable. Measured
        with syncs: 200 small objects/s from one thread, 700/s from four. Without: 1,300/s from one.
        """
        _move_into(path, unfinished)
        if not synced:
            return
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _store_type(self, key: str, content_type: str) -> None:
        """Store the type if the suffix does not imply it. Not synced, since a default exists."""
        path = self._type_path(key)
        if content_type == TYPES.get(Path(key).suffix, ANY_TYPE):
            path.unlink(missing_ok=True)
            return
        with self._unfinished() as unfinished:
            unfinished.write_text(content_type, "utf-8")
            _move_into(path, unfinished)

    def _info(self, key: str, path: Path) -> ArtifactInfo:
        stat = path.stat()
        if path.is_dir():
            raise FileNotFoundError(key)
        try:
            content_type = self._type_path(key).read_text("utf-8")
        except FileNotFoundError:
            content_type = TYPES.get(path.suffix, ANY_TYPE)
        return ArtifactInfo(
            key=key,
            size=stat.st_size,
            etag=f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}",
            modified=datetime.fromtimestamp(stat.st_mtime, UTC),
            content_type=content_type or ANY_TYPE,
        )

    def _chunks(self, key: str, offset: int, length: int | None) -> Iterator[bytes]:
        """Open the file, yield once so that errors surface at once, then yield its chunks."""
        with _reading(key), self._path(key).open("rb") as file:
            file.seek(offset)
            yield b""
            yield from _read(file, length)


def _move_into(path: Path, unfinished: Path) -> None:
    """Move a file into place. Retry if another process removes the empty directory in between."""
    for left in reversed(range(MOVE_ATTEMPTS)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.replace(path)
        except (FileNotFoundError, FileExistsError):
            if not left:
                raise
        else:
            return


def _read(file: BinaryIO, length: int | None) -> Iterator[bytes]:
    left = length
    while left is None or left > 0:
        chunk = file.read(CHUNK if left is None else min(CHUNK, left))
        if not chunk:
            return
        left = None if left is None else left - len(chunk)
        yield chunk


def _walk(directory: Path, base: str, prefix: str, after: str) -> Iterator[str]:
    """Yield the keys below ``directory`` in order; skip directories without a wanted key."""
    try:
        with os.scandir(directory) as entries:
            found = [(e.name + "/" if e.is_dir() else e.name) for e in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(found):
        key = base + name
        if key == ".lookstream/":
            continue
        if not name.endswith("/"):
            if key.startswith(prefix) and key > after:
                yield key
        elif _may_hold(key, prefix, after):
            yield from _walk(directory / name, key, prefix, after)


def _may_hold(branch: str, prefix: str, after: str) -> bool:
    within = branch.startswith(prefix) or prefix.startswith(branch)
    return within and (branch > after or after.startswith(branch))


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # the file system has no hard links
        with source.open("rb") as origin, target.open("wb") as file:
            shutil.copyfileobj(origin, file, CHUNK)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ArtifactNotFound(f"there is no artifact {key}") from error
    except OSError as error:
        raise _failed(error) from error


@contextmanager
def _writing(key: str) -> Iterator[None]:
    try:
        yield
    except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        raise InvalidKey(f"{key} lies inside another artifact, or contains one") from error
    except OSError as error:
        raise _failed(error) from error


def _failed(error: OSError) -> StoreUnavailable:
    if is_disk_full(error):
        return StorageFull("the disk of the artifact directory is full")
    return StoreUnavailable(f"the artifact directory failed: {error.strerror}")
