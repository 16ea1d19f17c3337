"""The catalog's settings that bind a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bot.releases.facts.target import Strategy


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


@dataclass(frozen=True)
class ApprovalRules:
    start: int = 0
    promote: int = 1
    requester_may_approve: bool = False
    expires_ms: int = 3_600_000
    on_expiry: Literal["hold", "abort"] = "hold"
    confirm: bool = True  # ask before what changes production for all
    remind_ms: tuple[int, ...] = ()  # after the question; then every hour once it is overdue


@dataclass(frozen=True)
class ProbeRules:
    url: str | None = None  # None: through the API server's service proxy
    path: str = "/version"
    requests: int = 20


@dataclass(frozen=True)
class Rules:
    """The catalog's settings that bind a release, copied when it is created: later edits never
    change one that runs."""

    canary: CanaryRules = CanaryRules()
    bluegreen: BlueGreenRules = BlueGreenRules()
    approvals: ApprovalRules = ApprovalRules()
    probe: ProbeRules | None = None
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
    links: tuple[tuple[str, str], ...] = ()  # (name, template)
    own_strategy: Strategy = Strategy.ROLLING  # the app's, where a command names no other

    @property
    def own_strategy_asks(self) -> bool:
        """Whether the app's own strategy waits for an approval before everyone gets a version."""
        if self.approvals.promote < 1:
            return False
        match self.own_strategy:
            case Strategy.CANARY:
                return self.canary.promote == "approval"
            case Strategy.BLUEGREEN:
                return self.bluegreen.promote == "approval"
            case Strategy.ROLLING:
                return False
