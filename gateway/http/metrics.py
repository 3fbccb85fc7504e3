"""The gateway's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# A long poll may take a minute.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts requests by route template, so that the number of label values is bounded."""

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
            "Time until the answer begins, including long polls",
            ["route", "method"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._photos = Counter(
            "lookstream_gateway_photos_total",
            "Submitted photos: accepted, or rejected by code",
            ["outcome", "code"],
            registry=self.registry,
        )
        self._unpublished = Counter(
            "lookstream_gateway_unpublished_total",
            "Photos accepted while Kafka was unavailable; published when it is back",
            registry=self.registry,
        )

        self._photos.labels("accepted", "")
        self.backlog = Gauge(
            "lookstream_gateway_backlog_events",
            "Events that wait for Kafka",
            registry=self.registry,
        )
        self.sse_listeners = Gauge(
            "lookstream_gateway_sse_listeners",
            "Open event streams",
            registry=self.registry,
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request by the route in ``scope``."""
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
        """Return all metrics in Prometheus text format."""
        return generate_latest(self.registry)
