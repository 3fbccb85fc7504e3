"""The gallery at `/gallery`: every photo that was handed over, rendered here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Request, Response

from gateway.deps import GatewayDeps
from gateway.http.problem_responses import as_problem
from gateway.http.problems import Problem
from gateway.live.waiting import canonical_id, get_job
from gateway.pages.render import Pages
from gateway.search.gallery import (
    MOST_COUNTED,
    PATH,
    STATUSES,
    Card,
    Filters,
    count_label,
    suggestions,
)
from gateway.search.similar import SimilarJobs, vector_of
from storage.errors import StorageError

MOST_SIMILAR = 12


class GalleryRoutes:
    """`/gallery`, `/gallery/{job_id}`, what is similar to it, and one card of it alone for a page
    that is open."""

    def __init__(self, deps: GatewayDeps, pages: Pages, similar: SimilarJobs) -> None:
        self._deps = deps
        self._pages = pages
        self._similar_jobs = similar

    def router(self) -> APIRouter:
        routes = APIRouter(prefix=PATH, include_in_schema=False)
        routes.add_api_route("", self.gallery, methods=["GET"])
        routes.add_api_route("/{job_id}", self.job, methods=["GET"])
        routes.add_api_route("/{job_id}/card", self.card, methods=["GET"])
        routes.add_api_route("/{job_id}/similar", self.similar, methods=["GET"])
        return routes

    async def gallery(self, request: Request, cursor: str = "") -> Response:
        return await self._or_say_why(self._gallery(Filters.read(request.query_params), cursor))

    async def job(self, job_id: str) -> Response:
        return await self._or_say_why(self._job(job_id))

    async def card(self, job_id: str) -> Response:
        return await self._or_say_why(self._card(job_id))

    async def similar(self, job_id: str) -> Response:
        return await self._or_say_why(self._similar(job_id))

    async def _gallery(self, filters: Filters, cursor: str) -> Response:
        page, total = await asyncio.gather(
            self._deps.jobs.find(filters.query(cursor or None)),
            self._deps.jobs.count(filters.query(), at_most=MOST_COUNTED + 1),
        )
        cards = [Card.of(job, self._link) for job in page.jobs]
        return self._pages.answer(
            "gallery.html",
            filters=filters,
            statuses=STATUSES,
            cards=cards,
            total=count_label(total, filters),
            later=bool(cursor),
            more=filters.address(page.cursor) if page.cursor else None,
            suggested={name: suggestions(cards, name) for name in ("type", "colour")},
        )

    async def _job(self, job_id: str) -> Response:
        job = await get_job(self._deps, canonical_id(job_id))
        comparable = vector_of(job) is not None
        return self._pages.answer("job.html", card=Card.of(job, self._link), comparable=comparable)

    async def _card(self, job_id: str) -> Response:
        job = await get_job(self._deps, canonical_id(job_id))
        return self._pages.answer("card.html", card=Card.of(job, self._link))

    async def _similar(self, job_id: str) -> Response:
        job = await get_job(self._deps, canonical_id(job_id))
        found = await self._similar_jobs.to(job, limit=MOST_SIMILAR)
        cards = [Card.of(each, self._link, similarity) for each, similarity in found]
        return self._pages.answer("similar.html", to=Card.of(job, self._link), cards=cards)

    async def _or_say_why(self, page: Awaitable[Response]) -> Response:
        """Return the page, or one that says in plain words why there is none."""
        try:
            return await page
        except (Problem, StorageError) as error:
            problem = as_problem(error)
            return self._pages.answer("error.html", status=problem.status, code=problem.code)

    def _link(self, key: str) -> str:
        return self._deps.signer.sign(key, expires_s=self._deps.link_expires_s)
