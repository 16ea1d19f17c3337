"""Every metric that a process serves: its name, what it means, and of whom. The reference page
follows from this table, and the exporters take names and help from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal


class Of(Enum):
    """Whose figure it is, which decides how figures of several pods go together."""

    INSTALLATION = "the installation"
    PROCESS = "the process"
    BOT = "the bot"


@dataclass(frozen=True)
class MetricSpec:
    """``name`` as prometheus_client takes it: a counter is served with ``_total`` behind it."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    of: Of
    help: str
    labels: tuple[str, ...] = ()

    @property
    def served_as(self) -> str:
        return f"{self.name}_total" if self.kind == "counter" else self.name


_OUTCOME = ("outcome", "strategy", "cluster")
_I, _P, _B = Of.INSTALLATION, Of.PROCESS, Of.BOT
METRICS = (
    MetricSpec("pilothouse_build_info", "gauge", _P, "1, with what runs", ("version", "python")),
    MetricSpec("pilothouse_redis_up", "gauge", _P, "1 while Redis answers"),
    MetricSpec(
        "pilothouse_configuration_refused",
        "gauge",
        _P,
        "1 while a changed catalog or credential has mistakes and what was loaded before stays",
    ),
    MetricSpec(
        "pilothouse_configuration_loaded_seconds",
        "gauge",
        _P,
        "When the catalog and the credentials in force were loaded, since 1970",
    ),
    MetricSpec("pilothouse_process_up", "gauge", _P, "1 while the process runs", ("process",)),
    MetricSpec(
        "pilothouse_process_restarts", "counter", _P, "Times it was started again", ("process",)
    ),
    MetricSpec(
        "pilothouse_process_resident_bytes", "gauge", _P, "Memory that it holds", ("process",)
    ),
    MetricSpec(
        "pilothouse_process_cpu_seconds",
        "counter",
        _P,
        "Processor time since it was last started",
        ("process",),
    ),
    MetricSpec("pilothouse_active_releases", "gauge", _I, "Releases that are not final"),
    MetricSpec("pilothouse_due", "gauge", _I, "Wake-ups that are planned"),
    MetricSpec("pilothouse_leased", "gauge", _I, "Wake-ups that are being worked on"),
    MetricSpec("pilothouse_overdue_seconds", "gauge", _I, "How late the oldest due wake-up is"),
    MetricSpec("pilothouse_queue_length", "gauge", _I, "Jobs that wait for a worker", ("queue",)),
    MetricSpec("pilothouse_releases", "counter", _I, "Releases that ended", _OUTCOME),
    MetricSpec(
        "pilothouse_release_seconds",
        "histogram",
        _I,
        "From the first tick of a release to its end, waits for people included",
        _OUTCOME,
    ),
    MetricSpec(
        "pilothouse_kubernetes_requests",
        "counter",
        _I,
        "Requests to API servers by status, or why there is none",
        ("cluster", "method", "code"),
    ),
    MetricSpec(
        "pilothouse_kubernetes_request_seconds",
        "counter",
        _I,
        "Time spent in requests to API servers",
        ("cluster",),
    ),
    MetricSpec(
        "pilothouse_cluster_left_alone",
        "gauge",
        _I,
        "1 while a process sends it nothing but rollbacks, since it failed several times in a row",
        ("cluster",),
    ),
    MetricSpec(
        "pilothouse_kubernetes_budget_left",
        "gauge",
        _I,
        "Requests that a process may still send it at once: the least of any, within a minute",
        ("cluster",),
    ),
    MetricSpec(
        "pilothouse_kubernetes_budget_waits",
        "counter",
        _I,
        "Requests that waited, since their process had sent too many",
        ("cluster",),
    ),
    MetricSpec(
        "pilothouse_kubernetes_budget_wait_seconds",
        "counter",
        _I,
        "How long they waited",
        ("cluster",),
    ),
    MetricSpec(
        "pilothouse_slack_calls",
        "counter",
        _I,
        "Calls to Slack by its word for an error, or why there is no answer",
        ("method", "code"),
    ),
    MetricSpec(
        "pilothouse_slack_call_seconds", "counter", _I, "Time spent in calls to Slack", ("method",)
    ),
    MetricSpec(
        "pilothouse_slack_budget_left",
        "gauge",
        _I,
        "Edits, or posts in a channel, that may be sent at once; 0 while Slack asks to wait",
        ("budget",),
    ),
    MetricSpec(
        "pilothouse_slack_budget_waiting",
        "gauge",
        _I,
        "Cards and messages that wait for that budget",
        ("budget",),
    ),
    MetricSpec("pilothouse_jobs", "counter", _I, "Jobs that ended", ("kind", "outcome")),
    MetricSpec("pilothouse_job_seconds", "counter", _I, "Time spent in jobs", ("kind",)),
    MetricSpec(
        "pilothouse_jobs_refused",
        "counter",
        _I,
        "Jobs in a queue that Pilothouse did not enqueue",
        ("queue",),
    ),
    MetricSpec("pilothouse_leases_taken_over", "counter", _I, "Jobs that were lost and run again"),
    MetricSpec(
        "pilothouse_writes_withheld",
        "counter",
        _I,
        "Writes that were not sent because they would have broken a promise: a defect to report",
        ("promise",),
    ),
    MetricSpec(
        "pilothouse_slack_requests",
        "counter",
        _B,
        "Requests from Slack by answer",
        ("kind", "status"),
    ),
    MetricSpec(
        "pilothouse_slack_ack_seconds", "histogram", _B, "Seconds to acknowledge", ("kind",)
    ),
    MetricSpec(
        "pilothouse_api_requests",
        "counter",
        _B,
        "Requests of machines by route and answer",
        ("route", "status"),
    ),
    MetricSpec(
        "pilothouse_api_request_seconds",
        "histogram",
        _B,
        "Seconds to answer them; of a stream, to begin it",
        ("route",),
    ),
    MetricSpec(
        "pilothouse_http_rejected",
        "counter",
        _B,
        "HTTP requests refused before anything was done, by reason",
        ("reason",),
    ),
    MetricSpec(
        "pilothouse_http_server_errors",
        "counter",
        _B,
        "HTTP responses with a status from 500, by path",
        ("path",),
    ),
)
_BY_NAME = {spec.name: spec for spec in METRICS}


def metric(name: str) -> MetricSpec:
    return _BY_NAME[name]
