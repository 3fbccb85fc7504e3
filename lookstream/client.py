"""A small client of the gateway's REST API. Light: importing it loads httpx and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from lookstream.errors import GatewayUnreachable, JobNotFound, RequestRefused

DEFAULT_GATEWAY = "http://127.0.0.1:8000"
FINAL = frozenset({"completed", "failed"})
LONGEST_WAIT_S = 60
ANSWER_WITHIN_S = 30.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

Job = dict[str, Any]
"""A job as `GET /v1/jobs/{id}` answers it; docs/rest.md has the shape."""


class Client:
    """Talks to one gateway. Thread-safe, to be closed, or used as a context.

    Every method raises `GatewayUnreachable` when nobody answers, and `RequestRefused` with the
    problem document when the gateway says no.
    """

    def __init__(self, base_url: str = DEFAULT_GATEWAY, *, timeout_s: float = ANSWER_WITHIN_S):
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        address = urlsplit(self.base_url)
        self._http = httpx.Client(
            base_url=self.base_url,
            timeout=timeout_s,
            # A proxy set for the web at large does not lead to this machine's own loopback.
            trust_env=address.hostname not in LOOPBACK,
            # Reading all trusted certificates takes longer than a request, and plain HTTP needs
            # none. Redirects are not followed, so it stays plain.
            verify=address.scheme != "http",
        )

    def submit_file(
        self, path: Path | str, *, stages: Sequence[str] = (), force: bool = False
    ) -> dict[str, Any]:
        """Hand over one photo and return its entry: ``job_id``, ``status`` and ``links``."""
        form = {"stages": list(stages), "force": str(force).lower()}
        with Path(path).open("rb") as file:
            return self._submit(data=form, files={"files": (Path(path).name, file)})

    def submit_url(
        self, url: str, *, stages: Sequence[str] = (), force: bool = False
    ) -> dict[str, Any]:
        """Hand over a photo on the web by its address and return its entry."""
        return self._submit(json={"url": url, "stages": list(stages), "force": force})

    def job(self, job_id: str, *, wait_s: float = 0) -> Job:
        """Return a job; with ``wait_s`` when it is at its end, or as it is after so many seconds.

        Raises `JobNotFound`.
        """
        wait = min(wait_s, LONGEST_WAIT_S)
        timeout = httpx.Timeout(self._timeout_s, read=self._timeout_s + wait)
        return self._ask("GET", f"/v1/jobs/{job_id}", params={"wait": wait}, timeout=timeout)

    def wait(self, job_id: str) -> Job:
        """Return a job once it is completed or failed, however long that takes."""
        while (job := self.job(job_id, wait_s=LONGEST_WAIT_S / 2))["status"] not in FINAL:
            pass
        return job

    def info(self) -> dict[str, str]:
        """Return where the running system is: ``gateway``, ``kafka``, ``artifacts``, ``jobs``."""
        return self._ask("GET", "/v1/info")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def _submit(self, **body: Any) -> dict[str, Any]:
        entry: dict[str, Any] = self._ask("POST", "/v1/jobs", **body)["jobs"][0]
        if problem := entry.get("error"):
            raise _refusal(problem)
        return entry

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise GatewayUnreachable(f"no answer from {self.base_url}: {reason}") from error
        except httpx.InvalidURL as error:
            raise GatewayUnreachable(f"{self.base_url} is not an address: {error}") from error
        if answer.is_success:
            return _document(answer)
        raise _refusal(_document(answer))


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    raise GatewayUnreachable(f"{answer.url} is no gateway: it answered {answer.status_code}")


def _refusal(problem: Mapping[str, Any]) -> RequestRefused:
    kind = JobNotFound if problem.get("code") == "job-not-found" else RequestRefused
    return kind(dict(problem))
