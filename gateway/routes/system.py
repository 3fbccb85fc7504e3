"""Where the system is, whether it lives and is ready, and its numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from gateway.deps import GatewayDeps
from gateway.http.metrics import Metrics
from gateway.http.readiness import Readiness


class Info(BaseModel):
    """Where the running system is, secrets left out, so that any Kafka client can join in."""

    gateway: str = Field(examples=["http://127.0.0.1:8000"])
    kafka: str = Field(description="host:port", examples=["127.0.0.1:9092"])
    artifacts: str = Field(examples=["s3://minio:9000/lookstream"])
    jobs: str = Field(examples=["mongodb://mongo:27017/lookstream"])


class Dependency(BaseModel):
    status: Literal["up", "down"]
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)


class Ready(BaseModel):
    """`down` when any dependency is, with status 503."""

    status: Literal["up", "down"]
    dependencies: dict[str, Dependency]


class Live(BaseModel):
    status: Literal["up"] = "up"


class SystemRoutes:
    """`/v1/info`, `/asyncapi.json`, `/health/live`, `/health/ready` and `/metrics`."""

    def __init__(self, deps: GatewayDeps, metrics: Metrics) -> None:
        self._addresses = deps.addresses
        self._events = deps.events
        self._metrics = metrics

        async def check_artifacts() -> None:
            await run_in_threadpool(deps.artifacts.check)

        self._readiness = Readiness(
            {
                "kafka": deps.publisher.check,
                "artifacts": check_artifacts,
                "jobs": deps.jobs.check,
            }
        )

    def router(self) -> APIRouter:
        router = APIRouter(tags=["system"])
        router.add_api_route(
            "/v1/info",
            self.info,
            response_model=Info,
            operation_id="readInfo",
            summary="Where the system is",
        )
        router.add_api_route(
            "/health/live",
            self.live,
            response_model=Live,
            operation_id="isLive",
            summary="Is the process alive",
        )
        router.add_api_route(
            "/health/ready",
            self.ready,
            response_model=Ready,
            responses={503: {"model": Ready, "description": "a dependency is down"}},
            operation_id="isReady",
            summary="Which dependency is down",
        )
        router.add_api_route(
            "/asyncapi.json",
            self.events,
            response_class=JSONResponse,
            responses={200: {"description": "an AsyncAPI 3.0 document"}},
            operation_id="readEvents",
            summary="The events, for those who publish or read them",
        )
        router.add_api_route(
            "/metrics",
            self.metrics,
            response_class=Response,
            responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' format"}},
            operation_id="readMetrics",
            summary="The gateway's own numbers",
        )
        return router

    async def info(self) -> Info:
        return Info(**asdict(self._addresses))

    async def events(self) -> dict[str, Any]:
        return dict(self._events)

    async def live(self) -> Live:
        return Live()

    async def ready(self) -> Response:
        reasons = await self._readiness.reasons()
        dependencies = {
            name: Dependency(status="up" if reason is None else "down", reason=reason)
            for name, reason in reasons.items()
        }
        down = any(reasons.values())
        body = Ready(status="down" if down else "up", dependencies=dependencies)
        return JSONResponse(
            body.model_dump(mode="json"),
            status_code=503 if down else 200,
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self) -> Response:
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
