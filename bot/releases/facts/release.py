"""The release record. All times are integer milliseconds of Redis TIME."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from bot.releases.facts.answers import Answers, Cell
from bot.releases.facts.as_found import AsFound, Json
from bot.releases.facts.card_snapshot import CardSnapshot
from bot.releases.facts.causes import Cause, Judgement
from bot.releases.facts.changes import Change, Deploy, Scale, Undo
from bot.releases.facts.counters import Counts
from bot.releases.facts.fleet import Fleet
from bot.releases.facts.freezes import FreezeInForce, Standstill
from bot.releases.facts.intent import Drift, Intent
from bot.releases.facts.people import Person, Vote
from bot.releases.facts.plan import Plan, Step
from bot.releases.facts.requests import Abort, Asked
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target


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

    @property
    def words(self) -> str:
        """As on the card, where nothing else of the release is shown."""
        return _WORDS.get(self, self.value.replace("_", " "))


_WORDS = {
    Phase.AWAITING_APPROVAL: "waiting for approval",
    Phase.AWAITING_PROMOTION: "waiting for approval",
    Phase.PROGRESSING: "in progress",
}
WAITING_PHASES = frozenset(
    {Phase.AWAITING_APPROVAL, Phase.HOLDING, Phase.AWAITING_PROMOTION, Phase.PAUSED, Phase.DRIFTED}
)


FINAL_PHASES = frozenset(
    {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED, Phase.REJECTED, Phase.EXPIRED}
)


@dataclass(frozen=True)
class GateState:
    """The gate at which a release waits."""

    step: int
    gate: int
    opened_at: int
    votes: tuple[Vote, ...] = ()
    reminded: int = 0
    skipped: bool = False  # a person ended a hold early
    skipped_by: Person | None = None  # until it was asked afresh whether they may
    unconfirmed: bool = False  # approved in time, but Slack does not say whether by people who may
    has_all_traffic: bool = False  # after a switch every new request reaches the candidate
    baseline: Json = None  # counters of stable and candidate pods when a hold began, for judging


@dataclass(frozen=True)
class ClusterTrouble:
    """The cluster, not the new version, keeps the step from its end: people are asked, and nothing
    is rolled back for it."""

    cause: Cause
    since: int
    asked: bool = False


@dataclass(frozen=True)
class Raise:
    """Stable was raised to carry the load before it takes over. ``held``: once observed so."""

    to: int
    times: int = 0
    held: bool = False
    is_reported: bool = False  # that something else took it back


@dataclass(frozen=True)
class Minimum:
    """The minReplicas of stable's autoscaler, raised so that it keeps a raise of stable.

    ``was``: before the last write, ``to``: after it. ``held``: once observed so. ``left``: it is
    not written any more, because it was changed outside Pilothouse or a write was refused.
    """

    autoscaler: str
    uid: str
    found: int
    was: int
    to: int
    held: bool = False
    left: Literal["", "theirs", "refused"] = ""


@dataclass(frozen=True)
class Progress:
    """How far the current step is; each step begins with a new one.

    ``at_step`` is -1 before the first step, where the gates of the start are, and while a rollback
    has no steps yet.
    """

    at_step: int = 0
    began_at: int = 0
    paused_ms: int = 0  # does not count against the deadline, the hold or the expiry
    gate: GateState | None = None
    trouble: ClusterTrouble | None = None
    probe_failure: str = ""  # why the candidate's pods do not answer the plan's probe
    raised: Raise | None = None
    waits_for: str = ""  # what the step still lacks, as people read it
    accepts_less: bool = False  # a person hands over to fewer pods than serve now
    reached_at: int = 0  # when the step's conditions held; from then on it waits at its gates
    answers: Answers | None = None  # of the pods that are being judged
    counts: tuple[Counts, ...] = ()  # of their metrics, one for each source
    # since when every observation shows that no EndpointSlice lists who leaves; 0: one does
    left_at: int = 0


@dataclass(frozen=True)
class Rollback:
    """Everything returns to as found, then the release is over. ``steps`` are computed from the
    next observation once one is there."""

    ends_as: Phase
    steps: tuple[Step, ...] = ()
    at_once: bool = False  # the new version fails: stable serves with what it has, and grows behind


@dataclass(frozen=True)
class PodCounts:
    """Of the new version: what was last observed of its pods."""

    ready: int
    total: int
    failing: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class StepTime:
    """A step that is over. ``cut``: a rollback began before it was done. ``reached_at``: then its
    work was done, and it held or waited for people; 0: not known, or never. ``pods``: at its end,
    None where nothing was observed."""

    title: str
    began_at: int
    ended_at: int
    cut: bool = False
    reached_at: int = 0
    pods: PodCounts | None = None

    @property
    def worked_ms(self) -> int:
        return (self.reached_at or self.ended_at) - self.began_at

    @property
    def waited_ms(self) -> int:
        return self.ended_at - self.reached_at if self.reached_at else 0


@dataclass(frozen=True)
class Outage:
    """The cluster has not answered since then."""

    since: int
    why: str


@dataclass(frozen=True)
class FailedWrite:
    """A write that the API server does not take, though it answers: a dead admission webhook, 429,
    a time-out. It is tried again."""

    what: str
    why: str
    since: int
    is_reported: bool = False


@dataclass(frozen=True)
class RepeatedError:
    """Ticks in a row that raised, since the first of them."""

    count: int
    since: int


@dataclass(frozen=True)
class NewestGeneration:
    """Of an object, as far as it was observed, and since when: an older one is an old answer.

    ``number``: a Deployment's generation, a Service's resourceVersion. ``appeared_at``: when that
    uid was first observed; 0: not known.
    """

    uid: str = ""
    number: int = 0
    since: int = 0
    appeared_at: int = 0


@dataclass(frozen=True)
class PlaceInLine:
    """Behind ``Release.queued_behind``. ``card``: the address of its card, "" where unknown;
    ``done_by``: when its step is usually done, 0 without history."""

    position: int
    card: str = ""
    done_by: int = 0


@dataclass(frozen=True)
class Held:
    """The release in front did not succeed while this one waited for it. ``ids`` and ``people``:
    the releases that its message is about, and who queued them; () where another's asks.
    ``frozen``: a freeze was recorded, and its end asks again."""

    behind: str
    since: int
    reminded: int = 0
    ids: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()
    frozen: bool = False


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
    overrides: tuple[str, ...] = ()  # what an admin's reason let it begin despite: announced
    needs_second_admin: bool = False  # to override a freeze
    command: str = ""  # what was typed, normalised: the card shows it
    request_id: str = ""  # of the command or click that started it
    latest_request_id: str = ""  # of the latest that was taken: what follows is done for it
    card_ts: str = ""  # Slack's ts of the card once posted
    queued_behind: str = ""
    in_line: PlaceInLine | None = None
    held: Held | None = None  # until people decide whether it still starts
    freeze: FreezeInForce | None = None  # that keeps it from its start, or from its next step
    coming_freeze: FreezeInForce | None = None  # that may begin before it is done, at its start
    standstill: Standstill | None = None  # before its next step, by a freeze
    continued_at: int = 0  # when a person let it start in spite of what ended before
    lets_next_start: bool = False  # however it ends, what waits behind it starts
    version: int = 0  # the store's compare-and-set counter
    from_version: str = ""  # what ran before, as people read it: "1.0.0"
    to_version: str = ""
    as_found: AsFound | None = None
    plan: Plan | None = None
    changed_by: Person | None = None  # who last adopted a change into what is approved
    plan_changed: str = (
        ""  # why it was made again before the start: what void buttons are answered with
    )
    progress: Progress = Progress()
    rollback: Rollback | None = None  # stays once the release is over
    passed: tuple[str, ...] = ()  # names of gates that were passed, with who
    asked: tuple[Asked, ...] = ()  # what people asked for, not yet in effect
    intents: tuple[Intent, ...] = ()
    drift: tuple[Drift, ...] = ()
    phase_since: int = 0
    paused_from: Phase | None = None
    drifted_from: Phase | None = None
    asked_share: int = 0  # percent of traffic above the plan's that a person was asked about
    tolerated: tuple[str, ...] = ()  # failing pods that a person saw and went on in spite of
    cause: Cause | None = None
    judgements: tuple[Judgement, ...] = ()
    reference: tuple[Cell, ...] = ()  # the old version's answers of its fullest window
    unreachable: Outage | None = None
    failed_write: FailedWrite | None = None
    errors: RepeatedError | None = None
    sent: tuple[str, ...] = ()  # fingerprints of the writes last announced: each is audited once
    reminded_at: int = 0  # when people were last reminded of a wait that has no gate
    card_snapshot: CardSnapshot = field(default_factory=CardSnapshot)
    newest: NewestGeneration = NewestGeneration()  # of stable
    newest_candidate: NewestGeneration = NewestGeneration()
    newest_services: tuple[NewestGeneration, ...] = ()
    stale_claim: str = (
        ""  # a release of ours that is over, whose claim a `kubectl rollout undo` brought back
    )
    stale_candidate_claim: str = ""  # the same of a candidate that a release left behind
    stale_autoscaler_claim: str = ""  # the same of an autoscaler whose minimum was left raised
    minimum: Minimum | None = None
    clocks_apart_ms: int | None = None  # Redis' clock minus the API server's; None: not compared
    usual_ms: int = 0  # p95 of earlier waves, without minReadySeconds; 0: no history
    active_ms: int = 0  # of the steps done, without pauses and the cluster's own trouble
    started_at: int = 0
    finished_at: int = 0
    timeline: tuple[StepTime, ...] = ()  # of forward steps and of a rollback's, in order
    fleet: Fleet | None = None  # it orders the releases of several clusters, and writes nothing
    part_of: str = ""  # the fleet release that began it
    # the record as a newer Pilothouse wrote it: what this one does not know is written back
    newer_record: Json = field(default=None, compare=False, repr=False)

    @property
    def works_for(self) -> str:
        """The id of the request that what happens now follows from."""
        return self.latest_request_id or self.request_id

    @property
    def begun_by(self) -> str:
        """The id of the request that its trace belongs to."""
        return self.request_id or self.latest_request_id

    @property
    def is_way_back(self) -> bool:
        """Whether production gets what it had before: nothing may hold that up."""
        is_asked = any(isinstance(one.request, Abort) for one in self.asked)
        return self.rollback is not None or isinstance(self.change, Undo) or is_asked

    @property
    def has_written(self) -> bool:
        """As far as the record knows."""
        return any(intent.written for intent in self.intents)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those of the rollback once there is one, else the plan's."""
        if self.rollback is not None:
            return self.rollback.steps
        return self.plan.steps if self.plan else ()

    @property
    def current_step(self) -> Step | None:
        at = self.progress.at_step
        return self.steps[at] if 0 <= at < len(self.steps) else None

    @property
    def took_ms(self) -> int | None:
        """From its first tick to its end; None before that, and where it never started."""
        is_known = self.started_at and self.finished_at
        return self.finished_at - self.started_at if is_known else None

    def in_cluster_time(self, now: int) -> int:
        """What the times of pods are compared with: the API server's clock."""
        return now - (self.clocks_apart_ms or 0)

    @property
    def only_a_person_rolls_back(self) -> bool:
        """Past the point of no return, and for a scale, whose ready pods are never taken away:
        what is not done is kept, reported and asked about."""
        step = self.current_step
        return isinstance(self.change, Scale) or (step is not None and step.committed)

    @property
    def strategy(self) -> Strategy:
        return self.change.strategy if isinstance(self.change, Deploy) else Strategy.ROLLING

    @property
    def candidate_name(self) -> str:
        """The candidate Deployment's name; "" where the strategy has none."""
        return self.plan.candidate if self.plan else ""
