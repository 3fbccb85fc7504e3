"""Build the gateway's ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware

from gateway.deps import GatewayDeps
from gateway.http import host_check, problem_responses
from gateway.http.context import RequestContext, request_tracing
from gateway.http.limits import BodyLimit
from gateway.http.openapi import complete
from gateway.http.query import check_query
from gateway.routes import (
    artifacts,
    events,
    gallery,
    jobs,
    listing,
    page,
    predict,
    replays,
    system,
    uploads,
)
from gateway.services import Services

EVERYWHERE = ("request-timeout", "unknown-parameter", "head-too-large", "internal-error", "busy")
ROUTES = (jobs, listing, uploads, predict, replays, artifacts, events, system, page)

DESCRIPTION = """
Submit photos of garments and get data for marketplace listings: a caption, attributes, classes, a
pose, crops (shots), thumbnails and an annotated picture.

Every error is a problem document (RFC 9457) with a stable `code`. Links to artifacts are signed
and expire; get the job again for new links.
"""

# Pictures are already compressed, and an event stream must not wait for a full buffer.
UNCOMPRESSED = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES,
    "image/*",
    "application/octet-stream",
    "text/plain",
)


def create_app(deps: GatewayDeps) -> FastAPI:
    """Return the gateway's application. It starts and stops ``deps.job_updates``."""
    app = FastAPI(
        title="Lookstream",
        version=deps.version,
        description=DESCRIPTION,
        lifespan=_lifespan(deps),
        # FastAPI's documentation pages load scripts from another host. /openapi.json is served.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problem_responses.documented(*EVERYWHERE, *host_check.CODES),
        telemetry=request_tracing(deps.tracers),
    )
    app.state.end_streams = deps.job_updates.feed.close
    services = app.state.services = Services.of(deps)
    for module in ROUTES:
        app.include_router(module.router, dependencies=[Depends(check_query)])
    app.include_router(gallery.router)  # it checks the query itself, to answer with a page
    problem_responses.install(app)
    app.openapi = partial(_document, app.openapi, deps)  # type: ignore[method-assign]
    # The middleware that is added last runs first.
    app.add_middleware(GZipMiddleware, compresslevel=5, exclude_content_types=UNCOMPRESSED)
    app.add_middleware(BodyLimit, limits=deps.limits, memory=services.reader.memory)
    app.add_middleware(host_check.HostCheck, names=deps.hosts, public_url=deps.addresses.gateway)
    app.add_middleware(RequestContext, metrics=services.metrics)
    return app


def _document(generate: Callable[[], dict[str, Any]], deps: GatewayDeps) -> dict[str, Any]:
    return complete(generate(), deps.graph)


def _lifespan(deps: GatewayDeps) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deps.job_updates.start()
        try:
            yield
        finally:
            await app.state.services.replays.close()
            await app.state.services.publisher.backlog.close()
            await asyncio.to_thread(deps.job_updates.stop)

    return lifespan
