"""From a change at a cluster to a woken release, and to a line in the app's channel."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.cluster.watch import Change
from bot.operations.context import Context
from bot.operations.delivery.report_outside_change import (
    queue_outside_change,
    report_outside_change,
)
from bot.ports import ChannelUnavailable, Message, RateLimited, SlackUnavailable, StoreUnavailable
from bot.releases.engine.decide import decide
from bot.releases.facts.outside_change import OutsideChange
from bot.releases.facts.release import Phase, Release
from bot.stop_signal import STOPPING
from bot.wiring import make_context
from config.catalog import load_catalog
from config.settings import Settings
from jobs.watcher import CARD_SPACING_MS, Nudger, watch_clusters
from tests.builders import T0, a_release, a_target, an_observation
from tests.fakes.in_memory_store import InMemoryReleaseStore, InMemoryWorkQueue
from tests.fakes.recording_messenger import RecordingMessenger

CATALOG = """
clusters: {local: {kubeconfig: ./kubeconfig}}
apps: {hello: {cluster: local, namespace: default, channel: C0RELEASES}}
"""
ROLLED = OutsideChange(("template",), "kubectl-set", "", ("hello:1",), ("hello:2",))


@dataclass
class Scene:
    """Redis and Slack replaced, everything else as it is wired; the clock stands where a test puts
    it."""

    context: Context
    queue: InMemoryWorkQueue
    messenger: RecordingMessenger

    def key(self) -> str:
        (key,) = (
            wake_id.removeprefix("noticed:")
            for wake_id in self.queue.due
            if wake_id.startswith("noticed:")
        )
        return key


class InMemoryStoreThatGoesAway(InMemoryReleaseStore):
    away = False

    def active_ids(self) -> tuple[str, ...]:
        if self.away:
            raise StoreUnavailable("away")
        return super().active_ids()


@pytest.fixture
def clock() -> list[int]:
    return [T0]


@pytest.fixture
def store(clock: list[int]) -> InMemoryStoreThatGoesAway:
    return InMemoryStoreThatGoesAway(clock=lambda: clock[0])


@pytest.fixture
def scene(tmp_path: Path, store: InMemoryStoreThatGoesAway) -> Scene:
    (tmp_path / "kubeconfig").write_text("{}")
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    settings = Settings(
        redis_url="redis://127.0.0.1:1/0",
        config=tmp_path / "catalog.yaml",
        slack_bot_token="xoxb-test",
    )
    messenger = RecordingMessenger()
    context = make_context(settings, load_catalog(settings.config))
    return Scene(
        replace(context, store=store, queue=store.queue, messenger=messenger),
        store.queue,
        messenger,
    )


def test_a_change_that_only_moves_the_card_wakes_later(scene: Scene) -> None:
    created = scene.context.store.create(
        replace(a_release(), id=""), dedup_key="", same_as="", operation="create"
    )
    del scene.queue.due[f"release:{created.release.id}"]
    nudger = Nudger(scene.context, clock=lambda: 100.0)
    nudger.take("local", Change("default", "pods", "hello", urgent=False))
    nudger.nudge()
    assert scene.queue.due[f"release:{created.release.id}"] == T0 + CARD_SPACING_MS
    nudger.take("local", Change("default", "pods", "hello"))
    nudger.nudge()
    assert scene.queue.due[f"release:{created.release.id}"] == T0


def test_a_change_wakes_the_release_it_concerns_and_no_other(scene: Scene) -> None:
    for app in ("hello", "cart"):
        draft = a_release(target=a_target(app=app, deployment=app, services=(app,)))
        scene.context.store.create(draft, dedup_key=app, same_as="", operation=app)
    scene.queue.due.clear()
    nudger = Nudger(scene.context)
    nudger.take(a_target().cluster, Change(a_target().namespace, "pods", deployment="hello"))
    nudger.nudge()
    assert scene.queue.due == {"release:hello-1": T0}


def test_a_change_of_a_release_that_is_younger_than_the_list_waits_until_the_list_is_read_again(
    scene: Scene,
) -> None:
    now = [0.0]
    nudger = Nudger(scene.context, clock=lambda: now[0])
    hello = Change(a_target().namespace, "deployments", deployment="hello")

    def told(at: float) -> set[str]:
        scene.queue.due.clear()
        now[0] = at
        nudger.nudge()
        return set(scene.queue.due)

    first = scene.context.store.create(
        a_release(), dedup_key="1", same_as="", operation="1"
    ).release
    nudger.take(a_target().cluster, hello)
    assert told(0.01) == {"release:hello-1"}
    scene.context.store.save(replace(first, phase=Phase.SUCCEEDED), (), operation="over")
    scene.context.store.create(a_release(), dedup_key="2", same_as="", operation="2")
    nudger.take(a_target().cluster, hello)
    told(0.1)
    assert nudger.has_pending
    assert told(0.25) == {"release:hello-2"}
    assert not nudger.has_pending


class StoreThatCountsReads(InMemoryReleaseStore):
    reads = 0

    def load(self, release_id: str) -> Release:
        self.reads += 1
        return super().load(release_id)


def test_a_release_that_has_its_plan_is_read_once_and_one_that_has_none_yet_again(
    scene: Scene,
) -> None:
    store = StoreThatCountsReads(clock=lambda: T0)
    draft = a_release()
    planned = store.create(draft, dedup_key="", same_as="", operation="one").release
    plan = decide(planned, an_observation(), T0).release.plan
    store.save(replace(planned, plan=plan), (), operation="planned")
    store.create(
        replace(draft, target=a_target(app="cart", deployment="cart")),
        dedup_key="",
        same_as="",
        operation="two",
    )
    nudger = Nudger(replace(scene.context, store=store, queue=store.queue))
    first = dict(nudger._read())
    nudger._running, store.reads = first, 0
    assert list(nudger._read()) == list(first.items())
    assert store.reads == 1


def test_a_change_during_an_outage_of_redis_wakes_after_it(
    scene: Scene, store: InMemoryStoreThatGoesAway
) -> None:
    scene.context.store.create(a_release(), dedup_key="", same_as="", operation="create")
    scene.queue.due.clear()
    nudger = Nudger(scene.context)
    store.away = True
    nudger.take(
        a_target().cluster, Change(a_target().namespace, "pods", deployment=a_target().deployment)
    )
    with pytest.raises(StoreUnavailable):
        nudger.nudge()
    store.away = False
    nudger.nudge()
    assert set(scene.queue.due) == {"release:hello-1"}


@pytest.mark.parametrize(
    ("deployment", "change"),
    [
        ("hello", ROLLED),
        ("hello", replace(ROLLED, claim="hello-7")),  # no release of that name runs
        ("hello-green", ROLLED),
    ],
    ids=["a roll", "an undo that brings an old claim back", "green of a pair"],
)
def test_an_outside_roll_is_followed(scene: Scene, deployment: str, change: OutsideChange) -> None:
    nudger = Nudger(scene.context)
    for name in (deployment, "hello-other"):
        nudger.take(
            "local", Change("default", "deployments", deployment=name, outside_change=change)
        )
    nudger.nudge()
    assert set(scene.queue.due) == {f"rollout:hello/{deployment}"}


def test_an_outside_scaling_is_reported_in_the_apps_channel(scene: Scene) -> None:
    nudger = Nudger(scene.context)
    scaled = OutsideChange(("replicas",), "kubectl-scale", replicas_before=3, replicas_after=5)
    nudger.take(
        "local", Change("default", "deployments", deployment="hello", outside_change=scaled)
    )
    nudger.nudge()
    assert report_outside_change(scene.context, scene.key()) is None
    (sent,) = scene.messenger.sent
    assert sent.where == "C0RELEASES"
    assert "from 3 to 5 by kubectl-scale" in sent.message.text


def test_a_change_that_two_watchers_observe_is_reported_once(scene: Scene) -> None:
    for _ in range(2):
        queue_outside_change(scene.context, "C0RELEASES", "hello was scaled")
        for wake_id in list(scene.queue.due):
            del scene.queue.due[wake_id]
            report_outside_change(scene.context, wake_id.removeprefix("noticed:"))
    assert len(scene.messenger.sent) == 1


class InMemoryQueueThatGoesAway(InMemoryWorkQueue):
    away = False

    def wake(self, wake_id: str, at: int) -> None:
        if self.away:
            raise StoreUnavailable("away")
        super().wake(wake_id, at)


def test_an_outage_of_redis_while_a_change_is_recorded_loses_nothing(scene: Scene) -> None:
    queue = InMemoryQueueThatGoesAway()
    context = replace(scene.context, queue=queue)
    queue.away = True
    with pytest.raises(StoreUnavailable):
        queue_outside_change(context, "C0RELEASES", "hello was scaled")
    queue.away = False
    queue_outside_change(context, "C0RELEASES", "hello was scaled")
    assert len(queue.due) == 1


class RecordingWithLostReplies(RecordingMessenger):
    """Slack posts, and nobody hears of it."""

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        super().post(channel, message, thread_ts=thread_ts, broadcast=broadcast)
        raise SlackUnavailable("no answer")


def test_a_posted_line_is_not_repeated_when_slacks_answer_is_lost(
    scene: Scene,
) -> None:
    lossy = RecordingWithLostReplies()
    queue_outside_change(scene.context, "C0RELEASES", "hello was scaled")
    assert report_outside_change(replace(scene.context, messenger=lossy), scene.key()) == T0 + 5_000
    assert report_outside_change(replace(scene.context, messenger=lossy), scene.key()) is None
    assert len(lossy.sent) == 1


@pytest.mark.parametrize(
    ("refusal", "later_ms"), [(RateLimited(7_000), 7_000), (SlackUnavailable("away"), 5_000)]
)
def test_a_line_that_slack_refuses_now_is_posted_later(
    scene: Scene, clock: list[int], refusal: Exception, later_ms: int
) -> None:
    queue_outside_change(scene.context, "C0RELEASES", "hello was scaled")
    scene.messenger.refusals.append(refusal)
    again = report_outside_change(scene.context, scene.key())
    assert again == T0 + later_ms
    while again is not None:
        clock[0] = again
        again = report_outside_change(scene.context, scene.key())
    assert clock[0] <= T0 + later_ms + 2_000
    assert len(scene.messenger.sent) == 1


def test_a_deleted_channel_is_not_retried_for_ever(scene: Scene) -> None:
    queue_outside_change(scene.context, "C0GONE", "hello was scaled")
    scene.messenger.refusals.append(ChannelUnavailable("archived"))
    assert report_outside_change(scene.context, scene.key()) is None
    assert report_outside_change(scene.context, scene.key()) is None
    assert scene.messenger.sent == []


class Reported(Exception):
    """Ends the watch of the test."""


@pytest.fixture
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_what_was_counted_is_reported_while_clusters_are_watched(scene: Scene) -> None:
    def report() -> None:
        raise Reported

    with pytest.raises(Reported):
        watch_clusters(scene.context, lambda: None, report, report_every_s=0)
