"""The gateway as an ASGI application, made of what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from gateway.deps import GatewayDeps
from gateway.http import host_check as visitors
from gateway.http import problem_responses
from gateway.http.context import RequestContext, request_tracing
from gateway.http.limits import BodyLimit
from gateway.http.metrics import Metrics
from gateway.pages.render import Pages
from gateway.routes import page
from gateway.routes.artifacts import ArtifactRoutes
from gateway.routes.control import ControlRoutes
from gateway.routes.events import EventRoutes
from gateway.routes.gallery import GalleryRoutes
from gateway.routes.jobs import JobRoutes
from gateway.routes.listing import ListRoutes
from gateway.routes.predict import PredictRoutes
from gateway.routes.replays import ReplayRoutes
from gateway.routes.similar import SimilarRoutes
from gateway.routes.system import SystemRoutes
from gateway.routes.uploads import UploadRoutes
from gateway.search.similar import SimilarJobs
from gateway.submissions import options as metadata
from gateway.submissions.storing import Storing
from gateway.submissions.submitter import Submitter

DESCRIPTION = """
Hand over photos of garments and get back listing-ready data: a caption, attributes, classes, a
pose, view shots, thumbnails and an annotated picture.

Every error is a problem document (RFC 9457) with a stable `code`. Links to artifacts are signed
and expire; read the job again for new ones.
"""

# Pictures are compressed already, and a stream of events must not wait for a buffer to fill.
SENT_AS_THEY_ARE = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES,
    "image/*",
    "application/octet-stream",
    "text/plain",
)


def create_app(deps: GatewayDeps) -> FastAPI:
    """Return the gateway's application. It owns nothing but the follower's running."""
    app = FastAPI(
        title="Lookstream",
        version=deps.version,
        description=DESCRIPTION,
        lifespan=_following(deps),
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problem_responses.documented("internal-error", *visitors.CODES),
        telemetry=request_tracing(deps.tracers),
    )
    app.state.end_streams = deps.job_updates.feed.close
    metrics = Metrics()
    similar = SimilarJobs(deps.jobs)
    submitter = Submitter(deps, metrics, Storing(deps.artifacts))
    app.include_router(JobRoutes(deps, submitter).router())
    app.include_router(ListRoutes(deps).router())
    app.include_router(SimilarRoutes(deps, similar).router())
    app.include_router(ControlRoutes(deps, metrics).router())
    app.include_router(UploadRoutes(deps, metrics).router())
    app.include_router(PredictRoutes(deps, submitter).router())
    app.include_router(ReplayRoutes(deps).router())
    app.include_router(ArtifactRoutes(deps).router())
    app.include_router(EventRoutes(deps, metrics).router())
    app.include_router(SystemRoutes(deps, metrics).router())
    pages = Pages()
    app.include_router(page.router(pages))
    app.include_router(GalleryRoutes(deps, pages, similar).router())
    problem_responses.install(app)
    app.openapi = partial(_document, app.openapi)  # type: ignore[method-assign]
    # The one added last is the outermost.
    app.add_middleware(GZipMiddleware, compresslevel=5, exclude_content_types=SENT_AS_THEY_ARE)
    app.add_middleware(BodyLimit, limits=deps.limits)
    app.add_middleware(visitors.HostCheck, names=deps.hosts)
    app.add_middleware(RequestContext, metrics=metrics)
    return app


def _document(made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the OpenAPI document with the schemas that no model stands for."""
    document = made()
    document["components"]["schemas"] |= metadata.COMPONENTS
    return document


def _following(deps: GatewayDeps) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        deps.job_updates.start()
        try:
            yield
        finally:
            await asyncio.to_thread(deps.job_updates.stop)

    return lifespan
