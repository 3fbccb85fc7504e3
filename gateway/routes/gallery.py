"""The gallery at `/gallery`, the page of one job, its similar photos, and a single card."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import closing
from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.http.problem_responses import as_problem
from gateway.http.problems import Problem
from gateway.http.query import check_query
from gateway.live.waiting import canonical_id, get_job
from gateway.search.gallery import (
    MOST_COUNTED,
    PATH,
    STATUSES,
    Card,
    Filters,
    count_label,
    suggestions,
)
from gateway.search.similar import vector_of
from gateway.services import Gateway, Services
from storage.errors import StorageError

MOST_SIMILAR = 12

router = APIRouter(prefix=PATH, include_in_schema=False)


@router.get("")
async def gallery(
    gateway: Gateway,
    request: Request,
    q: str = "",
    type: str = "",
    colour: str = "",
    status: str = "",
    needs_review: str = "",
    group: str = "",
    cursor: str = "",
) -> Response:
    given = {
        "q": q,
        "type": type,
        "colour": colour,
        "status": status,
        "needs_review": needs_review,
        "group": group,
    }
    return await _or_problem_page(gateway, request, _gallery(gateway, Filters.read(given), cursor))


@router.get("/{job_id}")
async def job(gateway: Gateway, request: Request, job_id: str) -> Response:
    return await _or_problem_page(gateway, request, _job(gateway, job_id))


@router.get("/{job_id}/card")
async def card(gateway: Gateway, request: Request, job_id: str) -> Response:
    return await _or_problem_page(gateway, request, _card(gateway, job_id))


@router.get("/{job_id}/similar")
async def similar(gateway: Gateway, request: Request, job_id: str) -> Response:
    return await _or_problem_page(gateway, request, _similar(gateway, job_id))


async def _gallery(gateway: Services, filters: Filters, cursor: str) -> Response:
    page, total = await asyncio.gather(
        gateway.deps.jobs.find(filters.query(cursor or None)),
        gateway.deps.jobs.count(filters.query(), at_most=MOST_COUNTED + 1),
    )
    cards = [Card.of(job, gateway.link) for job in page.jobs]
    return gateway.pages.answer(
        "gallery.html",
        filters=filters,
        statuses={"": "any"} | {status: status for status in STATUSES},
        cards=cards,
        total=count_label(total, filters),
        later=bool(cursor),
        more=filters.address(page.cursor) if page.cursor else None,
        suggested={name: suggestions(cards, name) for name in ("type", "colour")},
    )


async def _job(gateway: Services, job_id: str) -> Response:
    job = await get_job(gateway.deps, canonical_id(job_id))
    comparable = vector_of(job) is not None
    return gateway.pages.answer("job.html", card=Card.of(job, gateway.link), comparable=comparable)


async def _card(gateway: Services, job_id: str) -> Response:
    job = await get_job(gateway.deps, canonical_id(job_id))
    return gateway.pages.answer("card.html", card=Card.of(job, gateway.link))


async def _similar(gateway: Services, job_id: str) -> Response:
    job = await get_job(gateway.deps, canonical_id(job_id))
    found = await gateway.similar.to(job, limit=MOST_SIMILAR)
    cards = [Card.of(each, gateway.link, similarity) for each, similarity in found]
    return gateway.pages.answer("similar.html", to=Card.of(job, gateway.link), cards=cards)


async def _or_problem_page(
    gateway: Services, request: Request, page: Coroutine[Any, Any, Response]
) -> Response:
    """Return the page, or a page that explains the problem."""
    try:
        with closing(page):
            check_query(request)
            return await page
    except (Problem, StorageError) as error:
        problem = as_problem(error)
        return gateway.pages.answer("error.html", status=problem.status, code=problem.code)
