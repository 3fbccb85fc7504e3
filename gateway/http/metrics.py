"""The gateway's own numbers, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Long polls may take a minute on purpose.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests by route template, so that no label grows with the traffic."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lookstream_gateway_requests_total",
            "Requests answered",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lookstream_gateway_request_seconds",
            "Time until the answer begins, long polls included",
            ["route", "method"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._photos = Counter(
            "lookstream_gateway_photos_total",
            "Photos handed over: accepted, or rejected by code",
            ["outcome", "code"],
            registry=self.registry,
        )
        self._unpublished = Counter(
            "lookstream_gateway_unpublished_total",
            "Photos accepted while Kafka was out of reach, left to the sweeper",
            registry=self.registry,
        )

        self._photos.labels("accepted", "")
        self.sse_listeners = Gauge(
            "lookstream_gateway_sse_listeners",
            "Streams of events that are open",
            registry=self.registry,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request; ``scope`` has been routed, unless nothing matched."""
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method).observe(seconds)

    def accepted(self, photos: int) -> None:
        self._photos.labels("accepted", "").inc(photos)

    def rejected(self, code: str) -> None:
        self._photos.labels("rejected", code).inc()

    def unpublished(self, photos: int) -> None:
        self._unpublished.inc(photos)

    def exposition(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)
