"""List jobs: filters, pages that stay stable while jobs come in, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator, Field

from gateway.deps import GatewayDeps
from gateway.http.problem_responses import documented
from gateway.submissions.options import Plain
from gateway.views.examples import JOB_LIST
from gateway.views.jobs import job_view
from gateway.views.models import Counts, JobListView, Status
from storage.jobs.store import JobQuery

STATUSES: tuple[Status, ...] = ("pending", "processing", "completed", "failed")
MOST_COUNTED = 10_000
LONGEST_TEXT = 200
CURSOR = r"^(?:-?[0-9]{1,18}\.[A-Za-z0-9-]{1,64})?$"


def _moment(text: Any) -> Any:
    """Read ISO 8601, in UTC where no zone is said; pydantic would take numbers as well."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("write a time as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the calendar's first and last hours, elsewhere
        return moment.replace(tzinfo=UTC)


Text = Annotated[Plain, Field(max_length=LONGEST_TEXT)]
Moment = Annotated[datetime, BeforeValidator(_moment)]

Statuses = Annotated[list[Status] | None, Query(description="any of these; repeatable")]
Group = Annotated[Text | None, Query(description="jobs of this group")]
Type = Annotated[Text | None, Query(description="the garment's type, as in `attributes`")]
Colour = Annotated[Text | None, Query(description="the garment's colour, as in `attributes`")]
Label = Annotated[Text | None, Query(description="the likeliest class, as in `top5`")]
Words = Annotated[Text | None, Query(description="words that the caption has all of")]
Since = Annotated[Moment | None, Query(description="submitted at this time or later")]
Until = Annotated[Moment | None, Query(description="submitted before this time")]
Cursor = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": CURSOR})] | None,
    Query(description="of the answer before, as it came"),
]
Limit = Annotated[int, Query(ge=1, le=200, description="the most jobs of a page")]
Counting = Annotated[bool, Query(description="count all that the filter finds, by status")]


class ListRoutes:
    """`GET /v1/jobs`."""

    def __init__(self, deps: GatewayDeps) -> None:
        self._deps = deps

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
        router.add_api_route(
            "",
            self.find,
            methods=["GET"],
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
        return router

    async def find(
        self,
        request: Request,
        status: Statuses = None,
        group: Group = None,
        type: Type = None,
        colour: Colour = None,
        label: Label = None,
        q: Words = None,
        since: Since = None,
        until: Until = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        counts: Counting = False,
    ) -> Response:
        """Answer with jobs that meet all conditions; an empty one is none.

        Follow `cursor` (or the `Link` header) for the next page: nothing comes twice and nothing
        is left out, however many jobs come in meanwhile.
        """
        query = JobQuery(
            statuses=frozenset(status or STATUSES),
            group=group or None,
            type=type or None,
            colour=colour or None,
            label=label or None,
            text=q or None,
            submitted_from=since,
            submitted_before=until,
            cursor=cursor or None,
            limit=limit,
        )
        page = await self._deps.jobs.find(query)
        view = JobListView(
            jobs=[job_view(job, self._link) for job in page.jobs],
            cursor=page.cursor,
            counts=await self._counts(query, status or STATUSES) if counts else None,
        )
        headers = {"Cache-Control": "no-store"}
        if page.cursor:
            headers["Link"] = f'<{_next(request, page.cursor)}>; rel="next"'
        return Response(view.model_dump_json(), media_type="application/json", headers=headers)

    def _link(self, key: str) -> str:
        return self._deps.signer.sign(key, expires_s=self._deps.link_expires_s)

    async def _counts(self, query: JobQuery, statuses: Sequence[Status]) -> Counts:
        # One more than is told, to know an exact number from a capped one.
        async def count(*of: Status) -> int:
            if not of:
                return 0
            asked = replace(query, statuses=frozenset(of))
            return await self._deps.jobs.count(asked, at_most=MOST_COUNTED + 1)

        total, *each = await asyncio.gather(
            count(*statuses),
            *(count(*({status} & {*statuses})) for status in STATUSES),
        )
        return Counts(
            total=min(total, MOST_COUNTED),
            capped=total > MOST_COUNTED,
            **{
                status: min(found, MOST_COUNTED)
                for status, found in zip(STATUSES, each, strict=True)
            },
        )


def _next(request: Request, cursor: str) -> str:
    asked = [item for item in request.query_params.multi_items() if item[0] != "cursor"]
    return f"{request.url.path}?{urlencode([*asked, ('cursor', cursor)])}"
