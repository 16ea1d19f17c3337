"""What the bot counts of HTTP: requests from Slack, requests it refused, and its own failures."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class RequestMetrics:
    """Requests from Slack with the time to acknowledge each; refused requests by reason; every
    5xx."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "pilothouse_slack_requests",
            "Requests from Slack by answer",
            ("kind", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "pilothouse_slack_ack_seconds",
            "Seconds to acknowledge",
            ("kind",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rejected = Counter(
            "pilothouse_http_rejected",
            "HTTP requests refused before anything was done, by reason",
            ("reason",),
            registry=self.registry,
        )
        self.failures = Counter(
            "pilothouse_http_server_errors",
            "HTTP responses with a status from 500, by path",
            ("path",),
            registry=self.registry,
        )
        for reason in REASONS:
            self.rejected.labels(reason)
        for path in PATHS:
            self.failures.labels(path)

    def observe(self, kind: str, status: int, seconds: float) -> None:
        self.requests.labels(kind, str(status)).inc()
        self.seconds.labels(kind).observe(seconds)

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
