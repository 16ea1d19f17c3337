"""One tick between its store and its cluster: what comes in between, and what is kept of what it
does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.lifecycle.meet_error import TRIES
from bot.operations.queries.pause_deployment import pause_deployment
from bot.policy.permissions import Access, Grant, Role
from bot.ports import Cluster, ClusterUnreachable
from bot.releases.facts.actions import Action, DeleteDeployment
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.observation import Observation, Written
from bot.releases.facts.plan import DeploymentGoal, Side
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import (
    DEVELOPER,
    T0,
    a_canary,
    a_deployment,
    a_release,
    a_target,
    an_observation,
    rules_with,
)
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.modelled_cluster import Refused as TooLate
from tests.transitions.test_canary_walks import a_hello


@dataclass
class SimulatedPort:
    """The modelled cluster behind the port. ``sent`` are the actions that arrived; ``at_once`` is
    called when one has."""

    model: ModelledCluster
    store: InMemoryReleaseStore
    sent: list[Action] = field(default_factory=list)
    at_once: Callable[[], object] = lambda: None
    lost: Callable[[Target, Action], None] | None = None
    observed: int = 0
    clock: Callable[[], int | None] = lambda: None

    def server_time(self) -> int | None:
        return self.clock()

    def uid(self) -> str:
        return "uid-cluster"

    def observe(
        self,
        target: Target,
        *,
        candidate: str,
        extra_services: Sequence[str] = (),
        **what: str | bool,
    ) -> Observation:
        self.observed += 1
        (release,) = self.store.active()
        return self.model.observe(release, self.store.now())

    def is_unchanged(self, target: Target, seen: Observation, *, candidate: str) -> bool:
        (release,) = self.store.active()
        now = self.model.observe(release, self.store.now())
        return (now.stable, now.candidate, now.services) == (
            seen.stable,
            seen.candidate,
            seen.services,
        )

    def apply(self, target: Target, action: Action) -> Written | None:
        if self.lost is not None:
            self.lost(target, action)
        self.sent.append(action)
        self.model.apply(action)
        self.at_once()
        (release,) = self.store.active()
        seen = self.model.observe(release, self.store.now())
        sides = [one for one in (seen.stable, seen.candidate) if one and one.name == action.name]
        return Written(replace(sides[0], replica_sets=()) if sides else None)


class StoreWithVisitors(InMemoryReleaseStore):
    """``visitor`` comes once, right after the first save that announces a write."""

    visitor: Callable[[], object] | None = None

    def save(
        self,
        release: Release,
        events: Sequence[Event],
        *,
        operation: str,
        card: bool = True,
        wake: bool = False,
    ) -> Release:
        saved = super().save(release, events, operation=operation, card=card, wake=wake)
        if self.visitor is not None and any(event.kind is EventKind.WROTE for event in events):
            visit, self.visitor = self.visitor, None
            visit()
        return saved


@dataclass
class Clock:
    now: int = T0

    def __call__(self) -> int:
        return self.now


@dataclass
class Scene:
    clock: Clock
    store: StoreWithVisitors
    port: SimulatedPort
    context: Context
    id: str

    def said(self) -> str:
        announced, _ = self.store.outbox(self.id)
        return "\n".join(one.event.text for one in announced)

    def audited(self) -> list[str]:
        return [
            line.text
            for line in self.store.audit(limit=100)[::-1]
            if line.kind == EventKind.WROTE.value
        ]


@pytest.fixture
def scene() -> Scene:
    return a_scene(a_release())


def a_scene(draft: Release) -> Scene:
    clock = Clock()
    store = StoreWithVisitors(clock=clock)
    model = ModelledCluster(a_hello(), services={"hello": {"app": "hello"}})
    port = SimulatedPort(model, store)
    unused = cast(Any, None)
    access = Access(frozenset(), {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
    clusters: Mapping[str, Cluster] = {"local": cast(Cluster, port)}
    context = Context(
        store,
        store.queue,
        cast(Any, clusters),
        RecordingMessenger(),
        InMemoryDirectory(),
        Catalog({}, ("local",), access),
        SlackRendering(),
        unused,
    )
    draft = replace(draft, id="", created_at=store.now())
    created = store.create(
        replace(draft, target=replace(draft.target, cluster="local")),
        dedup_key="",
        same_as="",
        operation="create",
    )
    return Scene(clock, store, port, context, created.release.id)


def test_an_abort_between_save_and_write_prevents_the_write(scene: Scene) -> None:
    def abort() -> None:
        control_release(scene.context, scene.id, Abort(DEVELOPER), "aborted")

    before = scene.port.model.state()
    scene.store.visitor = abort
    for _ in range(13):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
        scene.clock.now += 2_000
    assert scene.store.load(scene.id).phase is Phase.ABORTED
    assert scene.port.model.state() == before
    assert scene.port.sent == []


def test_rollback_waits_for_a_late_write_and_reverts_it(scene: Scene) -> None:
    """The API server carries out what the bot gave up on: after the abort was asked for, and before
    it is over."""
    sent: list[Action] = []
    before = scene.port.model.state()

    def lose(target: Target, action: Action) -> None:
        sent.append(action)
        raise ClusterUnreachable("timed out")

    scene.port.lost = lose
    advance_release(scene.context, scene.id)
    scene.port.lost = None
    control_release(scene.context, scene.id, Abort(DEVELOPER), "aborted")
    advance_release(scene.context, scene.id)
    assert not scene.store.load(scene.id).phase.is_final
    scene.port.model.apply(sent[0])
    for _ in range(18):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
        scene.clock.now += 2_000
    assert scene.store.load(scene.id).phase is Phase.ABORTED
    assert scene.port.model.state() == before
    with pytest.raises(TooLate):
        scene.port.model.apply(sent[0])  # once more, after the end


def test_a_write_is_audited_before_it_is_sent(scene: Scene) -> None:
    seen: list[list[str]] = []
    scene.port.at_once = lambda: seen.append(scene.audited())
    for _ in range(3):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
    assert seen and seen[0] == ["patch deployment hello: claim, template, change_cause"]


def test_a_pause_without_a_release_is_audited_before_it_is_sent(scene: Scene) -> None:
    """A worker may die between the two: then there is a line too many, and no write without one."""
    audited: list[str] = []
    scene.port.lost = lambda _target, _action: audited.extend(scene.audited())
    app = App(a_target(cluster="local"), Rules(), "C0RELEASES", Strategy.ROLLING)
    pause_deployment(scene.context, app, DEVELOPER, paused=True)
    assert audited == ["patch deployment hello: paused"]


def test_a_canary_is_planned_and_started_by_one_observation() -> None:
    scene = a_scene(a_canary())
    advance_release(scene.context, scene.id)
    assert [action.kind for action in scene.port.sent] == [
        "patch_deployment",
        "create_deployment",
        "patch_deployment",
    ]
    assert scene.port.observed == 1


def test_a_canary_ends_in_the_tick_that_removes_its_candidate() -> None:
    rules = rules_with(canary={"hold_ms": 0, "promote": "automatic", "steps": (50,)})
    scene = a_scene(a_canary(rules=rules))
    for _ in range(20):
        observed = scene.port.observed
        advance_release(scene.context, scene.id)
        if any(isinstance(action, DeleteDeployment) for action in scene.port.sent):
            break
        scene.port.model.beat()
        scene.clock.now += 2_000
    assert scene.store.load(scene.id).phase is Phase.SUCCEEDED
    assert scene.port.observed == observed + 1
    assert [item.claim for item in (scene.port.model.observe(a_release(), T0).stable,) if item] == [
        ""
    ]


def test_only_a_release_known_to_be_over_leaves_a_stale_claim(scene: Scene) -> None:
    def left_by(claim: str) -> str:
        canary = a_deployment("hello-canary", annotations={"pilothouse.dev/release": claim})
        seen = an_observation(candidate=canary)
        return find_stale_claims(scene.context, a_canary(), seen).stale_candidate_claim

    advance_release(scene.context, scene.id)
    assert (left_by(scene.id), left_by("elsewhere-7")) == ("", "")
    control_release(scene.context, scene.id, Abort(DEVELOPER), "aborted")
    for _ in range(8):
        scene.clock.now += 2_000
        if not scene.store.load(scene.id).phase.is_final:
            advance_release(scene.context, scene.id)
            scene.port.model.beat()
    assert left_by(scene.id) == scene.id


def test_a_write_that_is_sent_again_is_audited_once(scene: Scene) -> None:
    def lose(target: Target, action: Action) -> None:
        raise ClusterUnreachable("timed out")

    scene.port.lost = lose
    for _ in range(5):
        advance_release(scene.context, scene.id)
        scene.clock.now += 2_000
    assert scene.audited() == ["patch deployment hello: claim, template, change_cause"]


def test_a_write_that_fails_is_reported_once_and_shown_until_it_is_taken(scene: Scene) -> None:
    """A dead admission webhook fails closed: the API server answers, and takes nothing."""

    def refuse(target: Target, action: Action) -> None:
        raise ClusterUnreachable("the API server answered 500: failed calling webhook policy")

    scene.port.lost = refuse
    for _ in range(6):
        advance_release(scene.context, scene.id)
        scene.clock.now += 2_000
    failed = scene.store.load(scene.id)
    assert scene.said().count("failed calling webhook policy") == 1
    assert failed.failed_write is not None and failed.failed_write.since == T0
    assert "failed calling webhook policy" in repr(scene.context.render.card(failed, now=T0))
    scene.port.lost = None
    advance_release(scene.context, scene.id)
    assert scene.store.load(scene.id).failed_write is None
    assert "the API server took it" in scene.said()


@pytest.mark.parametrize("took_ms", [5_000, 9_000])
def test_a_write_that_a_slow_webhook_lets_through_is_one_write(scene: Scene, took_ms: int) -> None:
    """Nothing is reported, nothing is sent again, and its audit line stands once."""

    def admit(target: Target, action: Action) -> None:
        scene.clock.now += took_ms

    scene.port.lost = admit
    for _ in range(20):
        if scene.store.load(scene.id).phase.is_final:
            break
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
        scene.clock.now += 2_000
    over = scene.store.load(scene.id)
    assert over.phase is Phase.SUCCEEDED and over.failed_write is None
    assert [action.kind for action in scene.port.sent] == ["patch_deployment"] * 2
    assert len(scene.audited()) == len(set(scene.audited())) == 2
    assert "cannot" not in scene.said() and "took it" not in scene.said()


def test_a_write_that_fails_once_is_no_message(scene: Scene) -> None:
    tries: list[Action] = []

    def stumble(target: Target, action: Action) -> None:
        tries.append(action)
        if len(tries) == 1:
            raise ClusterUnreachable("the API server is busy (429)", 3_000)

    scene.port.lost = stumble
    assert advance_release(scene.context, scene.id) == scene.clock.now + 3_000
    scene.clock.now += 3_000
    advance_release(scene.context, scene.id)
    assert scene.store.load(scene.id).failed_write is None
    assert "busy" not in scene.said()


def ticks_until_given_up(scene: Scene) -> int:
    """How many ticks raised before."""
    for raised in range(50):
        try:
            advance_release(scene.context, scene.id)
        except TypeError:
            scene.clock.now += 10_000
        else:
            return raised
    raise AssertionError("it raises for ever")


def breaks(*arguments: Any, **named: Any) -> Observation:
    raise TypeError("an object of a shape that nobody expected")


def test_an_error_at_every_tick_ends_the_release_and_frees_the_app(scene: Scene) -> None:
    scene.port.observe = breaks  # type: ignore[method-assign]
    assert ticks_until_given_up(scene) == TRIES - 1
    over = scene.store.load(scene.id)
    assert over.phase is Phase.FAILED
    assert "an error of Pilothouse repeats (TypeError, logged as " in scene.said()
    following = replace(a_release(), id="")
    made = scene.store.create(following, dedup_key="", same_as="", operation="next").release
    assert scene.store.acquire(made, ()).behind == ""


def test_what_was_written_is_rolled_back_after_an_error_that_repeats(scene: Scene) -> None:
    before, observe = scene.port.model.state(), scene.port.observe
    advance_release(scene.context, scene.id)
    advance_release(scene.context, scene.id)
    assert scene.port.sent
    scene.port.observe = breaks  # type: ignore[method-assign]
    ticks_until_given_up(scene)
    assert scene.store.load(scene.id).phase is Phase.ROLLING_BACK
    scene.port.observe = observe  # type: ignore[method-assign]
    for _ in range(12):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
        scene.clock.now += 2_000
    assert scene.store.load(scene.id).phase is Phase.ROLLED_BACK
    assert scene.port.model.state() == before


def test_an_error_in_the_rollback_too_leaves_the_cluster_and_says_so(scene: Scene) -> None:
    advance_release(scene.context, scene.id)
    advance_release(scene.context, scene.id)
    scene.port.observe = breaks  # type: ignore[method-assign]
    ticks_until_given_up(scene)
    ticks_until_given_up(scene)
    assert scene.store.load(scene.id).phase is Phase.FAILED
    assert "the cluster was left as it is now: check hello" in scene.said()


def test_errors_that_end_are_forgotten(scene: Scene) -> None:
    observe = scene.port.observe
    scene.port.observe = breaks  # type: ignore[method-assign]
    for _ in range(TRIES - 1):
        with pytest.raises(TypeError):
            advance_release(scene.context, scene.id)
        scene.clock.now += 10_000
    scene.port.observe = observe  # type: ignore[method-assign]
    advance_release(scene.context, scene.id)
    assert scene.store.load(scene.id).errors is None


def test_a_write_that_breaks_a_promise_is_withheld_counted_and_reported(scene: Scene) -> None:
    """By a plan that takes every pod of the app."""

    def corrupt() -> None:
        release = scene.store.load(scene.id)
        assert release.plan is not None
        goal = DeploymentGoal(Side.STABLE, replicas=0)
        steps = tuple(replace(step, goals=(goal,)) for step in release.plan.steps)
        changed = replace(release, plan=replace(release.plan, steps=steps))
        scene.store.save(changed, (), operation="corrupt")

    scene.store.visitor = corrupt
    for _ in range(4):
        advance_release(scene.context, scene.id)
        scene.port.model.beat()
        scene.clock.now += 2_000
    assert scene.store.load(scene.id).phase is Phase.PAUSED
    assert "would leave 0 of 3 ready endpoints of hello" in scene.said()
    assert scene.store.counters == {"withheld:floor": 1}
    assert scene.port.model.deployments["hello"].replicas == 3
