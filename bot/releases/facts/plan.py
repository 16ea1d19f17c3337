"""What a release will do, as data: steps, the goals of each, and the gates after it.

A step sets goals in order and is reached when its ``until`` conditions hold; then its gates are
passed in order. The engine interprets any plan; strategies only write plans.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from bot.releases.facts.people import Voters


class Side(StrEnum):
    STABLE = "stable"
    CANDIDATE = "candidate"


class Condition(StrEnum):
    """A claim about an observation, evaluated by :mod:`bot.releases.assess.conditions`
    (``holds``)."""

    STABLE_COMPLETE = "stable complete"  # as kubectl rollout status means it
    STABLE_SCALED = "stable complete but for the pods that were unready as found"
    STABLE_BACK = "stable complete, or no worse than as found and without pods that came since"
    CANDIDATE_COMPLETE = "candidate complete"
    CANDIDATE_MATCHES_STABLE = "candidate at least as many ready as stable has now"
    CANDIDATE_SILENT = "candidate without ready endpoints and pods"
    CANDIDATE_GONE = "candidate gone"
    CANDIDATE_SELECTED = "the Services' candidate selector matches ready candidate pods"
    STABLE_SELECTED = "the Services' original selector matches ready stable pods"
    SERVED_BY_CANDIDATE = "every ready endpoint is a candidate's"
    SERVED_BY_STABLE = "every ready endpoint is stable's"
    CANDIDATE_SERVES = "every Service has ready endpoints of the candidate"
    STABLE_SERVES = "every available stable pod is a ready endpoint of every Service"
    STABLE_RESELECTED = "the Services' selectors of the end match all the ready pods stable wants"
    STABLE_TAKES_OVER = (
        "the original selectors match enough of stable's present pods, or any where a Service has"
        " nobody"
    )
    CANDIDATE_LISTED = "every available candidate pod is a ready endpoint of every Service"
    CANDIDATE_UNUSED = "no Service of the app has a ready endpoint of the candidate"
    CANDIDATE_ANSWERS = "the candidate's pods answered the probe in this very look"


@dataclass(frozen=True)
class DeploymentGoal:
    """Fields of a Deployment to set; None leaves a field alone. Written as one patch."""

    side: Side
    template: Any = None
    replicas: int | None = None
    at_most_share: int | None = (
        # fewer replicas where they would be more than this percent beside stable's present ones
        None
    )
    # replicas are meant beside so many of stable: in proportion where it was scaled since, within
    # an autoscaler's maximum, and never fewer again
    beside: int | None = None
    at_most: int | None = None
    # as many as stable has now, which an autoscaler or a person may raise; never fewer again
    at_least_stable: bool = False
    # raised to what the other side serves with, and to ``replicas`` where given; never lowered, and
    # an autoscaler keeps the field
    carries_load: bool = False
    paused: bool | None = None
    change_cause: str | None = None  # "" removes it
    claimed: bool | None = None
    create_from: Any = None  # full body; created inert (replicas 0, claimed) when it does not exist
    when: tuple[Condition, ...] = ()  # this goal and later ones wait for these
    kind: Literal["deployment"] = "deployment"


@dataclass(frozen=True)
class ServiceGoal:
    name: str
    selector: dict[str, str] | None = None
    affinity: Any = None
    create_from: Any = None
    when: tuple[Condition, ...] = ()
    kind: Literal["service"] = "service"


@dataclass(frozen=True)
class AbsentGoal:
    """An object made by the release (or adopted by it) must be gone."""

    object: Literal["Deployment", "Service"]
    name: str
    when: tuple[Condition, ...] = ()
    kind: Literal["absent"] = "absent"


Goal: TypeAlias = DeploymentGoal | ServiceGoal | AbsentGoal


class Confirmation(StrEnum):
    """Gates before the start at which one person confirms what the plan found."""

    DOWNTIME = "downtime"
    UNHEALTHY = "unhealthy"
    ADOPTION = "adoption"
    LOCAL_TRAFFIC = "local traffic"


@dataclass(frozen=True)
class ApprovalGate:
    """Waits for people. ``name`` is what a button carries: start, promote, switch."""

    name: str
    quorum: int
    requester_may_approve: bool
    expires_ms: int
    on_expiry: Literal["hold", "abort"]
    title: str = ""
    role: Literal["approver", "deployer", "admin"] = "approver"  # who may approve
    voters: Voters = field(
        default_factory=Voters
    )  # groups that must agree; none: anyone with the role
    kind: Literal["approval"] = "approval"


@dataclass(frozen=True)
class HoldGate:
    """Waits for time while health is still watched; ``judged`` compares candidate with stable."""

    name: str
    ms: int
    judged: bool = False
    title: str = ""
    is_rollback_window: bool = False  # traffic is switched; one click returns it
    kind: Literal["hold"] = "hold"


Gate: TypeAlias = ApprovalGate | HoldGate


@dataclass(frozen=True)
class Step:
    """``share`` and ``wanted_share`` are percents of traffic at the new version, where the step
    sets one."""

    name: str
    title: str
    goals: tuple[Goal, ...]
    until: tuple[Condition, ...]
    deadline_ms: int | None = None
    gates: tuple[Gate, ...] = ()
    share: int | None = None
    wanted_share: int | None = None
    candidates: int | None = None  # replicas of the candidate in this step, for the card
    stables: int | None = None
    # its goals wait so much longer than their conditions say, for what no observation shows
    after_ms: int = 0
    watches: tuple[Side, ...] = ()  # whose new pods are judged for failure during it
    keeps_candidate: bool = False  # a rollback that leaves the candidate; the title says why
    # what takes over carries the load first: it is raised, and waited for
    waits_for_capacity: bool = False
    # past the point of no return: only a person, or the new version itself, rolls back
    committed: bool = False
    judges_roll: bool = False  # new pods are asked beside old ones, as soon as one is ready


@dataclass(frozen=True)
class Probe:
    """What pods are asked: the candidate's before people are sent there, ``requests`` times in all
    or once each; and both sides, ``requests`` times each, while the candidate is judged.

    An answer is good with a status from ``status[0]`` to ``status[1]`` that holds ``contains`` and
    is there ``within_ms``.
    """

    path: str
    port: int
    requests: int
    scheme: Literal["http", "https"] = "http"
    status: tuple[int, int] = (200, 399)
    contains: str = ""
    within_ms: int = 1_000


LET_GO = Step(
    "finish",
    "let go of the Deployment",
    (DeploymentGoal(Side.STABLE, claimed=False),),
    (),
    committed=True,
)


@dataclass(frozen=True)
class Plan:
    """Computed before the start. ``floor``: available stable pods never fall below it because of
    us."""

    image: str
    version: str
    from_image: str
    from_version: str
    start: tuple[Gate, ...]
    steps: tuple[Step, ...]
    candidate: str = ""
    floor: int = 0
    deadline_ms: int = 0
    notes: tuple[str, ...] = ()  # what people should know: shares reached, warnings
    down: bool = False  # the app will be down meanwhile (Recreate, one replica with maxUnavailable)
    stable_selector: Any = None
    candidate_selector: dict[str, str] | None = (
        None  # blue/green: the Services' selector while green serves
    )
    final_selectors: tuple[
        dict[str, str], ...
    ] = ()  # blue/green: the Services' selectors at the end, in order
    failed_candidate_to_zero: bool = False  # it shares stable's traffic: safe even while paused
    keeps_both: bool = (
        False  # blue/green: afterwards the candidate serves and both Deployments stay
    )
    preview: str = ""
    probe: Probe | None = None
    has_autoscaler: bool = False
    autoscaler: tuple[int, int] | None = None
    autoscaler_name: str = ""
    as_found_hash: str = ""
    hash: str = ""


def plan_hash(plan: Plan) -> str:
    """Twelve hex digits that name a plan: sha256 of its canonical JSON without the hash itself."""
    body = asdict(plan)
    body.pop("hash")
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
