"""Find the photos that are most like a job's own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from gateway.deps import GatewayDeps
from gateway.http.problem_responses import documented
from gateway.live.waiting import canonical_id, get_job
from gateway.routes.listing import Text
from gateway.search.similar import SimilarJobs
from gateway.views.examples import SIMILAR
from gateway.views.jobs import similar_view
from gateway.views.models import SimilarListView

JobId = Annotated[str, Path(description="as answered by `POST /v1/jobs`")]
Group = Annotated[Text | None, Query(description="among the jobs of this group")]
Limit = Annotated[int, Query(ge=1, le=100, description="the most photos of an answer")]


class SimilarRoutes:
    """`GET /v1/jobs/{job_id}/similar`."""

    def __init__(self, deps: GatewayDeps, similar: SimilarJobs) -> None:
        self._deps = deps
        self._similar = similar

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])
        router.add_api_route(
            "/similar",
            self.find,
            methods=["GET"],
            response_model=SimilarListView,
            responses={
                200: {
                    "content": {"application/json": {"example": SIMILAR}},
                    "description": "jobs with similar photos, the best first",
                },
                **documented(
                    "job-not-found", "no-embedding", "invalid-request", "store-unavailable"
                ),
            },
            operation_id="findSimilar",
            summary="Find similar photos",
        )
        return router

    async def find(
        self, response: Response, job_id: JobId, group: Group = None, limit: Limit = 12
    ) -> SimilarListView:
        """Answer with the jobs whose photos are most like this job's, by the vectors that
        classification makes of them.

        The job itself is never there, a photo that several jobs have is there once, and what
        another model has classified is not compared.
        """
        response.headers["Cache-Control"] = "no-store"
        job = await get_job(self._deps, canonical_id(job_id))
        found = await self._similar.to(job, limit=limit, group=group or None)
        return SimilarListView(
            jobs=[similar_view(each, similarity, self._link) for each, similarity in found]
        )

    def _link(self, key: str) -> str:
        return self._deps.signer.sign(key, expires_s=self._deps.link_expires_s)
