"""Ask the gateway, again where that may help, and tell a refusal from an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from time import monotonic
from typing import Any

from lookstream.client.exchange import Answer, Flow, Pause, Request
from lookstream.client.patience import PASSING, Patience, retry_after_s
from lookstream.errors import (
    GatewayUnreachable,
    JobNotFound,
    NotAGateway,
    NotNow,
    RequestRefused,
)


@dataclass
class Gateway:
    """What one client knows of its gateway: how patient to be, and whether it ever answered."""

    patience: Patience
    reached: bool = False

    def ask(self, request: Request) -> Flow[Answer]:
        """Return a good answer. Raises `GatewayUnreachable`, `RequestRefused`.

        What passes by itself is asked again: no connection, 429, 502, 503. A line that broke after
        the request was sent is no reason to repeat what must not happen twice.
        """
        began = monotonic()
        for attempt in count(1):
            try:
                answer: Answer = yield request
                self.reached = True
                if answer.status not in PASSING:
                    return checked(answer)
                error: Exception = refusal(answer)
            except NotAGateway:
                raise
            except GatewayUnreachable as broken:
                if broken.sent and not request.repeatable:
                    raise
                error = broken
            pause = self.patience.pause_s(attempt, getattr(error, "retry_after_s", None))
            if monotonic() - began + pause > self.longest_s:
                raise error
            yield Pause(pause)
        raise AssertionError("counting never ends")

    def document(self, request: Request) -> Flow[dict[str, Any]]:
        """Return a good answer's JSON object. Raises as `ask` does."""
        answer = yield from self.ask(request)
        return opened(answer)

    @property
    def longest_s(self) -> float:
        """How long to go on asking."""
        return self.patience.total_s if self.reached else self.patience.first_contact_s


def checked(answer: Answer) -> Answer:
    """Return a good answer, and raise what another one says."""
    if answer.good:
        return answer
    raise refusal(answer)


def opened(answer: Answer) -> dict[str, Any]:
    """Return the JSON object in an answer of the gateway. Raises `NotAGateway`."""
    document = answer.document()
    if document is None:
        raise _stranger(answer)
    return document


def refusal(answer: Answer) -> RequestRefused | NotAGateway:
    """Return the error that an answer other than a good one means."""
    document = answer.document()
    if answer.status in PASSING:
        told = document or {"code": "unavailable", "detail": f"{answer.url}: {answer.status}"}
        return NotNow(
            {"status": answer.status, **told}, retry_after_s(answer.headers.get("Retry-After"))
        )
    if document is not None:
        return refused(document)
    if "xml" in answer.headers.get("Content-Type", ""):  # an S3 store says no in XML
        told = {"code": "store-refused", "detail": f"the store answered {answer.status}"}
        return RequestRefused({**told, "status": answer.status})
    return _stranger(answer)


def refused(problem: Mapping[str, Any]) -> RequestRefused:
    """Return the error for a problem document."""
    kind = JobNotFound if problem.get("code") == "job-not-found" else RequestRefused
    return kind(dict(problem))


def _stranger(answer: Answer) -> NotAGateway:
    return NotAGateway(f"{answer.url} is no gateway: it answered {answer.status}")
