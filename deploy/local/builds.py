"""Build the servers and the tools that check the deployment, once, outside the repository.

    ${XDG_CACHE_HOME:-~/.cache}/lookstream/servers/<name>-<hash of deploy/local/<name>/>

Maven fetches Kafka's jars; Go builds everything else. Both use their own registry settings. A lock
file prevents two builds at once, and an unfinished build is never used.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCES = Path(__file__).parent
NAMES = ("kafka", "minio", "ferretdb")
TOOLS = ("mc", "compose", "kustomize", "keda", "oasdiff")
"""MinIO's client, the parser of Compose files, Kustomize, KEDA's resource definitions, and the
comparison of two OpenAPI documents."""


class ServerUnavailable(RuntimeError):
    """A server cannot run on this machine; the message gives the reason."""


def built(name: str) -> Path:
    """Return the directory with the server's program; build the program if it is missing.

    Raises `ServerUnavailable` if a toolchain is missing or the build fails.
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
    for path in sorted(sources.rglob("*")):
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


def _go(name: str, package: str) -> Callable[[Path], None]:
    """Return a builder; the Go module in ``deploy/local/<name>/`` pins the version."""

    def build(result: Path) -> None:
        command = [_go_tool(), "build", "-trimpath", "-ldflags=-s -w"]
        _run([*command, "-o", str(result / name), package], SOURCES / name)

    return build


def _ferretdb(result: Path) -> None:
    """Build FerretDB with a patched SQLite backend: see `ferretdb/sqlite/by_id.go`."""
    source = result / "source"
    shutil.copytree(SOURCES / "ferretdb", source)
    _run([_go_tool(), "mod", "vendor"], source)
    backend = source / "vendor/github.com/FerretDB/FerretDB/internal/backends/sqlite"
    (source / "sqlite" / "by_id.go").rename(backend / "by_id.go")
    collection = backend / "collection.go"
    collection.write_text(_patched(collection.read_text()))
    command = [_go_tool(), "build", "-trimpath", "-ldflags=-s -w", "-mod=vendor"]
    _run([*command, "-o", str(result / "ferretdb"), "."], source)
    shutil.rmtree(source)


def _patched(collection: str) -> str:
    condition = "\tvar whereClause string\n\tvar args []any\n"
    queries, found, explains = collection.partition(condition)
    if not found:
        raise ServerUnavailable("the patch does not fit this version of FerretDB")
    patched = f"{queries}\twhereClause, args := byID(params.Filter)\n{explains}"
    return patched.replace("metadata.IDColumn", "indexed")


def _keda(result: Path) -> None:
    """Fetch KEDA's module and copy its resource definitions; nothing is built."""
    module = "github.com/kedacore/keda/v2"
    pinned = (SOURCES / "keda" / "go.mod").read_text().partition(module)[2].split()[0]
    module_json = _run(
        [_go_tool(), "mod", "download", "-json", f"{module}@{pinned}"], SOURCES / "keda"
    )
    definitions = Path(json.loads(module_json)["Dir"]) / "config" / "crd" / "bases"
    for definition in definitions.glob("keda.sh_*.yaml"):
        shutil.copyfile(definition, result / definition.name)


def _go_tool() -> str:
    return tool("go", "/usr/local/go/bin", "/usr/lib/go/bin")


def _run(command: list[str], directory: Path) -> str:
    nice = ["nice"] if shutil.which("nice") else []
    done = subprocess.run(  # noqa: S603  (a toolchain, with our own arguments)
        [*nice, *command], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = (done.stderr + done.stdout).strip()[-2000:]
        raise ServerUnavailable(f"{Path(command[0]).name} failed in {directory.name}:\n{output}")
    return done.stdout


BUILDERS: dict[str, Callable[[Path], None]] = {
    "kafka": _kafka,
    "minio": _go("minio", "github.com/minio/minio"),
    "ferretdb": _ferretdb,
    "mc": _go("mc", "github.com/minio/mc"),
    "compose": _go("compose", "."),
    "kustomize": _go("kustomize", "sigs.k8s.io/kustomize/kustomize/v5"),
    "keda": _keda,
    "oasdiff": _go("oasdiff", "github.com/oasdiff/oasdiff"),
}
