"""Addresses, health, metrics and the AsyncAPI document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from gateway.services import Gateway

router = APIRouter(tags=["system"])


class Info(BaseModel):
    """Addresses of the running system, without secrets, for example for other Kafka clients."""

    gateway: str = Field(examples=["http://127.0.0.1:8000"])
    kafka: str = Field(description="host:port", examples=["127.0.0.1:9092"])
    artifacts: str = Field(examples=["s3://minio:9000/lookstream"])
    jobs: str = Field(examples=["mongodb://mongo:27017/lookstream"])


class Dependency(BaseModel):
    status: Literal["up", "down"]
    reason: str | None = Field(default=None, exclude_if=lambda reason: reason is None)


class Ready(BaseModel):
    """`down`, with status 503, if any dependency is down."""

    status: Literal["up", "down"]
    dependencies: dict[str, Dependency]


class Live(BaseModel):
    status: Literal["up"] = "up"


@router.get("/v1/info", operation_id="readInfo", summary="Get the system's addresses")
async def info(gateway: Gateway) -> Info:
    return Info(**asdict(gateway.deps.addresses))


@router.get("/health/live", operation_id="isLive", summary="Check that the process runs")
async def live() -> Live:
    return Live()


@router.get(
    "/health/ready",
    response_model=Ready,
    responses={503: {"model": Ready, "description": "a dependency is down"}},
    operation_id="isReady",
    summary="Check the dependencies",
)
async def ready(gateway: Gateway) -> Response:
    reasons = await gateway.readiness.reasons()
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


@router.get(
    "/asyncapi.json",
    response_class=JSONResponse,
    responses={200: {"description": "an AsyncAPI 3.0 document"}},
    operation_id="readEvents",
    summary="Get the description of the events",
)
async def events(gateway: Gateway) -> dict[str, Any]:
    return dict(gateway.deps.events)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus format"}},
    operation_id="readMetrics",
    summary="Get the gateway's metrics",
)
async def metrics(gateway: Gateway) -> Response:
    return Response(gateway.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
