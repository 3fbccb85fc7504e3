"""The gallery: its filters and the data of a card. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Self, get_args
from urllib.parse import urlencode

from gateway.pages.render import average_colour
from gateway.views.jobs import Link, job_view
from gateway.views.models import JobView, Status
from storage.jobs.store import Job, JobQuery

PATH = "/gallery"
STATUSES: tuple[Status, ...] = get_args(Status)
REVIEWS = {"true": True, "false": False}
LONGEST_TEXT = 200
PAGE = 48
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Filters:
    """The values of the filter form; an empty field does not filter."""

    q: str = ""
    type: str = ""
    colour: str = ""
    status: str = ""
    needs_review: str = ""
    group: str = ""

    @classmethod
    def read(cls, params: Mapping[str, str]) -> Self:
        """Build filters from a query string, without invalid values and unprintable characters."""
        given = {name: _plain(params.get(name, "")) for name in cls.__dataclass_fields__}
        if given["status"] not in STATUSES:
            given["status"] = ""
        if given["needs_review"] not in REVIEWS:
            given["needs_review"] = ""
        return cls(**given)

    def query(self, cursor: str | None = None) -> JobQuery:
        """Return the query for the job store."""
        return JobQuery(
            statuses=frozenset(status for status in STATUSES if self.status in ("", status)),
            group=self.group or None,
            type=self.type or None,
            colour=self.colour or None,
            text=self.q or None,
            needs_review=REVIEWS.get(self.needs_review),
            cursor=cursor,
            limit=PAGE,
        )

    def address(self, cursor: str | None = None) -> str:
        """Return the gallery's path and query string with these filters."""
        given = {name: text for name, text in asdict(self).items() if text}
        if cursor:
            given["cursor"] = cursor
        return f"{PATH}?{urlencode(given)}" if given else PATH

    def __bool__(self) -> bool:
        return any(asdict(self).values())


@dataclass(frozen=True)
class Card:
    """One job in the gallery.

    ``mark`` changes with every change of the job. The page shows ``colour`` until the thumbnail
    loads. ``similarity`` to another job's photo is from -1 to 1.
    """

    job: JobView
    mark: str
    colour: str | None
    similarity: float | None = None

    @classmethod
    def of(cls, job: Job, link: Link, similarity: float | None = None) -> Self:
        view = job_view(job, link)
        colour = average_colour(view.thumbhash or "")
        return cls(view, f"{job.run}.{job.revision}", colour, similarity)


def count_label(total: int, filters: Filters) -> str:
    """Return the number of photos as text; the store counts at most `MOST_COUNTED` + 1."""
    number = f"more than {MOST_COUNTED:,}" if total > MOST_COUNTED else f"{total:,}"
    return f"{number} {'matching ' if filters else ''}photo{'' if total == 1 else 's'}"


def suggestions(cards: Iterable[Card], attribute: str) -> list[str]:
    """Return the values of ``attribute`` on the cards, as suggestions in the filter form."""
    found = (card.job.attributes.get(attribute) for card in cards)
    return sorted({each.value for each in found if each is not None})


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable()).strip()[:LONGEST_TEXT]
