"""The arguments of the client's methods: options, filters, photos. All functions are pure, except
those that read the file system (`local`, `expand`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from glob import glob
from pathlib import Path
from typing import Any, Literal, TypedDict

from lookstream_client.errors import PhotoNotFound, encoding

DEFAULT_GATEWAY = "http://127.0.0.1:8000"

Photo = str | Path | bytes
"""A string that contains ``://`` is a URL; any other string is a path."""

LARGE = 5_000_000
"""Photos above this size, in bytes, go directly to the store with a presigned upload."""

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".heic", ".heif"})
WILD = frozenset("*?[")


class SubmitOptions(TypedDict, total=False):
    """How a photo is processed."""

    stages: Sequence[str]
    """Run only these stages and the stages they need; empty means all."""
    force: bool
    """Compute results again that are known for the same content."""
    group: str | None
    metadata: Mapping[str, Any] | None
    lane: Literal["interactive", "bulk"] | None


class RerunOptions(TypedDict, total=False):
    """How a job is processed again."""

    stages: Sequence[str]
    force: bool


class Filters(TypedDict, total=False):
    """Which jobs are listed. ``text`` searches captions; times are those of the submission."""

    status: str | Sequence[str]
    group: str | None
    type: str | None
    colour: str | None
    label: str | None
    text: str | None
    since: datetime | None
    until: datetime | None


class ReplayOptions(TypedDict, total=False):
    """Which events of a topic are published again, and how."""

    since: datetime | None
    until: datetime | None
    job_ids: Sequence[str]
    match: Mapping[str, Any]
    stages: Sequence[str]
    rate: float | None
    force: bool
    dry_run: bool


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that have a value, as a JSON body."""
    return {name: _plain(value) for name, value in options.items() if _is_set(value)}


def form_fields(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the options as form fields: lists separated by commas, objects as JSON."""
    return {name: _text(value) for name, value in given(options).items()}


def query(filters: Filters) -> list[tuple[str, str]]:
    """Return the filters as query parameters. A status may be repeated."""
    named = {"q" if name == "text" else name: value for name, value in filters.items()}
    return [
        (name, value.isoformat() if isinstance(value, datetime) else str(value))
        for name, values in named.items()
        if _is_set(values)
        for value in _all(values)
    ]


def replay_body(topic: str, options: ReplayOptions) -> dict[str, Any]:
    """Return the body of `POST /v1/replays`, which names the times ``from`` and ``to``."""
    names = {"since": "from", "until": "to"}
    return {"topic": topic, **{names.get(name, name): v for name, v in given(options).items()}}


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", (), [], {})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(value)
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _all(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


@dataclass(frozen=True)
class InlinePhoto:
    """A local photo that is sent with the request."""

    content: bytes
    sha256: str


@dataclass(frozen=True)
class StreamedPhoto:
    """A local photo that is sent to the store; a path is streamed."""

    content: bytes | Path
    sha256: str


def is_url(photo: Photo) -> bool:
    """Tell a URL from a path."""
    return isinstance(photo, str) and "://" in photo


def name_of(photo: Photo) -> str:
    """Return the name of a photo in reports."""
    return f"{len(photo)} bytes" if isinstance(photo, bytes) else str(photo)


def local(photo: Photo) -> InlinePhoto | StreamedPhoto:
    """Read a photo; of a large file, read only the hash. Raises `PhotoNotFound`."""
    if isinstance(photo, bytes):
        return _sized(photo)
    path = Path(photo)
    try:
        if path.stat().st_size <= LARGE:
            return _sized(path.read_bytes())
        with path.open("rb") as file:
            return StreamedPhoto(path, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise PhotoNotFound(f"{path}: {error.strerror}") from None


def _sized(content: bytes) -> InlinePhoto | StreamedPhoto:
    kind = StreamedPhoto if len(content) > LARGE else InlinePhoto
    return kind(content, hashlib.sha256(content).hexdigest())


def key_of(identity: str, options: Mapping[str, Any]) -> str:
    """Return the idempotency key of a photo with these options.

    ``identity`` is the photo's hash or URL. Two runs of a script compute the same key, so the
    gateway returns the first run's job to the second run.
    """
    with encoding():
        text = json.dumps({"photo": identity, **given(options)}, sort_keys=True, ensure_ascii=False)
        return "photo-" + hashlib.sha256(text.encode()).hexdigest()


def expand(photos: Photo | Iterable[Photo]) -> list[Photo]:
    """Return all photos in order: paths of files, URLs and bytes.

    Directories are searched for image suffixes, sorted by name. A file that is named directly may
    have any suffix. A pattern (``shirts/**/*.jpg``) stands for the files that match. Raises
    `PhotoNotFound`.
    """
    named = [photos] if isinstance(photos, str | bytes | Path) else photos
    return [photo for each in named for photo in _photos(each)]


def listed(lines: Iterable[str]) -> list[str]:
    """Return the names in a list with one name per line, without empty lines and comments
    (``#``)."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _photos(photo: Photo) -> list[Photo]:
    if isinstance(photo, bytes) or is_url(photo):
        return [photo]
    path = Path(photo)
    if path.is_dir():
        return _within(path)
    if path.is_file():
        return [path]
    if WILD.intersection(str(photo)):
        return _matching(str(photo))
    raise PhotoNotFound(f"{photo}: no such file or directory")


def _within(folder: Path) -> list[Photo]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise PhotoNotFound(f"{folder}: no photo in this directory")
    return list(found)


def _matching(pattern: str) -> list[Photo]:
    # A shell expands patterns. In quotes, in a list file or on Windows, this function does.
    names = glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(path for path in map(Path, names) if path.is_file())
    if not found:
        raise PhotoNotFound(f"{pattern}: no file matches")
    return list(found)
