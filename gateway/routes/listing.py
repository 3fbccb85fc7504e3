"""List jobs: filters, stable pages, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator, Field

from gateway.http.problem_responses import documented
from gateway.search.gallery import MOST_COUNTED, STATUSES
from gateway.services import Gateway, Services
from gateway.submissions.options import Plain
from gateway.views.examples import JOB_LIST
from gateway.views.jobs import job_view
from gateway.views.models import Counts, JobListView, Status
from storage.jobs.store import JobQuery

LONGEST_TEXT = 200
CURSOR = r"^(?:-?[0-9]{1,18}\.[A-Za-z0-9-]{1,64})?$"


def _utc_time(text: Any) -> Any:
    """Read ISO 8601; without a zone, the time is UTC. pydantic would accept numbers too."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("write a time as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first and last hours of the calendar in another zone
        return moment.replace(tzinfo=UTC)


router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Text = Annotated[Plain, Field(max_length=LONGEST_TEXT)]
Moment = Annotated[datetime, BeforeValidator(_utc_time)]

Statuses = Annotated[list[Status] | None, Query(description="any of these statuses; repeatable")]
Group = Annotated[Text | None, Query(description="only jobs of this group")]
Type = Annotated[Text | None, Query(description="the garment's type, as in `attributes`")]
Colour = Annotated[Text | None, Query(description="the garment's colour, as in `attributes`")]
Label = Annotated[Text | None, Query(description="the most likely class, as in `top5`")]
Words = Annotated[
    Text | None, Query(description="words that must all be in the caption or the file name")
]
Review = Annotated[
    bool | None, Query(description="if a person should check the caption: its `needs_review`")
]
Since = Annotated[Moment | None, Query(description="submitted at or after this time")]
Until = Annotated[Moment | None, Query(description="submitted before this time")]
Cursor = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": CURSOR})] | None,
    Query(description="the `cursor` of the page before, unchanged"),
]
Limit = Annotated[int, Query(ge=1, le=200, description="the largest number of jobs on a page")]
Counting = Annotated[bool, Query(description="count all jobs that match the filter, by status")]


@router.get(
    "",
    response_model=JobListView,
    responses={
        200: {
            "content": {"application/json": {"example": JOB_LIST}},
            "description": "a page of jobs, newest first",
            "headers": {
                "Link": {
                    "description": 'the next page, as `<…>; rel="next"`',
                    "schema": {"type": "string"},
                }
            },
        },
        **documented("cursor-invalid", "invalid-request", "store-unavailable"),
    },
    operation_id="listJobs",
    summary="List jobs",
)
async def find(
    gateway: Gateway,
    request: Request,
    status: Statuses = None,
    group: Group = None,
    type: Type = None,
    colour: Colour = None,
    label: Label = None,
    q: Words = None,
    needs_review: Review = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 50,
    counts: Counting = False,
) -> Response:
    """Return the jobs that meet all conditions. An empty condition is ignored.

    Use `cursor` (or the `Link` header) for the next page. No job appears twice and none is left
    out, even if new jobs arrive in the meantime.
    """
    query = JobQuery(
        statuses=frozenset(status or STATUSES),
        group=group or None,
        type=type or None,
        colour=colour or None,
        label=label or None,
        text=q or None,
        needs_review=needs_review,
        submitted_from=since,
        submitted_before=until,
        cursor=cursor or None,
        limit=limit,
    )
    page = await gateway.deps.jobs.find(query)
    view = JobListView(
        jobs=[job_view(job, gateway.link) for job in page.jobs],
        cursor=page.cursor,
        counts=await _counts(gateway, query, status or STATUSES) if counts else None,
    )
    headers = {"Cache-Control": "no-store"}
    if page.cursor:
        headers["Link"] = f'<{_next(request, page.cursor)}>; rel="next"'
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


async def _counts(gateway: Services, query: JobQuery, statuses: Sequence[Status]) -> Counts:
    # Counting one more than the limit distinguishes an exact number from a capped one.
    async def count(*wanted: Status) -> int:
        if not wanted:
            return 0
        asked = replace(query, statuses=frozenset(wanted))
        return await gateway.deps.jobs.count(asked, at_most=MOST_COUNTED + 1)

    total, *each = await asyncio.gather(
        count(*statuses),
        *(count(*({status} & {*statuses})) for status in STATUSES),
    )
    return Counts(
        total=min(total, MOST_COUNTED),
        capped=total > MOST_COUNTED,
        **{status: min(found, MOST_COUNTED) for status, found in zip(STATUSES, each, strict=True)},
    )


def _next(request: Request, cursor: str) -> str:
    asked = [item for item in request.query_params.multi_items() if item[0] != "cursor"]
    return f"{request.url.path}?{urlencode([*asked, ('cursor', cursor)])}"
