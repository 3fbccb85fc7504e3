"""One photo of many: what ends it alone, and what ends all of them."""

from __future__ import annotations

from dataclasses import replace

from lookstream.client.asking import Gateway
from lookstream.client.exchange import Flow
from lookstream.client.photos import Photo, name_of
from lookstream.client.reading import wait
from lookstream.client.replies import Outcome
from lookstream.client.submitting import Order, submit
from lookstream.errors import LookstreamError, NothingThere, NotNow, RequestRefused

ALL_ALIKE = frozenset({"unknown-stage", "metadata-too-large", "invalid-request"})
"""What is wrong with the wishes is wrong for every photo."""


def handed_over(gateway: Gateway, photo: Photo, order: Order) -> Flow[Outcome]:
    """Hand a photo over; its own faults are its outcome. Raises what would meet every photo."""
    try:
        accepted = yield from submit(gateway, photo, order)
    except LookstreamError as error:
        if not fails_alone(error):
            raise
        return Outcome(name_of(photo), error=error)
    return Outcome(name_of(photo), accepted=accepted)


def waited_for(gateway: Gateway, outcome: Outcome, job_id: str, poll_s: float) -> Flow[Outcome]:
    """Return the outcome of a photo that was handed over, with its job at its end."""
    try:
        job = yield from wait(gateway, job_id, poll_s=poll_s)
    except LookstreamError as error:
        if not fails_alone(error):
            raise
        return replace(outcome, error=error)
    return replace(outcome, job=job)


def fails_alone(error: LookstreamError) -> bool:
    """Tell whether the other photos are none the worse for it."""
    if isinstance(error, NothingThere):
        return True
    if isinstance(error, NotNow):
        return False
    return isinstance(error, RequestRefused) and error.code not in ALL_ALIKE
