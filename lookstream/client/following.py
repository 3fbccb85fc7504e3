"""Follow jobs by server-sent events, over every line that breaks: the part without I/O."""

from __future__ import annotations

import json
from collections import OrderedDict
from time import monotonic
from urllib.parse import quote

from lookstream.client.asking import Gateway, checked
from lookstream.client.exchange import Answer, Pause, Request
from lookstream.client.replies import JobEvent, job_event
from lookstream.client.results import FINAL
from lookstream.client.sse import SseReader
from lookstream.errors import LookstreamError, NotNow

SILENCE_S = 45.0
"""Heartbeats come every 15 s: a stream that says nothing for so long is dead."""
REMEMBERED = 10_000
HTTP_NO_CONTENT = 204


class Following:
    """One stream of job events, resumed where it broke off.

    A transport sends `request`, shows the answer to `opened`, every line to `heard`, and the end
    of the line to `ended`, as long as it is not `over`. A job's own stream is over with the job;
    the stream of a group, or of all jobs, goes on.
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
        """Return what opens the stream, from where we are."""
        headers = {"Accept": "text/event-stream"}
        if self._reader.last_event_id:
            headers["Last-Event-ID"] = self._reader.last_event_id
        if self._job_id is not None:
            path = f"/v1/jobs/{quote(self._job_id, safe='')}/events"
            return Request("GET", path, headers=headers, patience_s=SILENCE_S)
        params = [("group", self._group)] if self._group is not None else []
        return Request("GET", "/v1/events", params, headers=headers, patience_s=SILENCE_S)

    def opened(self, answer: Answer) -> None:
        """Take the answer's beginning. Raises what a refusal says."""
        self._gateway.reached = True
        checked(answer)
        self._reader.restart()
        if answer.status == HTTP_NO_CONTENT:
            self.over = True

    def heard(self, line: str) -> JobEvent | None:
        """Take one line; return the change that it completes, each only once."""
        self._failures = 0
        event = self._reader.read(line)
        if event is None or event.kind != "job":
            return None
        change = job_event(json.loads(event.data), event.event_id)
        if self._job_id is not None and change.status in FINAL:
            self.over = True
        return change if self._is_news(change) else None

    def ended(self, error: LookstreamError | None = None) -> Pause:
        """Return how long to wait before going on; raise ``error`` when patience is at its end."""
        if self._failures == 0:
            self._failing_since = monotonic()
        self._failures += 1
        asked = error.retry_after_s if isinstance(error, NotNow) else self._reader.retry_s
        pause = self._gateway.patience.pause_s(self._failures, asked)
        failing = monotonic() - self._failing_since + pause
        if error is not None and failing > self._gateway.longest_s:
            raise error
        return Pause(pause)

    def _is_news(self, change: JobEvent) -> bool:
        version = (change.run, change.revision)
        if version <= self._seen.get(change.job_id, (0, -1)):
            return False
        self._seen[change.job_id] = version
        self._seen.move_to_end(change.job_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True
