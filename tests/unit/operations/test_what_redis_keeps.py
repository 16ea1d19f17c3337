"""Redis grows by what is kept on purpose: nothing is written while nothing changes, and retention
bounds the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from redis import Redis

from bot.operations.context import Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.sweep import sweep
from bot.policy.permissions import Access, Grant, Role
from bot.ports import Cluster, ClusterUnreachable
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Pause
from bot.slack.blocks.rendering import SlackRendering
from bot.store import Leases, RedisReleaseStore
from bot.work_queue import RqWorkQueue
from tests.builders import DEVELOPER, a_canary, a_release, rules_with
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.recording_messenger import RecordingMessenger
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.test_canary_walks import a_hello
from tests.unit.operations.test_advance_release import Scene, SimulatedPort, a_scene

TICKS = 20
HOUR = 3_600_000


@dataclass
class Stage:
    """Releases of one app in a real Redis and a modelled cluster."""

    redis: Redis
    store: RedisReleaseStore
    port: SimulatedPort
    context: Context

    def start(self, draft: Release) -> str:
        draft = replace(draft, id="", created_at=self.store.now(), command="deploy hello 2.0.0")
        draft = replace(draft, target=replace(draft.target, cluster="local"))
        made = self.store.create(
            draft, dedup_key="", same_as="", operation=draft.command + draft.reason
        )
        return made.release.id

    def tick(self, release_id: str, *, times: int = 1) -> Release:
        for _ in range(times):
            advance_release(self.context, release_id)
        return self.store.load(release_id)

    def until(self, release_id: str, phase: Phase) -> None:
        for _ in range(30):
            if self.tick(release_id).phase is phase:
                return
            self.port.model.beat()
        raise AssertionError(f"{release_id} is {self.store.load(release_id).phase}, not {phase}")

    def changes(self, act: Callable[[], object]) -> int:
        """How many changes of the data set it makes: a command that changes nothing is none."""

        def count() -> int:
            return int(self.redis.info("persistence")["rdb_changes_since_last_save"])

        before = count()
        act()
        return count() - before

    def audited(self) -> int:
        return len(self.store.audit(limit=1_000_000))


@pytest.fixture
def stage(redis_client: Redis) -> Stage:
    store = RedisReleaseStore(redis_client)
    port = SimulatedPort(
        ModelledCluster(a_hello(), services={"hello": {"app": "hello"}}), cast(Any, store)
    )
    access = Access(frozenset(), {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
    context = Context(
        store,
        RqWorkQueue(redis_client, wake=Leases(redis_client).wake),
        cast(Any, {"local": cast(Cluster, port)}),
        RecordingMessenger(),
        InMemoryDirectory(),
        Catalog({}, ("local",), access),
        SlackRendering(),
        cast(Any, None),
    )
    return Stage(redis_client, store, port, context)


@pytest.fixture
def scene() -> Scene:
    return a_scene(a_release())


def holding(stage: Stage) -> str:
    rules = rules_with(canary={"hold_ms": HOUR, "promote": "approval", "steps": (50,)})
    release_id = stage.start(a_canary(rules=rules))
    stage.until(release_id, Phase.HOLDING)
    return release_id


def waiting_for_approval(stage: Stage) -> str:
    rules = rules_with(canary={"hold_ms": 0, "promote": "approval", "steps": (50,)})
    release_id = stage.start(a_canary(rules=rules))
    stage.until(release_id, Phase.AWAITING_PROMOTION)
    return release_id


def waiting_for_pods(stage: Stage) -> str:
    release_id = stage.start(a_release())
    stage.until(release_id, Phase.PROGRESSING)
    return release_id


def paused(stage: Stage) -> str:
    release_id = holding(stage)
    control_release(stage.context, release_id, Pause(DEVELOPER), "paused")
    stage.until(release_id, Phase.PAUSED)
    return release_id


def drifted(stage: Stage) -> str:
    release_id = holding(stage)
    stage.port.model.select("hello", {"app": "elsewhere"})
    stage.until(release_id, Phase.DRIFTED)
    return release_id


def in_the_queue(stage: Stage) -> str:
    holding(stage)
    return stage.start(a_release(reason="behind the other one"))


def unreachable(stage: Stage) -> str:
    release_id = holding(stage)

    def away(*_: Any, **__: Any) -> Any:
        raise ClusterUnreachable("timed out")

    stage.port.observe = away  # type: ignore[method-assign]
    return release_id


@pytest.mark.parametrize(
    "wait",
    [holding, waiting_for_approval, waiting_for_pods, paused, drifted, in_the_queue, unreachable],
)
def test_a_release_that_waits_writes_nothing(stage: Stage, wait: Callable[[Stage], str]) -> None:
    release_id = wait(stage)
    stage.tick(release_id, times=3)
    audited = stage.audited()
    assert stage.changes(lambda: stage.tick(release_id, times=TICKS)) == 0
    assert stage.audited() == audited


def test_a_sweep_writes_nothing_while_all_is_well(stage: Stage) -> None:
    release_id = holding(stage)
    stage.store.delivered(release_id, through=1_000, card_version=1_000)
    sweep(stage.context)
    assert stage.changes(lambda: [sweep(stage.context) for _ in range(20)]) == 0


@pytest.mark.slow
def test_a_thousand_ticks_in_a_hold_write_nothing(stage: Stage) -> None:
    release_id = holding(stage)
    before, audited = stage.tick(release_id, times=3), stage.audited()
    assert stage.changes(lambda: stage.tick(release_id, times=1_000)) == 0
    assert (stage.store.load(release_id), stage.audited()) == (before, audited)


def test_the_audit_does_not_grow_with_time(scene: Scene) -> None:
    """A pause is repeated every hour, to people alone."""
    advance_release(scene.context, scene.id)
    control_release(scene.context, scene.id, Pause(DEVELOPER), "paused")
    advance_release(scene.context, scene.id)
    audited = len(scene.store.audit())
    for _ in range(100):
        scene.clock.now += HOUR
        advance_release(scene.context, scene.id)
    assert scene.said().count("resume to continue") == 100
    assert len(scene.store.audit(limit=1_000)) == audited
