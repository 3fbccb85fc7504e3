"""Hand a photo over, such that sending it twice never makes two jobs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count

from lookstream.client.asking import Gateway, opened, refused
from lookstream.client.exchange import Answer, Flow, Request, Work
from lookstream.client.photos import Large, Photo, Small, is_url, key_of, local
from lookstream.client.reading import job
from lookstream.client.replies import Accepted, accepted
from lookstream.client.wishes import Wishes, form_fields, said
from lookstream.errors import JobNotFound, RequestRefused

JOBS = "/v1/jobs"
KEY = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"


@dataclass(frozen=True)
class Order:
    """How photos are to be processed, and what makes a repetition of one.

    ``key`` is the caller's own idempotency key. Without one it is made of the photo and the wishes
    when ``once`` is said, and a new one for every call when not.
    """

    wishes: Wishes = field(default_factory=Wishes)
    key: str | None = None
    once: bool = False

    def keys(self, identity: str) -> Iterator[str]:
        """Yield the idempotency keys for a photo: the next one where the last one's job is gone."""
        if self.key is not None:
            return iter([self.key])
        if not self.once:
            return iter([f"call-{uuid.uuid4().hex}"])
        made = key_of(identity, self.wishes)
        return chain([made], (f"{made}-{number}" for number in count(2)))


def submit(gateway: Gateway, photo: Photo, order: Order) -> Flow[Accepted]:
    """Hand one photo over. Raises `NothingThere`, `RequestRefused`, `GatewayUnreachable`."""
    found: str | Small | Large
    if isinstance(photo, str) and is_url(photo):
        found = photo
    else:
        found = yield Work(partial(local, photo))
    for key in order.keys(found if isinstance(found, str) else found.sha256):
        taken = yield from _sent(gateway, found, order, key)
        if taken is not None and (
            not (order.once and taken.replayed) or (yield from _lives(gateway, taken))
        ):
            return taken
    raise RequestRefused({"code": "job-deleted", "detail": "this key's job was deleted"})


def _sent(
    gateway: Gateway, photo: str | Small | Large, order: Order, key: str
) -> Flow[Accepted | None]:
    """Send a photo under a key; return None where the key belongs to a job that is gone."""
    if isinstance(photo, Large):
        return (yield from _uploaded(gateway, photo, order, key))
    request = _by_url(photo, order) if isinstance(photo, str) else _by_form(photo, order)
    keyed = replace(request, headers={**request.headers, KEY: key})
    return _entry((yield from gateway.ask(keyed)))


def _by_url(url: str, order: Order) -> Request:
    return Request("POST", JOBS, json={"url": url, **said(order.wishes)})


def _by_form(photo: Small, order: Order) -> Request:
    # The same photo makes the same bytes: no random boundary, and not its name of the day.
    boundary = {"Content-Type": f"multipart/form-data; boundary={photo.sha256[:48]}"}
    fields = form_fields(order.wishes)
    return Request("POST", JOBS, headers=boundary, fields=fields, file=photo.content)


def _uploaded(gateway: Gateway, photo: Large, order: Order, key: str) -> Flow[Accepted | None]:
    """Send the bytes straight to the store, and say when they are there."""
    asked = yield from gateway.ask(Request("POST", "/v1/uploads", json={}, headers={KEY: key}))
    upload, again = opened(asked), _replayed(asked)
    if again and (known := (yield from _completed(gateway, upload["id"], order))):
        return replace(known, replayed=True)
    yield from gateway.ask(
        Request(upload["method"], upload["url"], headers=upload["headers"], content=photo.content)
    )
    done = yield from _completed(gateway, upload["id"], order)
    if done is None and not again:
        raise RequestRefused({"code": "upload-not-found", "detail": "the store has lost it"})
    return done


def _completed(gateway: Gateway, upload_id: str, order: Order) -> Flow[Accepted | None]:
    """Make a job of an upload; return None where there is nothing to make it of."""
    request = Request("POST", f"/v1/uploads/{upload_id}/complete", json=said(order.wishes))
    try:
        return _entry((yield from gateway.ask(request)))
    except RequestRefused as problem:
        if problem.code != "upload-not-found":
            raise
        return None


def _lives(gateway: Gateway, taken: Accepted) -> Flow[bool]:
    """Tell whether a job that was made before is still there: it may be deleted since."""
    try:
        yield from job(gateway, taken.job_id)
    except JobNotFound:
        return False
    return True


def _entry(answer: Answer) -> Accepted:
    entry = opened(answer)["jobs"][0]
    if problem := entry.get("error"):
        raise refused(problem)
    return accepted(entry, replayed=_replayed(answer))


def _replayed(answer: Answer) -> bool:
    return answer.headers.get(REPLAYED) == "true"
