"""The gateway as an ASGI application, made of what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from gateway import problem_responses
from gateway.deps import GatewayDeps
from gateway.limits import BodyLimit
from gateway.metrics import Metrics
from gateway.request_context import RequestContext
from gateway.routes import page
from gateway.routes.artifacts import ArtifactRoutes
from gateway.routes.jobs import JobRoutes
from gateway.routes.system import SystemRoutes

DESCRIPTION = """
Hand over photos of garments and get back listing-ready data: a caption, attributes, classes, a
pose, view shots, thumbnails and an annotated picture.

Every error is a problem document (RFC 9457) with a stable `code`. Links to artifacts are signed
and expire; read the job again for new ones.
"""


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
        responses=problem_responses.documented("internal-error"),
    )
    metrics = Metrics()
    app.include_router(JobRoutes(deps, metrics).router())
    app.include_router(ArtifactRoutes(deps).router())
    app.include_router(SystemRoutes(deps, metrics).router())
    app.include_router(page.router())
    problem_responses.install(app)
    # The one added last is the outermost.
    app.add_middleware(BodyLimit, limits=deps.limits)
    app.add_middleware(RequestContext, metrics=metrics)
    return app


def _following(deps: GatewayDeps) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        deps.follower.start()
        try:
            yield
        finally:
            await asyncio.to_thread(deps.follower.stop)

    return lifespan
