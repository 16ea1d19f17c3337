"""What the bot counts of HTTP: requests from Slack, requests it refused, and its own failures."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from platform import python_version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.metric_table import metric
from bot.readiness import Readiness

REASONS = (
    "signature",
    "too_large",
    "too_slow",
    "too_many",
    "unreadable",
    "malformed_http",
    "no_such_path",
)
PATHS = ("/slack/events", "/healthz", "/readyz", "/metrics")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)


def _described(name: str) -> tuple[str, str, tuple[str, ...]]:
    spec = metric(name)
    return spec.name, spec.help, spec.labels


class RequestMetrics:
    """Requests from Slack with the time to acknowledge each; refused requests by reason; every
    5xx."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        Gauge(*_described("pilothouse_build_info"), registry=self.registry).labels(
            version("pilothouse"), python_version()
        ).set(1)
        self.requests = Counter(
            *_described("pilothouse_slack_requests"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            *_described("pilothouse_slack_ack_seconds"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.api_requests = Counter(*_described("pilothouse_api_requests"), registry=self.registry)
        self.api_seconds = Histogram(
            *_described("pilothouse_api_request_seconds"), buckets=_BUCKETS, registry=self.registry
        )
        self.rejected = Counter(
            *_described("pilothouse_http_rejected"),
            registry=self.registry,
        )
        self.failures = Counter(
            *_described("pilothouse_http_server_errors"),
            registry=self.registry,
        )
        for reason in REASONS:
            self.rejected.labels(reason)
        for path in PATHS:
            self.failures.labels(path)

    def watch_redis(self, readiness: Readiness) -> None:
        """Reads Redis when scraped."""
        up = Gauge(*_described("pilothouse_redis_up"), registry=self.registry)
        up.set_function(lambda: float(readiness.read().is_reached))

    def watch_configuration(
        self, loaded_at: Callable[[], float], refused: Callable[[], float]
    ) -> None:
        for name, read in (
            ("pilothouse_configuration_loaded_seconds", loaded_at),
            ("pilothouse_configuration_refused", refused),
        ):
            Gauge(*_described(name), registry=self.registry).set_function(read)

    def observe(self, kind: str, status: int, seconds: float) -> None:
        self.requests.labels(kind, str(status)).inc()
        self.seconds.labels(kind).observe(seconds)

    def observe_api(self, route: str, status: int, seconds: float) -> None:
        self.api_requests.labels(route, str(status)).inc()
        self.api_seconds.labels(route).observe(seconds)

    def reject(self, reason: str) -> None:
        self.rejected.labels(reason).inc()


class CountingResponses:
    """An ASGI application that counts the failures and wrong addresses of the one inside it."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(path, message["status"])
            await send(message)

        await self._app(scope, receive, counted)

    def _count(self, path: str, status: int) -> None:
        if status >= 500:
            # A stranger chooses the path, so only known ones become labels.
            self._metrics.failures.labels(path if path in PATHS else "other").inc()
        elif status == 405 or (status == 404 and path not in PATHS):
            self._metrics.reject("no_such_path")
