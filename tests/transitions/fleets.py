"""Three modelled clusters and the fleet release that orders their parts: each order is carried out
as an operation would, and each step of a part is a test's to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.as_found import AsFound, DeploymentAsFound
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.fleet import Fleet, Part, Wave
from bot.releases.facts.plan import ApprovalGate, Plan, Step
from bot.releases.facts.release import GateState, Outage, Phase, Progress, Release
from bot.releases.facts.requests import Abort, Approve, Request
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.releases.fleet.decide import decide_fleet
from bot.releases.fleet.observed import Begin, PartSeen, Tell
from bot.releases.fleet.plan import with_fleet_plan
from bot.releases.fleet.state import fleet_of
from tests.builders import SECOND, T0, a_release, a_target, a_template, rules_with

CLUSTERS = ("eu", "us", "onprem")
FINAL_IMAGE = "hello:2.0.0"
FOUND_IMAGE = "hello:1.0.0"


def a_fleet_release(
    *waves: Wave, change: Deploy | None = None, rules: Rules | None = None
) -> Release:
    """Of shop 2.0.0, in the waves given, else one cluster after the other."""
    waves = waves or tuple(Wave((one,)) for one in CLUSTERS)
    names = [name for wave in waves for name in wave.clusters]
    parts = tuple(
        Part(a_target(app="shop", cluster=one, one_of_many=True), Rules()) for one in names
    )
    release = a_release(
        change or Deploy("2.0.0"),
        id="shop-1",
        to_version="2.0.0",
        target=a_target(app="shop", cluster="", clusters=tuple(names)),
        rules=rules or rules_with(approvals={"promote": 1}),
        progress=Progress(at_step=-1),
    )
    return with_fleet_plan(release, Fleet(waves, parts))


@dataclass
class FleetWalk:
    """``images``: what each cluster runs; ``log``: what began where, in order."""

    release: Release
    now: int = T0
    images: dict[str, str] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    parts: dict[str, Release] = field(default_factory=dict)  # by id
    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    incomplete: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for part in self.fleet.parts:
            self.images.setdefault(part.cluster, FOUND_IMAGE)

    @property
    def fleet(self) -> Fleet:
        return fleet_of(self.release)

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]

    def stands(self) -> Phase:
        return self.release.phase

    def tick(self, *, after_ms: int = SECOND, times: int = 1) -> None:
        for _ in range(times):
            self.now += after_ms
            decided = decide_fleet(self.release, self._seen(), self.now)
            self._take(decided.decision)
            for order in decided.orders:
                match order:
                    case Begin(cluster=cluster, change=change):
                        self._begin(cluster, change)
                    case Tell(release=told, request=request):
                        self._tell(told, request)

    def ask(self, request: Request) -> str:
        decision = respond(self.release, request, self.now)
        self._take(decision)
        return decision.refusal

    def _take(self, decision: Decision) -> None:
        self.release = decision.release
        self.events += decision.events

    def _seen(self) -> dict[str, PartSeen]:
        return {part.cluster: self._seen_part(part) for part in self.fleet.parts}

    def _seen_part(self, part: Part) -> PartSeen:
        release, undo = self.parts.get(part.release), self.parts.get(part.undo)
        if part.cluster in self.away:
            return PartSeen(release, undo, away="timed out")
        image = self.images[part.cluster]
        is_complete = part.cluster not in self.incomplete
        return PartSeen(release, undo, image, image.partition(":")[2], is_complete)

    def _begin(self, cluster: str, change: Deploy | Undo) -> None:
        is_back = isinstance(change, Undo)
        name = f"{'back' if is_back else 'part'}-{cluster}"
        self.log.append(f"{'undo' if is_back else 'begin'} {cluster}")
        self.parts.setdefault(name, a_part(name, cluster, change, self.now))
        fleet = self.fleet
        part = fleet.part(cluster)
        part = replace(part, undo=name) if is_back else replace(part, release=name)
        parts = tuple(part if one.cluster == cluster else one for one in fleet.parts)
        self.release = replace(self.release, fleet=replace(fleet, parts=parts))

    def _tell(self, name: str, request: Approve | Abort) -> None:
        self.log.append(f"{request.kind} {name}")
        part = self.parts[name]
        if isinstance(request, Abort):
            self.fails(part.target.cluster, phase=Phase.ABORTED, why="aborted")
        else:
            self.parts[name] = respond(part, request, self.now).release

    # --- what happens to a part ------------------------------------------------------------------

    def succeeds(self, cluster: str) -> None:
        self._change(cluster, phase=Phase.SUCCEEDED)
        self.images[cluster] = FINAL_IMAGE

    def fails(self, cluster: str, phase: Phase = Phase.ROLLED_BACK, why: str = "crashed") -> None:
        self._change(cluster, phase=phase, cause=Cause(FailureClass.PERSISTENT, why))

    def goes_back(self, cluster: str) -> None:
        name = f"back-{cluster}"
        self.parts[name] = replace(self.parts[name], phase=Phase.SUCCEEDED)
        self.images[cluster] = FOUND_IMAGE

    def back_fails(self, cluster: str) -> None:
        name = f"back-{cluster}"
        cause = Cause(FailureClass.PERSISTENT, "crashed")
        self.parts[name] = replace(self.parts[name], phase=Phase.FAILED, cause=cause)

    def stands_at(self, cluster: str, gate: str) -> None:
        part = self.parts[f"part-{cluster}"]
        plan = replace(part.plan, steps=(_step_with(gate),)) if part.plan is not None else None
        progress = Progress(0, gate=GateState(0, 0, self.now))
        phase = Phase.AWAITING_PROMOTION
        self._change(cluster, plan=plan, progress=progress, phase=phase)

    def loses_cluster(self, cluster: str) -> None:
        self.away.add(cluster)
        if (part := self.parts.get(f"part-{cluster}")) is not None and not part.phase.is_final:
            self._change(cluster, unreachable=Outage(self.now, "timed out"))

    def finds_cluster(self, cluster: str) -> None:
        self.away.discard(cluster)
        if f"part-{cluster}" in self.parts:
            self._change(cluster, unreachable=None)

    def _change(self, cluster: str, **facts: object) -> None:
        name = f"part-{cluster}"
        self.parts[name] = replace(self.parts[name], **facts)  # type: ignore[arg-type]


def _step_with(gate: str) -> Step:
    return Step("last", "last", (), (), gates=(ApprovalGate(gate, 1, False, 3_600_000, "hold"),))


def a_part(name: str, cluster: str, change: Deploy | Undo, now: int) -> Release:
    found = DeploymentAsFound("hello", "u", a_template(), 3, False, {}, {}, {}, {}, 1)
    return a_release(
        change,
        id=name,
        target=a_target(app="shop", cluster=cluster),
        phase=Phase.PROGRESSING,
        from_version="1.0.0",
        to_version="2.0.0",
        started_at=now,
        part_of="shop-1",
        plan=Plan(FINAL_IMAGE, "2.0.0", FOUND_IMAGE, "1.0.0", (), (), hash=f"hash-{name}"),
        as_found=AsFound("c", now, found, ()),
    )


def kinds(events: Sequence[Event]) -> list[EventKind]:
    return [event.kind for event in events]


CANARY = Deploy("2.0.0", Strategy.CANARY)
