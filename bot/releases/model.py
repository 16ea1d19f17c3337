"""The release record and the words it is made of. All times are integer milliseconds of Redis TIME."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from bot.releases.plan import Plan, Step

Json: TypeAlias = Any
"""A JSON value as the Kubernetes API returns it (dict, list, str, int, float, bool or None)."""


class Strategy(StrEnum):
    ROLLING = "rolling"
    CANARY = "canary"
    BLUEGREEN = "bluegreen"


CANDIDATE_SUFFIX = {Strategy.CANARY: "-canary", Strategy.BLUEGREEN: "-green"}


class Phase(StrEnum):
    QUEUED = "queued"
    AWAITING_APPROVAL = "awaiting_approval"
    PROGRESSING = "progressing"
    HOLDING = "holding"
    AWAITING_PROMOTION = "awaiting_promotion"
    PAUSED = "paused"
    DRIFTED = "drifted"
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL_PHASES


WAITING_PHASES = frozenset({Phase.AWAITING_APPROVAL, Phase.HOLDING, Phase.AWAITING_PROMOTION, Phase.PAUSED, Phase.DRIFTED})
FINAL_PHASES = frozenset({Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED, Phase.REJECTED, Phase.EXPIRED})


@dataclass(frozen=True)
class Person:
    """Identity is (team, user); the name is for reading only."""

    team: str
    user: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Target:
    """Which objects a release is about: the catalog entry as it was when the release was created."""

    app: str
    cluster: str
    namespace: str
    deployment: str
    container: str | None  # None: the only container
    services: tuple[str, ...] = ()
    version_label: str | None = None
    images: tuple[str, ...] = ()  # allowed repositories; empty: the one now running
    idle: str = ""  # the catalog's Deployment, where an earlier release left the other one of the pair serving


def usual_candidate(target: Target, strategy: Strategy) -> str:
    """Where a strategy puts its candidate beside the Deployment; "" where it has none."""
    if strategy is Strategy.BLUEGREEN and target.idle:
        return target.idle
    return target.deployment + CANDIDATE_SUFFIX[strategy] if strategy in CANDIDATE_SUFFIX else ""


def usual_candidates(target: Target) -> tuple[str, ...]:
    """Every name that a candidate of this Deployment may have."""
    return tuple(usual_candidate(target, strategy) for strategy in CANDIDATE_SUFFIX)


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


@dataclass(frozen=True)
class ProbeRules:
    url: str | None = None  # None: through the API server's service proxy
    path: str = "/version"
    requests: int = 20


@dataclass(frozen=True)
class Rules:
    """The catalog's settings that bind a release, copied when it is created: later edits never change one that runs."""

    canary: CanaryRules = CanaryRules()
    bluegreen: BlueGreenRules = BlueGreenRules()
    approvals: ApprovalRules = ApprovalRules()
    probe: ProbeRules | None = None
    on_failure: Literal["rollback", "pause"] = "rollback"
    ready_within_ms: int = 120_000
    crash_loop_restarts: int = 3
    crash_loop_for_ms: int = 60_000
    managed_elsewhere: Literal["refuse", "warn"] = "refuse"
    scale_min: int = 0
    scale_max: int | None = None
    watch_after_ms: int = 600_000
    evidence_logs: Literal["off", "starter", "channel"] = "starter"


# --- what was asked -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deploy:
    """Bring the app to a version: a tag, a digest (``sha256:…``) or a full image reference of an allowed repository."""

    version: str
    strategy: Strategy = Strategy.ROLLING
    steps: tuple[int, ...] | None = None  # None: the catalog's
    hold_ms: int | None = None
    sticky: bool = False
    kind: Literal["deploy"] = "deploy"


@dataclass(frozen=True)
class Scale:
    replicas: int
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True)
class Restart:
    kind: Literal["restart"] = "restart"


