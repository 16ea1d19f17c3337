"""Any order of ticks, crashes, late writes, absences and requests: one final state, told once, and
everything as it should be then."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.ports import VersionConflict
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.gates import open_gate
from bot.releases.engine.late_writes import LATE_WRITE_MS
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import Action
from bot.releases.facts.changes import Deploy
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Seen, Unreachable
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import (
    Abort,
    Approve,
    Finish,
    Pause,
    Promote,
    Reject,
    Request,
    Resume,
)
from bot.releases.facts.target import Strategy
from tests.builders import DEVELOPER, MANAGER, REPOSITORY, SECOND, T0, a_release, rules_with
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster, Refused
from tests.transitions.test_canary_walks import a_hello
from tests.variations import quick

MOST_TICKS = 600
BAD = "9.9.9"


class AnyOrder(RuleBasedStateMachine):
    """Workers are careless: they die, sleep past their lease and wake up with what they knew. Store
    and cluster are not."""

    def __init__(self) -> None:
        super().__init__()
        self.now = T0
        self.operations = count(1)
        self.store = InMemoryReleaseStore(clock=lambda: self.now)
        self.asleep: list[
            tuple[Decision, int | None]
        ] = []  # decided by a worker that sleeps since; when it saved, if it had
        self.was_final: Phase | None = None

    @initialize(
        strategy=st.sampled_from(list(Strategy)),
        version=st.sampled_from(["2.0.0", "2.0.0", BAD]),
        replicas=st.integers(2, 4),
    )
    def begin(self, strategy: Strategy, version: str, replicas: int) -> None:
        self.cluster = ModelledCluster(
            a_hello(replicas=replicas), services={"hello": {"app": "hello"}}
        )
        self.cluster.broken_images.add(f"{REPOSITORY}:{BAD}")
        self.before = self.cluster.state()
        rules = rules_with(
            canary={"hold_ms": 5 * SECOND}, bluegreen={"rollback_window_ms": 30 * SECOND}
        )
        draft = replace(a_release(Deploy(version, strategy), rules=rules), id="")
        self.id = self.store.create(draft, dedup_key="", same_as="", operation="create").release.id

    # --- workers ----------------------------------------------------------------------------------

    @property
    def release(self) -> Release:
        return self.store.load(self.id)

    def _decide(self, seen: Seen | None = None) -> Decision | None:
        release = self.release
        if release.phase.is_final:
            return None
        return decide(release, seen or self.cluster.observe(release, self.now), self.now)

    def _save(self, decision: Decision) -> bool:
        try:
            self.store.save(
                decision.release, decision.events, operation=f"save-{next(self.operations)}"
            )
        except VersionConflict:
            return False
        return True

    def _apply(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            try:
                self.cluster.apply(copy.deepcopy(action))
            except Refused:
                return  # observe and decide again

    @rule()
    def tick(self) -> None:
        decision = self._decide()
        if decision is not None and self._save(decision):
            self._apply(decision.actions)

    @rule()
    def tick_and_beat(self) -> None:
        self.tick()
        self.cluster.beat()
        self.now += SECOND

    @rule(done=st.integers(0, 2))
    def die_in_a_tick(self, done: int) -> None:
        """After the save and some of the actions."""
        decision = self._decide()
        if decision is not None and self._save(decision):
            self._apply(decision.actions[:done])

    @rule(saved=st.booleans())
    def fall_asleep_in_a_tick(self, saved: bool) -> None:
        decision = self._decide()
        if decision is not None and (not saved or self._save(decision)):
            self.asleep.append((decision, self.now if saved else None))

    @precondition(lambda self: self.asleep)
    @rule()
    def wake_up_late(self) -> None:
        """With the version it loaded then, or with the first write that it had sent when it fell
        asleep (before any other it would ask for the version again); no request is on its way for
        longer than a lease."""
        decision, saved_at = self.asleep.pop(0)
        if saved_at is None:
            if self._save(decision):
                self._apply(decision.actions)
        elif self.now < saved_at + LATE_WRITE_MS:
            self._apply(decision.actions[:1])

    @rule()
    def find_the_cluster_away(self) -> None:
        decision = self._decide(Unreachable(self.now, "timed out"))
        if decision is not None:
            assert not decision.actions, "nothing is written to a cluster that cannot be seen"
            self._save(decision)

    # --- the world --------------------------------------------------------------------------------

    @rule()
    def beat(self) -> None:
        self.cluster.beat()

    @rule(seconds=st.sampled_from([1, 5, 31, 90]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(
        which=st.sampled_from(
            ["approve", "promote", "pause", "resume", "finish", "abort", "reject"]
        ),
        again=st.booleans(),
    )
    def ask(self, which: str, again: bool) -> None:
        for _ in range(1 + again):
            self._ask(which)

    def _ask(self, which: str) -> None:
        release = self.release
        gate = (
            open_gate(release)
            if release.progress.gate is not None and not release.phase.is_final
            else None
        )
        name, plan_hash = gate.name if gate else "", release.plan.hash if release.plan else ""
        requests: dict[str, Request] = {
            "approve": Approve(MANAGER, name, plan_hash),
            "reject": Reject(MANAGER, name, plan_hash),
            "promote": Promote(MANAGER),
            "pause": Pause(DEVELOPER),
            "resume": Resume(DEVELOPER),
            "finish": Finish(DEVELOPER),
            "abort": Abort(DEVELOPER),
        }
        answer = respond(release, requests[which], self.now)
        if not answer.refusal:
            self._save(answer)

    # --- what holds -------------------------------------------------------------------------------

    @invariant()
    def a_final_state_stays_and_is_told_once(self) -> None:
        if not hasattr(self, "id"):
            return
        phase = self.release.phase
        assert self.was_final in (None, phase), f"{self.was_final} became {phase}"
        self.was_final = phase if phase.is_final else None
        ends = sum(line.kind == EventKind.FINISHED.value for line in self.store.audit())
        assert ends == int(phase.is_final), f"{ends} ends are told in phase {phase}"

    def teardown(self) -> None:
        """Left alone with people who decide, it comes to its end, and leaves what it should."""
        if not hasattr(self, "id"):
            return
        self.asleep.clear()
        for _ in range(MOST_TICKS):
            release = self.release
            if release.phase.is_final:
                break
            gate = open_gate(release) if release.progress.gate is not None else None
            if release.phase in (Phase.PAUSED, Phase.DRIFTED):
                self._ask("resume")
            elif isinstance(gate, ApprovalGate):
                self._ask("approve")
            self.tick_and_beat()
        release = self.release
        assert release.phase.is_final, (
            f"no end: {release.phase}, step {release.progress.at_step}, {release.cause}"
        )
        after = self.cluster.state()
        assert set(after["deployments"]) == {"hello"}, "a candidate outlived its release"
        assert after["deployments"]["hello"]["claim"] == ""
        if release.phase is not Phase.SUCCEEDED:
            assert after == self.before, f"{release.phase} left something otherwise than it was"


@pytest.mark.parametrize("examples", quick([20, 300], at_most=1))
def test_any_order_of_events_ends_once_and_leaves_nothing_behind(examples: int) -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
