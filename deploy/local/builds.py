"""The real servers' programs: fetched and built once, kept outside the checkout.

    ${XDG_CACHE_HOME:-~/.cache}/lookstream/servers/<name>-<hash of deploy/local/<name>/>

Kafka's jars come by Maven; MinIO and FerretDB are built by Go. Each goes through the toolchain's
own registry settings. A lock file keeps two builders apart, and an unfinished build is never used.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCES = Path(__file__).parent
NAMES = ("kafka", "minio", "ferretdb")


class ServerUnavailable(RuntimeError):
    """A server that cannot be had on this machine; the message says why."""


def built(name: str) -> Path:
    """Return the directory that holds the server's program, built if it is not there yet.

    Raises `ServerUnavailable` when a toolchain is missing or the build fails.
    """
    home = _cache() / f"{name}-{_fingerprint(SOURCES / name)}"
    if not home.is_dir():
        with _locked(home.with_name(home.name + ".lock")):
            if not home.is_dir():
                _build(BUILDERS[name], home)
    return home


def tool(name: str, *places: str) -> str:
    """Return the path of a toolchain's program, or raise `ServerUnavailable`."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise ServerUnavailable(f"{name} is not installed")
    return found


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lookstream" / "servers"


def _fingerprint(sources: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(builder: Callable[[Path], None], home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=home.name) as scratch:
        result = Path(scratch) / "result"
        result.mkdir()
        builder(result)
        result.rename(home)


def _kafka(result: Path) -> None:
    tool("java")
    pom = result / "pom.xml"
    shutil.copy(SOURCES / "kafka" / "pom.xml", pom)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={result / 'lib'}"]
    _run([tool("mvn"), "-q", "-B", "-f", str(pom), *goal], result)


def _minio(result: Path) -> None:
    _go(result, SOURCES / "minio", "github.com/minio/minio")


def _ferretdb(result: Path) -> None:
    _go(result, SOURCES / "ferretdb", ".")


def _go(result: Path, module: Path, package: str) -> None:
    go = tool("go", "/usr/local/go/bin", "/usr/lib/go/bin")
    output = str(result / module.name)
    _run([go, "build", "-trimpath", "-ldflags=-s -w", "-o", output, package], module)


def _run(command: list[str], directory: Path) -> None:
    polite = ["nice"] if shutil.which("nice") else []
    done = subprocess.run(  # noqa: S603  (a toolchain, with arguments of ours)
        [*polite, *command], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr + done.stdout).strip()[-2000:]
        raise ServerUnavailable(f"{Path(command[0]).name} failed in {directory.name}:\n{said}")


BUILDERS: dict[str, Callable[[Path], None]] = {
    "kafka": _kafka,
    "minio": _minio,
    "ferretdb": _ferretdb,
}