@dataclass(frozen=True)
class Undo:
    to_revision: int | None = None
    template: Json = None  # the template chosen when the release was created; None: chosen at plan time
    kind: Literal["undo"] = "undo"


@dataclass(frozen=True)
class Reapply:
    """The template that a server-side dry run of the app's manifests gave, with the live image and replicas kept."""

    template: Json
    kind: Literal["apply"] = "apply"


Change: TypeAlias = Deploy | Scale | Restart | Undo | Reapply


# --- what was there -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeploymentAsFound:
    name: str
    uid: str
    template: Json
    replicas: int
    paused: bool
    selector: Json
    strategy: Json
    labels: dict[str, str]
    annotations: dict[str, str]  # foreign ones and the change cause; never revision or pilothouse.dev/*
    revision: int
    min_ready_seconds: int = 0
    progress_deadline_seconds: int = 600


@dataclass(frozen=True)
class ServiceAsFound:
    name: str
    uid: str
    selector: dict[str, str]
    affinity: Json  # {"sessionAffinity": ..., "sessionAffinityConfig": ...}


@dataclass(frozen=True)
class AsFound:
    """Saved by a tick that writes nothing to the cluster; what an abort or a rollback restores."""

    cluster_uid: str
    at: int
    stable: DeploymentAsFound
    services: tuple[ServiceAsFound, ...]
    candidate: DeploymentAsFound | None = None  # one made by hand and adopted


# --- what is intended -----------------------------------------------------------------------------------------------


class Kind(StrEnum):
    DEPLOYMENT = "Deployment"
    SERVICE = "Service"


class Field(StrEnum):
    """Fields of an object that a release writes or depends on."""

    EXISTS = "exists"
    CLAIM = "claim"  # annotation pilothouse.dev/release
    TEMPLATE = "template"
    REPLICAS = "replicas"
    PAUSED = "paused"
    CHANGE_CAUSE = "change_cause"
    STRATEGY = "strategy"
    SELECTOR = "selector"
    AFFINITY = "affinity"


@dataclass(frozen=True)
class Intent:
    """What one field shall be. Seen ``after``: as intended; ``before``, never confirmed: to be written; else drift."""

    kind: Kind
    name: str
    field: Field
    before: Json
    after: Json
    confirmed: bool = False  # once seen as intended
    written: bool = False  # the release set it, so the way back restores it
    reverts: int = 0  # how often a change that was not ours was seen
    pending: Literal["", "rewrite", "adopt", "restore"] = ""
    """How a difference is met until it is gone: write ours again, keep theirs (both asked for by a person), or nothing yet: the way
    back sets the field, and until then it may be anything."""
    instead_of: Json = None  # what the plan wanted where a person kept another value; holds until the plan wants something new


# --- what was seen, kept for the card --------------------------------------------------------------------------------


@dataclass(frozen=True)
class PodLine:
    name: str
    role: Literal["stable", "candidate"]
    version: str
    image: str
    ready: bool
    status: str  # as kubectl's STATUS column: Running, ImagePullBackOff, Terminating…
    restarts: int
    node: str
    created_at: int
    is_new: bool  # runs the version that the release brings


@dataclass(frozen=True)
class VersionCount:
    role: Literal["stable", "candidate"]
    version: str
    is_new: bool
    pods: int
    ready: int
    endpoints: int  # ready endpoints in the app's Services


@dataclass(frozen=True)
class Sighting:
    """What the last look saw, as far as a card shows it; never used to decide."""

    desired: int = 0
    updated: int = 0
    available: int = 0
    versions: tuple[VersionCount, ...] = ()
    pods: tuple[PodLine, ...] = ()  # at most SIGHTING_PODS
    pods_total: int = 0
    serving: Literal["stable", "candidate", "both", "none", ""] = ""
    share: int | None = None  # percent of the ready endpoints that run the new version, while there is a candidate
    serving_since: int = 0  # when it was first seen so; 0: it was so when the release first looked


SIGHTING_PODS = 60


