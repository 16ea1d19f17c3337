"""A release walked through a modelled cluster: decide, save, apply, a beat of the controllers,
again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.counting import metrics_to_read
from bot.releases.engine.decide import decide
from bot.releases.engine.gates import open_gate
from bot.releases.engine.judging import pods_to_sample
from bot.releases.engine.minimum import kept_words
from bot.releases.engine.probing import pods_to_probe
from bot.releases.engine.promises import broken_promise
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import Action, PatchService
from bot.releases.facts.counters import MetricsSeen
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Approve, Request
from bot.releases.facts.target import Strategy
from tests.builders import DEVELOPER, MANAGER, SECOND, T0
from tests.fakes.simulated_prometheus import SimulatedPrometheus
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster, Refused, candidate_of

MOST_TICKS = 600


def keeps_promises(release: Release, seen: Observation, action: Action) -> None:
    """What the product itself checks before it sends a write."""
    broken = broken_promise(release, seen, action)
    assert broken is None, broken.line


class Walk:
    """``approves``: the manager says yes to every gate that waits for people."""

    def __init__(
        self, cluster: ModelledCluster, release: Release, *, approves: bool = True
    ) -> None:
        self.cluster, self.release, self.approves = cluster, release, approves
        self.now = T0
        self.written: list[Action] = []
        self.told: list[str] = []
        self.ticks = 0
        self.prometheus: SimulatedPrometheus | None = None
        self.before = cluster.state()

    def fork(self) -> Walk:
        """Another walk that stands where this one does."""
        other = copy.copy(self)
        other.cluster = self.cluster.fork()
        other.written, other.told = [*self.written], [*self.told]
        return other

    def moments(self) -> Iterator[Walk]:
        """As the release stands before each of its ticks from here to its end, each a walk of its
        own; this one goes to the end."""
        while not self.release.phase.is_final:
            yield self.fork()
            self.tick()

    def look(self) -> Observation:
        """The candidate's pods are asked only where the release says that it waits for them."""
        if self.release.plan is None:
            found = self.cluster.observe(self.release, self.now)
            self.release = replace(
                self.release, target=retarget_to_serving(self.release.target, found)
            )
        seen = self.cluster.observe(self.release, self.now)
        seen = self._with_metrics(seen)
        if asked := pods_to_probe(self.release, seen):
            seen = replace(seen, probe=self.cluster.ask(asked))
        sampled = pods_to_sample(self.release, seen, self.now)
        return replace(seen, answers=self.cluster.sample(sampled))

    def _with_metrics(self, seen: Observation) -> Observation:
        prometheus = self.prometheus
        if prometheus is None:
            return seen
        reached = {pod for pods in self.cluster.endpoints.values() for pod in pods}
        prometheus.serve(self.now, self.cluster.images(), reached)
        wanted = metrics_to_read(self.release, seen, self.now)
        if wanted is None:
            return seen
        errors = prometheus.read(wanted.errors, self.now)
        latency = prometheus.read(wanted.latency, self.now) if wanted.latency else None
        return replace(seen, metrics=MetricsSeen(wanted.since, errors, latency))

    def tick(self, *, crash_after: int | None = None) -> None:
        """One tick. ``crash_after``: the worker dies when that many actions were carried out; the
        record was saved before."""
        self.ticks += 1
        assert self.ticks < MOST_TICKS, (
            f"no end: {self.release.phase}, step {self.release.progress.at_step}, {self.told[-3:]}"
        )
        seen = self.look()
        decision = decide(self.release, seen, self.now)
        self.release = decision.release
        self.told += [event.text for event in decision.events]
        for index, action in enumerate(decision.actions):
            if crash_after is not None and index >= crash_after:
                break
            keeps_promises(self.release, seen, action)
            self.cluster.apply(action)
            self.written.append(action)
        self._check()
        self.cluster.beat()
        self._check()
        self.now += SECOND
        gate = open_gate(self.release) if not self.release.phase.is_final else None
        may_approve = self.approves and self.release.standstill is None
        if may_approve and isinstance(gate, ApprovalGate) and self.release.plan is not None:
            self.ask(Approve(MANAGER, gate.name, self.release.plan.hash))
        elif (
            (self.release.phase is Phase.HOLDING or self._keeps_a_minimum)
            and not decision.actions
            and decision.wake_at is not None
        ):
            self.now = max(self.now, min(decision.wake_at, self.now + 60 * SECOND))

    @property
    def _keeps_a_minimum(self) -> bool:
        return self.release.progress.waits_for == kept_words(self.release) != ""

    def ask(self, request: Request) -> None:
        answer = respond(self.release, request, self.now)
        assert not answer.refusal, answer.refusal
        self.release = answer.release

    def abort(self) -> None:
        self.ask(Abort(DEVELOPER))

    def until(self, reached: Callable[[Walk], bool]) -> Walk:
        while not reached(self):
            assert not self.release.phase.is_final, (self.release.phase, self.release.cause)
            self.tick()
        return self

    def to_step(self, name: str, *, gate: str = "") -> Walk:
        return self.until(lambda walk: walk.step == name and (not gate or walk.gate == gate))

    def to_the_end(self) -> Walk:
        while not self.release.phase.is_final:
            self.tick()
        return self

    @property
    def step(self) -> str:
        steps, at = self.release.steps, self.release.progress.at_step
        return steps[at].name if 0 <= at < len(steps) else ""

    @property
    def gate(self) -> str:
        found = open_gate(self.release) if self.release.progress.gate is not None else None
        return found.name if found else ""

    def switches(self) -> list[tuple[str, dict[str, str]]]:
        """Every selector written so far: (Service, selector)."""
        return [
            (one.name, one.changes[0].after)
            for one in self.written
            if isinstance(one, PatchService)
        ]

    def _check(self) -> None:
        release = self.release
        if release.plan is None or self.cluster.faulty:
            return
        deployments, endpoints = self.cluster.deployments, self.cluster.endpoints
        green = deployments.get(candidate_of(release))
        if (
            green is not None
            and release.strategy is Strategy.BLUEGREEN
            and not self.switches()
            and release.rollback is None
        ):
            reached = {
                name for service in release.target.services for name in endpoints.get(service, ())
            }
            served = [pod.name for pod in green.pods() if pod.name in reached]
            assert not served, f"somebody reaches green before the switch: {served}"
        blue = deployments.get(release.target.deployment)
        available = sum(pod.ready for pod in blue.pods()) if blue is not None else 0
        assert available >= release.plan.floor, (
            f"{available} of stable are available, the plan promised {release.plan.floor}"
        )


__all__ = ["Refused", "Walk"]
