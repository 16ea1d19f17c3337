"""The catalog's settings that bind a release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bot.releases.facts.counters import MetricRules
from bot.releases.facts.people import Voters
from bot.releases.facts.target import Strategy

STARTER = "starter"
"""Where a failure is told: in a direct message to the person who started the release."""


@dataclass(frozen=True)
class CanaryRules:
    steps: tuple[int, ...] = (20, 50)  # percent of traffic before the promotion
    hold_ms: int = 120_000
    promote: Literal["approval", "automatic"] = "approval"
    mode: Literal["add", "shift"] = "add"
    max_candidates: int | None = None  # None: as many as stable has


@dataclass(frozen=True)
class BlueGreenRules:
    rollback_window_ms: int = 600_000
    promote: Literal["approval", "automatic"] = "approval"
    preview: bool = False
    settle: Literal["roll", "keep"] = "roll"
    judge: Literal["rollback", "ask", "off"] = "rollback"  # where green's answers turn out bad


@dataclass(frozen=True)
class ApprovalRules:
    start: int = 0
    promote: int = 1
    requester_may_approve: bool = False
    expires_ms: int = 3_600_000
    on_expiry: Literal["hold", "abort"] = "hold"
    confirm: bool = True  # ask before what changes production for all
    remind_ms: tuple[int, ...] = ()  # after the question; then every hour once it is overdue
    start_voters: Voters = field(default_factory=Voters)
    promote_voters: Voters = field(default_factory=Voters)


@dataclass(frozen=True)
class ProbeRules:
    url: str | None = None  # None: through the API server's service proxy
    path: str = "/version"
    requests: int = 20
    status: tuple[int, int] = (200, 399)
    contains: str = ""
    within_ms: int = 1_000


@dataclass(frozen=True)
class JudgeRules:
    """``worse_by``: the worsening that counts, ``false_alarms``: for a whole release; both as
    parts of 1. ``extend_ms``: a hold that ends with too little is lengthened once. ``metrics``
    None: the probe alone says whether a version is good."""

    worse_by: float = 0.01
    false_alarms: float = 0.01
    extend_ms: int = 300_000
    metrics: MetricRules | None = None


@dataclass(frozen=True)
class Rules:
    """The catalog's settings that bind a release, copied when it is created: later edits never
    change one that runs."""

    canary: CanaryRules = CanaryRules()
    bluegreen: BlueGreenRules = BlueGreenRules()
    approvals: ApprovalRules = ApprovalRules()
    probe: ProbeRules | None = None
    judge: JudgeRules | None = None  # None: answers may stop a release, and need not pass it
    on_failure: Literal["rollback", "pause"] = "rollback"
    ready_within_ms: int = 120_000
    crash_loop_restarts: int = 3
    crash_loop_for_ms: int = 60_000
    managed_elsewhere: Literal["refuse", "warn"] = "refuse"
    # leave: a person raises an autoscaler's minReplicas where stable is to carry more
    autoscaler_min_replicas: Literal["leave", "raise"] = "leave"
    scale_min: int = 0
    scale_max: int | None = None
    watch_after_ms: int = 600_000
    evidence_logs: Literal["off", "starter", "channel"] = "starter"
    failure_to: tuple[str, ...] = ()
    """Where else a failure is told: ids of channels, and STARTER."""
    mention: str = ""
    """Id of the person or the group whom a failure mentions beside the starter."""
    tell_outside: bool = True
    """Whether the channel hears of what is changed outside Pilothouse."""
    links: tuple[tuple[str, str], ...] = ()  # (name, template)
    own_strategy: Strategy = Strategy.ROLLING  # the app's, where a command names no other
    strategies: tuple[Strategy, ...] = tuple(Strategy)  # those that may bring a new version
    emergency: tuple[Strategy, ...] = ()  # those that an admin may use, with a reason

    @property
    def metrics(self) -> MetricRules | None:
        return self.judge.metrics if self.judge is not None else None

    @property
    def own_strategy_asks(self) -> bool:
        """Whether the app's own strategy waits for an approval before everyone gets a version."""
        return self._promotion_asks(self.own_strategy)

    def asks_approvers(self, strategy: Strategy) -> bool:
        """Whether a release by this strategy waits for an approver, at its start or later."""
        return self.approvals.start > 0 or self.own_strategy_asks or self._promotion_asks(strategy)

    def _promotion_asks(self, strategy: Strategy) -> bool:
        if self.approvals.promote < 1:
            return False
        match strategy:
            case Strategy.CANARY:
                return self.canary.promote == "approval"
            case Strategy.BLUEGREEN:
                return self.bluegreen.promote == "approval"
            case Strategy.ROLLING:
                return False