class FailureClass(StrEnum):
    PERMANENT = "permanent"
    PERSISTENT = "persistent"
    ENVIRONMENT = "environment"
    DEADLINE = "deadline"
    VERDICT = "verdict"
    DRIFT = "drift"
    REFUSED = "refused"  # the API server or the plan refused it
    REQUEST = "request"  # a person asked


@dataclass(frozen=True)
class Cause:
    """Why a release failed, was paused or was taken back: one line first, evidence next."""

    failure: FailureClass
    summary: str
    evidence: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()  # redacted lines, at most 10


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"
    TOO_LITTLE = "too_little"


@dataclass(frozen=True)
class Judgement:
    at: int
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Vote:
    by: Person
    at: int


@dataclass(frozen=True)
class GateState:
    """The gate a release stands at. ``waited_ms`` counts time before the last pause."""

    step: int
    gate: int
    opened_at: int
    votes: tuple[Vote, ...] = ()
    reminded: int = 0
    skipped: bool = False  # a person ended a hold early
    baseline: Json = None  # counters of stable and candidate pods when a hold began, for judging


class Leg(StrEnum):
    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True)
class Drift:
    name: str
    kind: Kind
    field: Field
    intended: str
    observed: str
    manager: str  # field manager that owns the field now, as managedFields tells


@dataclass(frozen=True)
class Release:
    """One attempt to bring one app to one version (or scale, restart, undo, reapply it)."""

    id: str
    target: Target
    rules: Rules
    change: Change
    requested_by: Person
    channel: str
    reason: str
    created_at: int
    phase: Phase = Phase.QUEUED
    command: str = ""  # what was typed, normalised: the card shows it
    card_ts: str = ""  # Slack's ts of the card once posted
    queued_behind: str = ""
    version: int = 0  # the store's compare-and-set counter
    from_version: str = ""  # what ran before, as people read it: "1.0.0"
    to_version: str = ""
    as_found: AsFound | None = None
    plan: Plan | None = None
    plan_changed: str = ""  # why it was made again before the start: what void buttons are answered with
    leg: Leg = Leg.FORWARD
    back: tuple[Step, ...] = ()  # the way back, computed when it begins
    at_step: int = 0
    step_began_at: int = 0
    step_paused_ms: int = 0  # time in this step that does not count against its deadline
    gate: GateState | None = None
    passed: tuple[str, ...] = ()  # names of gates that were passed, with who
    intents: tuple[Intent, ...] = ()
    drift: tuple[Drift, ...] = ()
    phase_since: int = 0
    paused_from: Phase | None = None
    drifted_from: Phase | None = None
    tolerated: tuple[str, ...] = ()  # failing pods that a person saw and went on in spite of
    ends_as: Phase | None = None  # final phase once the way back is done
    cause: Cause | None = None
    environment: Cause | None = None  # shown and asked about, never rolled back for
    environment_since: int = 0
    environment_asked: bool = False
    failing_since: int = 0
    probe_failure: str = ""  # why the candidate's pods do not answer the plan's probe; "" while they do
    judgements: tuple[Judgement, ...] = ()
    unreachable_since: int = 0
    unreachable_why: str = ""
    reminded_at: int = 0  # when people were last reminded of a wait that has no gate
    sighting: Sighting = Sighting()
    stale_claim: str = ""  # a release of ours that is over, whose claim a `kubectl rollout undo` brought back
    usual_ms: int = 0  # p95 of this app's earlier rolls; 0: no history
    started_at: int = 0
    finished_at: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        if self.leg is Leg.BACK:
            return self.back
        return self.plan.steps if self.plan else ()

    @property
    def strategy(self) -> Strategy:
        return self.change.strategy if isinstance(self.change, Deploy) else Strategy.ROLLING

    @property
    def candidate_name(self) -> str:
        """The candidate Deployment's name; "" where the strategy has none."""
        return self.plan.candidate if self.plan else ""
