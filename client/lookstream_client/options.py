"""The arguments of the client's methods: options, filters, photos. All functions are pure, except
those that read the file system (`local`, `expand`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".webp", ".avif", ".heic", ".heif",
     ".hif"}
)  # fmt: skip
MAC_FOLDER, MAC_FILE = "__MACOSX", "._"
"""Archives made by macOS contain this folder, and files with this prefix. The files have the
suffixes of photos, but contain no photos."""
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
    """Which jobs are listed. ``text`` searches captions and file names. ``needs_review`` selects by
    the caption's mark; jobs without a caption match neither True nor False. ``since`` and
    ``until`` are compared with the time of the submission."""

    status: str | Sequence[str]
    group: str | None
    type: str | None
    colour: str | None
    label: str | None
    text: str | None
    needs_review: bool | None
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
        (name, _parameter(value))
        for name, values in named.items()
        if _is_set(values) or values is False
        for value in _all(values)
    ]


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


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
    """A local photo that is sent with the request; ``filename`` is empty for bytes."""

    content: bytes
    sha256: str
    filename: str = ""


@dataclass(frozen=True)
class StreamedPhoto:
    """A local photo that is sent to the store; a path is streamed."""

    content: bytes | Path
    sha256: str
    filename: str = ""


def is_url(photo: Photo) -> bool:
    """Tell whether ``photo`` is a URL: a string that contains ``://``."""
    return isinstance(photo, str) and "://" in photo


def name_of(photo: Photo) -> str:
    """Return the name of a photo in reports."""
    return f"{len(photo)} bytes" if isinstance(photo, bytes) else str(photo)


def local(photo: Photo) -> InlinePhoto | StreamedPhoto:
    """Read a photo; for a large file, only compute the hash. Raises `PhotoNotFound`."""
    if isinstance(photo, bytes):
        return _sized(photo)
    path = Path(photo)
    try:
        if path.stat().st_size <= LARGE:
            return _sized(path.read_bytes(), path.name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return StreamedPhoto(path, digest, path.name)
    except OSError as error:
        raise PhotoNotFound(f"{path}: {error.strerror}") from None


def _sized(content: bytes, filename: str = "") -> InlinePhoto | StreamedPhoto:
    kind = StreamedPhoto if len(content) > LARGE else InlinePhoto
    return kind(content, hashlib.sha256(content).hexdigest(), filename)


def key_of(identity: str, options: Mapping[str, Any]) -> str:
    """Return the idempotency key of a photo with these options.

    ``identity`` is the photo's hash or URL. Two runs of a script compute the same key, so the
    gateway returns the first run's job to the second run.
    """
    with encoding():
        text = json.dumps({"photo": identity, **given(options)}, sort_keys=True, ensure_ascii=False)
        return "photo-" + hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Selection:
    """The photos that were found, and the other files of the directories, each with a reason."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def expand(photos: Photo | Iterable[Photo]) -> list[Photo]:
    """Return all photos in order: paths of files, URLs and bytes. See `select`."""
    return select(photos).photos


def select(photos: Photo | Iterable[Photo]) -> Selection:
    """Return all photos in order, and the files that were skipped.

    Directories are searched for image suffixes, sorted by name, without hidden files and the files
    that macOS adds to archives. A file that is named directly may have any suffix. A pattern
    (``shirts/**/*.jpg``) stands for the files that match. Raises `PhotoNotFound`.
    """
    found = Selection()
    for each in [photos] if isinstance(photos, str | bytes | Path) else photos:
        _add(each, found)
    return found


def listed(lines: Iterable[str]) -> list[str]:
    """Return the names in a list with one name per line, without empty lines and comments
    (``#``)."""
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _add(photo: Photo, found: Selection) -> None:
    if isinstance(photo, bytes) or is_url(photo):
        found.photos.append(photo)
        return
    path = Path(photo)
    if path.is_dir():
        _add_directory(path, found)
    elif path.is_file():
        found.photos.append(path)
    elif WILD.intersection(str(photo)):
        found.photos.extend(_matching(str(photo)))
    else:
        raise PhotoNotFound(f"{photo}: no such file or directory")


def _add_directory(folder: Path, found: Selection) -> None:
    before = len(found.photos)
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if reason := _reason_to_skip(path.relative_to(folder)):
            found.skipped.append((path, reason))
        else:
            found.photos.append(path)
    if len(found.photos) == before:
        raise PhotoNotFound(f"{folder}: no photo in this directory")


def _reason_to_skip(path: Path) -> str:
    """Return why a file of a directory is no photo to submit; empty if it is one."""
    if MAC_FOLDER in path.parts or path.name.startswith(MAC_FILE):
        return "added by macOS"
    if any(part.startswith(".") for part in path.parts):
        return "hidden"
    return "" if path.suffix.lower() in SUFFIXES else f"no photo ({path.suffix or 'no suffix'})"


def _matching(pattern: str) -> list[Photo]:
    # A shell expands patterns. In quotes, in a list file or on Windows, this function does.
    names = glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(path for path in map(Path, names) if path.is_file())
    if not found:
        raise PhotoNotFound(f"{pattern}: no file matches")
    return list(found)
