"""The operations on jobs that are there, one small flow each."""

from __future__ import annotations

from time import monotonic
from urllib.parse import quote

from lookstream.client import replies, results
from lookstream.client.asking import Gateway
from lookstream.client.exchange import Flow, Request
from lookstream.client.replies import Info, Page, Prediction, Replay, Rerun, Similar
from lookstream.client.results import Job
from lookstream.client.wishes import Filters, ReplayWishes, RunAgain, query, replay_body, said
from lookstream.errors import WaitTimedOut

LONGEST_WAIT_S = 60.0
LONG_POLL_S = 30.0
PREDICTED_WITHIN_S = 35.0
PAGE = 200
SIMILAR = 12


def job(gateway: Gateway, job_id: str, *, wait_s: float = 0.0) -> Flow[Job]:
    """Read a job; with ``wait_s`` once it is at its end, or as it is after so many seconds."""
    wait = min(wait_s, LONGEST_WAIT_S)
    asked = Request("GET", _path(job_id), params=[("wait", f"{wait:g}")], patience_s=wait)
    return results.job((yield from gateway.document(asked)))


def wait(
    gateway: Gateway, job_id: str, *, timeout_s: float | None = None, poll_s: float = LONG_POLL_S
) -> Flow[Job]:
    """Read a job at its end. Raises `WaitTimedOut`."""
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
    """Read one page of the jobs, the newest first."""
    params = [*query(filters), ("limit", str(limit))]
    if cursor is not None:
        params.append(("cursor", cursor))
    if counts:
        params.append(("counts", "true"))
    return replies.page((yield from gateway.document(Request("GET", "/v1/jobs", params=params))))


def similar(
    gateway: Gateway, job_id: str, *, limit: int = SIMILAR, group: str | None = None
) -> Flow[list[Similar]]:
    """Read which jobs have the photos that are most like a job's, the best first."""
    params = [("limit", str(limit)), *([("group", group)] if group else [])]
    request = Request("GET", f"{_path(job_id)}/similar", params=params)
    return replies.similar((yield from gateway.document(request)))


def delete(gateway: Gateway, job_id: str) -> Flow[None]:
    """Delete a job, and its artifacts where no other job has the same content."""
    yield from gateway.ask(Request("DELETE", _path(job_id)))


def rerun(gateway: Gateway, job_id: str, wishes: RunAgain) -> Flow[Rerun]:
    """Process a job again."""
    request = Request("POST", f"{_path(job_id)}/runs", json=said(wishes), repeatable=False)
    return replies.rerun((yield from gateway.document(request)))


def predict(gateway: Gateway, url: str) -> Flow[Prediction]:
    """Classify a picture on the web, at once."""
    request = Request(
        "POST",
        "/v1/predict",
        json={"url": url},
        patience_s=PREDICTED_WITHIN_S,
        repeatable=False,
    )
    return replies.prediction((yield from gateway.document(request)))


def replay(gateway: Gateway, topic: str, wishes: ReplayWishes) -> Flow[Replay]:
    """Start to publish events of a topic again."""
    body = replay_body(topic, wishes)
    request = Request("POST", "/v1/replays", json=body, repeatable=False)
    return replies.replay((yield from gateway.document(request)))


def replay_now(gateway: Gateway, replay_id: str) -> Flow[Replay]:
    """Read how far a replay is."""
    request = Request("GET", f"/v1/replays/{quote(replay_id, safe='')}")
    return replies.replay((yield from gateway.document(request)))


def info(gateway: Gateway) -> Flow[Info]:
    """Read where the running system is."""
    return replies.info((yield from gateway.document(Request("GET", "/v1/info"))))


def _path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
