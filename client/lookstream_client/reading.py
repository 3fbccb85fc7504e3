"""Operations on existing jobs: read, wait, list, follow, download, delete, run again, replay."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from urllib.parse import quote, urlsplit

from lookstream_client import models
from lookstream_client.errors import GatewayBusy, LookstreamError, WaitTimedOut
from lookstream_client.http import Answer, Flow, Gateway, Pause, Request, Work, checked
from lookstream_client.models import (
    FINAL,
    Info,
    Job,
    JobEvent,
    Page,
    Prediction,
    Replay,
    Rerun,
    Similar,
)
from lookstream_client.options import (
    Filters,
    ReplayOptions,
    RerunOptions,
    given,
    query,
    replay_body,
)

LONGEST_WAIT_S = 60.0
LONG_POLL_S = 30.0
PREDICTED_WITHIN_S = 35.0
PAGE = 200
SIMILAR = 12
ORIGINAL = "original"
UNTOUCHED = "untouched"
SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".heic"}
HTTP_NO_CONTENT = 204
SILENCE_S = 45.0
"""The gateway sends a heartbeat every 15 s. A connection without data for this time is broken."""
REMEMBERED = 10_000
"""The number of jobs whose last version is remembered, to drop repeated events."""


def job(gateway: Gateway, job_id: str, *, wait_s: float = 0.0) -> Flow[Job]:
    """Read a job. With ``wait_s``, first wait until the job has finished, at most ``wait_s`` and at
    most 60 seconds."""
    wait = min(wait_s, LONGEST_WAIT_S)
    asked = Request("GET", _path(job_id), params=[("wait", f"{wait:g}")], extra_wait_s=wait)
    return models.job((yield from gateway.document(asked)))


def wait(
    gateway: Gateway, job_id: str, *, timeout_s: float | None = None, poll_s: float = LONG_POLL_S
) -> Flow[Job]:
    """Read a job once it has finished. Raises `WaitTimedOut`."""
    deadline = None if timeout_s is None else monotonic() + timeout_s
    while True:
        left = poll_s if deadline is None else min(poll_s, deadline - monotonic())
        found = yield from job(gateway, job_id, wait_s=max(left, 0.0))
        if found.finished:
            return found
        if deadline is not None and monotonic() >= deadline:
            raise WaitTimedOut(f"{job_id} is {found.status} after {timeout_s:g} s")


def page(
    gateway: Gateway,
    filters: Filters,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
    counts: bool = False,
) -> Flow[Page]:
    """Read one page of jobs, newest first."""
    params = [*query(filters), ("limit", str(limit))]
    if cursor is not None:
        params.append(("cursor", cursor))
    if counts:
        params.append(("counts", "true"))
    return models.page((yield from gateway.document(Request("GET", "/v1/jobs", params=params))))


def similar(
    gateway: Gateway, job_id: str, *, limit: int = SIMILAR, group: str | None = None
) -> Flow[list[Similar]]:
    """Read the jobs with the most similar photos, best first."""
    params = [("limit", str(limit)), *([("group", group)] if group else [])]
    request = Request("GET", f"{_path(job_id)}/similar", params=params)
    return models.similar((yield from gateway.document(request)))


def delete(gateway: Gateway, job_id: str) -> Flow[None]:
    """Delete a job. Its artifacts stay if another job has the same content."""
    yield from gateway.ask(Request("DELETE", _path(job_id)))


def rerun(gateway: Gateway, job_id: str, options: RerunOptions) -> Flow[Rerun]:
    """Process a job again."""
    request = Request("POST", f"{_path(job_id)}/runs", json=given(options), repeatable=False)
    return models.rerun((yield from gateway.document(request)))


def predict(gateway: Gateway, url: str) -> Flow[Prediction]:
    """Classify the picture at a URL."""
    request = Request(
        "POST",
        "/v1/predict",
        json={"url": url},
        extra_wait_s=PREDICTED_WITHIN_S,
        repeatable=False,
    )
    return models.prediction((yield from gateway.document(request)))


def replay(gateway: Gateway, topic: str, options: ReplayOptions) -> Flow[Replay]:
    """Start to publish the events of a topic again."""
    body = replay_body(topic, options)
    request = Request("POST", "/v1/replays", json=body, repeatable=False)
    return models.replay((yield from gateway.document(request)))


def replay_now(gateway: Gateway, replay_id: str) -> Flow[Replay]:
    """Read the status of a replay."""
    request = Request("GET", f"/v1/replays/{quote(replay_id, safe='', errors='replace')}")
    return models.replay((yield from gateway.document(request)))


def info(gateway: Gateway) -> Flow[Info]:
    """Read the addresses of the running system."""
    return models.info((yield from gateway.document(Request("GET", "/v1/info"))))


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='', errors='replace')}"


# --- Downloading artifacts --------------------------------------------------------------------


@dataclass(frozen=True)
class Artifact:
    """A file to download: its name and its URL."""

    name: str
    url: str


def artifacts(found: Job, *, untouched: bool = False) -> list[Artifact]:
    """Return the artifacts of a job, each with a different name; with ``untouched``, also the
    submitted file.

    A shot is named after its label (``neck.jpg``). The others are ``annotated.jpg``,
    ``cutout.png``, ``thumbnail-96x128.jpg``, and ``original`` and ``untouched`` with the suffix of
    their format. If the photo had a file name, the names start with that name:
    ``shirt-front.jpg`` (the original), ``shirt-front-neck.jpg``.
    """
    named_as = Path(found.filename).stem if found.filename else ""
    names: Counter[str] = Counter()
    named = []
    for stem, suffix, url in [*_pictures(found), *(_untouched(found) if untouched else ())]:
        if named_as:
            stem = named_as if stem == ORIGINAL else f"{named_as}-{stem}"
        stem = re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "artifact"
        names[stem + suffix] += 1
        again = names[stem + suffix]
        named.append(Artifact(f"{stem}-{again}{suffix}" if again > 1 else stem + suffix, url))
    return named


def download(
    gateway: Gateway, job_id: str, folder: Path, *, untouched: bool = False
) -> Flow[list[Path]]:
    """Download a job's artifacts and ``job.json`` into a folder; return the files.

    With ``untouched``, also download the submitted file, with its metadata. A file appears under
    its name only when it is complete.
    """
    found = yield from job(gateway, job_id)
    yield Work(partial(folder.mkdir, parents=True, exist_ok=True))
    written = []
    for artifact in artifacts(found, untouched=untouched):
        target = folder / artifact.name
        yield from _fetched(gateway, artifact.url, target)
        written.append(target)
    described = folder / "job.json"
    yield Work(partial(_write, described, json.dumps(found.raw, indent=2, ensure_ascii=False)))
    return [*written, described]


def _fetched(gateway: Gateway, url: str, target: Path) -> Flow[None]:
    part = _beside(target)
    try:
        answer = yield from gateway.ask(Request("GET", url, into=part, may_redirect=True))
        if answer.target:
            yield from gateway.ask(Request("GET", answer.target, into=part))
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
    """Yield the stem, suffix and URL of each artifact."""
    if original := found.original:
        submitted = SUFFIXES.get(original.format, f".{original.format.lower()}")
        yield ORIGINAL, Path(urlsplit(original.url).path).suffix or submitted, original.url
    for name, picture in (("annotated", found.annotated), ("cutout", found.cutout)):
        if picture:
            yield name, _suffix(picture.url), picture.url
    for shot in found.shots:
        yield shot.label, _suffix(shot.url), shot.url
    for thumbnail in found.thumbnails:
        stem = f"thumbnail-{thumbnail.width}x{thumbnail.height}"
        yield stem, _suffix(thumbnail.url), thumbnail.url


def _untouched(found: Job) -> Iterator[tuple[str, str, str]]:
    if original := found.original:
        suffix = SUFFIXES.get(original.format, f".{original.format.lower()}")
        yield UNTOUCHED, suffix, f"{_path(found.job_id)}/original"


def _suffix(url: str) -> str:
    return Path(urlsplit(url).path).suffix or ".jpg"


# --- Event streams ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerEvent:
    """One server-sent event: its kind, its data, and the id after which a stream resumes."""

    kind: str
    data: str
    event_id: str


class SseReader:
    """Parses server-sent events line by line (WHATWG HTML, 9.2).

    ``last_event_id`` and ``retry_s`` are the server's latest values.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_s: float | None = None
        self._clear()

    def read(self, line: str) -> ServerEvent | None:
        """Read one line without its end; return the event that the line completes."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._event_id = value
            case "retry" if value.isdecimal():
                self.retry_s = int(value) / 1000
        return None

    def restart(self) -> None:
        """Discard an incomplete event after the connection broke."""
        self._clear()

    def _complete(self) -> ServerEvent | None:
        # A stream resumes after the last complete event.
        self.last_event_id = self._event_id
        event = ServerEvent(self._kind or "message", "\n".join(self._data), self._event_id)
        complete = bool(self._data)
        self._clear()
        return event if complete else None

    def _clear(self) -> None:
        self._kind, self._event_id = "", self.last_event_id
        self._data: list[str] = []


class EventStream:
    """The state of one stream of changes. ``over`` is True once the stream has ended.

    The stream of one job ends when the job has finished. The stream of a group, or of all jobs, has
    no end.
    """

    def __init__(
        self,
        gateway: Gateway,
        job_id: str | None,
        group: str | None,
        last_event_id: str | None = None,
    ) -> None:
        self.over = False
        self._gateway = gateway
        self._job_id, self._group = job_id, group
        self._reader = SseReader(last_event_id or "")
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._failures, self._failing_since = 0, monotonic()

    def request(self) -> Request:
        """Return the request that opens or resumes the stream."""
        headers = {"Accept": "text/event-stream"}
        if self._reader.last_event_id:
            headers["Last-Event-ID"] = self._reader.last_event_id
        if self._job_id is not None:
            path = f"{_path(self._job_id)}/events"
            return Request("GET", path, headers=headers, extra_wait_s=SILENCE_S)
        params = [("group", self._group)] if self._group is not None else []
        return Request("GET", "/v1/events", params, headers=headers, extra_wait_s=SILENCE_S)

    def opened(self, answer: Answer) -> None:
        """Check the head of the answer. Raises the error of a refusal."""
        self._gateway.reached = True
        checked(answer)
        self._reader.restart()
        if answer.status == HTTP_NO_CONTENT:
            self.over = True

    def line(self, line: str) -> JobEvent | None:
        """Read one line; return the change that the line completes, each change once."""
        self._failures = 0
        event = self._reader.read(line)
        if event is None or event.kind != "job":
            return None
        change = models.job_event(json.loads(event.data), event.event_id)
        if self._job_id is not None and change.status in FINAL:
            self.over = True
        return change if self._is_new(change) else None

    def disconnected(self, error: LookstreamError | None = None) -> Pause:
        """Return the pause before the next attempt. Raises ``error`` when retrying has ended."""
        if self._failures == 0:
            self._failing_since = monotonic()
        self._failures += 1
        asked = error.retry_after_s if isinstance(error, GatewayBusy) else self._reader.retry_s
        pause = self._gateway.retry_policy.pause_s(self._failures, asked)
        failing = monotonic() - self._failing_since + pause
        if error is not None and failing > self._gateway.longest_s:
            raise error
        return Pause(pause)

    def _is_new(self, change: JobEvent) -> bool:
        version = (change.run, change.revision)
        if version <= self._seen.get(change.job_id, (0, -1)):
            return False
        self._seen[change.job_id] = version
        self._seen.move_to_end(change.job_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True
