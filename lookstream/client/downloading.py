"""All artifacts of a job as files of telling names."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from lookstream.client.asking import Gateway
from lookstream.client.exchange import Flow, Request, Work
from lookstream.client.reading import job
from lookstream.client.results import Job

SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".heic"}


@dataclass(frozen=True)
class Artifact:
    """A file to be, and where its bytes are."""

    name: str
    url: str


def artifacts(found: Job) -> list[Artifact]:
    """Return what there is to download, each under a name of its own.

    Shots are called by their label (``neck.jpg``), the rest by what it is: ``original.jpg``,
    ``annotated.jpg``, ``cutout.png``, ``thumbnail-96x128.jpg``.
    """
    names: Counter[str] = Counter()
    named = []
    for stem, suffix, url in _pictures(found):
        stem = re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "artifact"
        names[stem + suffix] += 1
        again = names[stem + suffix]
        named.append(Artifact(f"{stem}-{again}{suffix}" if again > 1 else stem + suffix, url))
    return named


def download(gateway: Gateway, job_id: str, folder: Path) -> Flow[list[Path]]:
    """Fetch a job's artifacts into a folder, and ``job.json`` with them; return the files.

    A file is there as a whole or not at all.
    """
    found = yield from job(gateway, job_id)
    yield Work(partial(folder.mkdir, parents=True, exist_ok=True))
    written = []
    for artifact in artifacts(found):
        target = folder / artifact.name
        yield from _fetched(gateway, artifact.url, target)
        written.append(target)
    described = folder / "job.json"
    yield Work(partial(_write, described, json.dumps(found.raw, indent=2, ensure_ascii=False)))
    return [*written, described]


def _fetched(gateway: Gateway, url: str, target: Path) -> Flow[None]:
    part = _beside(target)
    try:
        yield from gateway.ask(Request("GET", url, into=part))
        yield Work(partial(part.replace, target))
    finally:
        part.unlink(missing_ok=True)


def _write(target: Path, text: str) -> None:
    part = _beside(target)
    try:
        part.write_text(text)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")


def _pictures(found: Job) -> Iterator[tuple[str, str, str]]:
    """Yield stem, suffix and address of each artifact."""
    if original := found.original:
        suffix = SUFFIXES.get(original.format, f".{original.format.lower()}")
        yield "original", suffix, original.url
    for name, picture in (("annotated", found.annotated), ("cutout", found.cutout)):
        if picture:
            yield name, _suffix(picture.url), picture.url
    for shot in found.shots:
        yield shot.label, _suffix(shot.url), shot.url
    for thumbnail in found.thumbnails:
        stem = f"thumbnail-{thumbnail.width}x{thumbnail.height}"
        yield stem, _suffix(thumbnail.url), thumbnail.url


def _suffix(url: str) -> str:
    return Path(urlsplit(url).path).suffix or ".jpg"
