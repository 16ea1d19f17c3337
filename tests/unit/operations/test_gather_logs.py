"""Log lines are read when a crash is first observed, once for each end of a container, and whatever
they hold stops nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.operations.context import Catalog, Context
from bot.operations.lifecycle.gather_logs import LogReading, gather_logs
from bot.policy.permissions import Access
from bot.ports import ClusterUnreachable
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.plan import Condition, Plan, Side, Step
from bot.releases.facts.release import Phase, Release, Rollback
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import (
    a_container,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

POD = "hello-2-a"


@dataclass
class SimulatedLogs:
    """A cluster of which only the logs of one pod are asked."""

    printed: Callable[[], tuple[str, ...]]
    asked: int = 0

    def logs(self, *_: object, **__: object) -> tuple[str, ...]:
        self.asked += 1
        return self.printed()


@dataclass
class Scene:
    context: Context
    logs: SimulatedLogs
    release: Release

    def tick(self, seen: Observation) -> None:
        """Observed, and nothing counts yet."""
        reading = LogReading(self.context)
        reading.begin(self.release, self.release, seen)
        gather_logs(reading, self.release.id)

    def fail(self, seen: Observation) -> None:
        before, cause = self.release, Cause(FailureClass.PERSISTENT, "crash loop", pods=(POD,))
        broken = replace(
            before, phase=Phase.ROLLING_BACK, rollback=Rollback(Phase.ROLLED_BACK), cause=cause
        )
        self.release = self.context.store.save(broken, (), operation="fail")
        reading = LogReading(self.context)
        reading.begin(before, self.release, seen)
        gather_logs(reading, self.release.id)

    def lines(self) -> tuple[str, ...]:
        cause = self.context.store.load(self.release.id).cause
        return cause.logs if cause else ()


def stage(printed: Callable[[], tuple[str, ...]]) -> Scene:
    store, logs = InMemoryReleaseStore(), SimulatedLogs(printed)
    draft = replace(a_release(), id="", version=0, created_at=store.now())
    release = store.create(draft, dedup_key="", same_as="", operation="create").release
    roll = Step("roll", "roll", (), (Condition.STABLE_COMPLETE,), watches=(Side.STABLE,))
    plan = Plan("hello:2.0.0", "2.0.0", "hello:1.0.0", "1.0.0", (), (roll,))
    release = replace(release, phase=Phase.PROGRESSING, plan=plan)
    release = replace(release, progress=replace(release.progress, at_step=0))
    unused = cast(Any, None)
    clusters = cast(Any, {release.target.cluster: logs})
    catalog = Catalog({}, ("local",), Access(frozenset(), {}))
    messenger, rendering = RecordingMessenger(), SlackRendering()
    context = Context(store, store.queue, clusters, messenger, unused, catalog, rendering, unused)
    return Scene(context, logs, store.save(release, (), operation="begin"))


def crashed(times: int = 1) -> Observation:
    """Its container has ended that many times, and waits for its next start."""
    ended = a_container(
        ready=False,
        waiting="CrashLoopBackOff",
        last_terminated="Error",
        exit_code=1,
        restarts=times - 1,
    )
    pod = a_pod(POD, ready=False, containers=(ended,))
    template = a_template("2.0.0")
    new = a_replica_set("hello-2", template, revision=2, pods=(pod,))
    return an_observation(a_deployment(template=template, replica_sets=(new,)))


def pods_are_gone() -> Observation:
    return an_observation()


def gone() -> tuple[str, ...]:
    raise ClusterUnreachable("the pod is gone")


def test_lines_are_saved_redacted_with_an_event_of_their_own() -> None:
    scene = stage(lambda: ("DB_PASS=hunter2", "x" * 16_000))
    scene.fail(crashed())
    lines = scene.lines()
    assert lines[0] == "DB_PASS=[redacted]" and len(lines[1]) <= 300
    outbox, _ = scene.context.store.outbox(scene.release.id)
    assert EventKind.EVIDENCE in [entry.event.kind for entry in outbox]


def test_the_lines_of_a_crash_outlive_its_pod() -> None:
    """Read before the crash counts, they are there when the rollback has removed the pod."""
    scene = stage(lambda: ("panic: no config",))
    scene.tick(crashed())
    scene.logs.printed = gone
    scene.fail(crashed())
    assert scene.lines() == ("panic: no config",)


def test_the_read_of_a_failure_begins_before_the_first_patch() -> None:
    patched, read = threading.Event(), threading.Event()

    def printed() -> tuple[str, ...]:
        read.set()
        assert patched.wait(10), "the tick waits for the lines"
        return ("panic: no config",)

    scene = stage(printed)
    before = scene.release
    reading = LogReading(scene.context)
    reading.begin(before, before, crashed())
    assert read.wait(10), "nothing reads beside the tick"
    patched.set()
    gather_logs(reading, before.id)
    scene.fail(pods_are_gone())
    assert scene.lines() == ("panic: no config",)


def test_each_end_of_a_container_is_read_once() -> None:
    scene = stage(lambda: ("panic: no config",))
    for times in (1, 1, 2, 2, 2):
        scene.tick(crashed(times))
    assert scene.logs.asked == 2


def test_a_reader_that_dies_of_the_lines_is_not_repeated() -> None:
    def dies() -> tuple[str, ...]:
        raise MemoryError

    scene = stage(dies)
    with pytest.raises(MemoryError):
        scene.tick(crashed(1))
    scene.tick(crashed(2))
    scene.fail(crashed(3))
    assert scene.logs.asked == 1


def test_no_lines_to_be_had_changes_nothing() -> None:
    scene = stage(gone)
    scene.tick(crashed())
    assert scene.context.store.load(scene.release.id) == scene.release
    scene.fail(crashed())
    assert scene.context.store.load(scene.release.id) == scene.release


def test_a_worker_that_ended_at_the_failure_leaves_the_lines_to_the_next() -> None:
    scene = stage(lambda: ("panic: no config",))
    scene.fail(pods_are_gone())
    assert scene.lines() == ("panic: no config",)


def test_nothing_is_read_where_the_catalog_says_so() -> None:
    scene = stage(lambda: ("panic: no config",))
    off = replace(scene.release.rules, evidence_logs="off")
    scene.release = replace(scene.release, rules=off)
    scene.fail(crashed())
    assert scene.logs.asked == 0


def test_a_container_that_was_not_started_again_has_its_last_lines_in_its_own_log() -> None:
    """A kubelet keeps one ended container: before the next start that is the current one, and the
    log of the one before is removed."""

    class Ended(SimulatedLogs):
        def logs(self, *_: object, **query: object) -> tuple[str, ...]:
            return () if query["previous"] else self.printed()

    scene = stage(lambda: ("panic: no config",))
    ended = cast(Any, {"local": Ended(scene.logs.printed)})
    scene.context = replace(scene.context, clusters=ended)
    scene.fail(crashed())
    assert scene.lines() == ("panic: no config",)
