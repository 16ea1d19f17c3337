"""A rollout outside Pilothouse: one message that is edited to its end, a failure posted once, and
the button that undoes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.watching.follow_rollout import follow_rollout, queue_rollout
from bot.ports import MessageGone, SlackUnavailable
from bot.releases.facts.changes import Scale
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from tests.builders import (
    REPOSITORY,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
)
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.unit.operations.test_answer_start import Desk, SimulatedView

SUBJECT = "hello/hello"
BEFORE = (f"{REPOSITORY}:1.0.0",)


def pods(version: str, count: int, *, ready: bool = True) -> tuple[PodSeen, ...]:
    image = f"{REPOSITORY}:{version}"
    return tuple(a_pod(f"hello-{version}-{n}", image=image, ready=ready) for n in range(count))


def rolling(new: tuple[PodSeen, ...], *, old: int, **facts: Any) -> DeploymentSeen:
    template = a_template("2.0.0")
    sets = (
        a_replica_set("hello-2", template, revision=2, pods=new),
        a_replica_set("hello-1", revision=1, pods=pods("1.0.0", old)),
    )
    return a_deployment(template=template, replica_sets=sets, **facts)


def crashing(name: str) -> PodSeen:
    ended = a_container(
        f"{REPOSITORY}:2.0.0",
        ready=False,
        waiting="CrashLoopBackOff",
        restarts=3,
        last_terminated="Error",
        exit_code=1,
    )
    return replace(pods("2.0.0", 1, ready=False)[0], name=name, containers=(ended,))


class Followed(Desk):
    """1.0.0 was healthy; `kubectl set image` has just made it 2.0.0."""

    def __init__(self) -> None:
        super().__init__(SimulatedView(an_observation(rolling(pods("2.0.0", 1), old=3))))
        self.cluster.seen = replace(self.cluster.seen, at=T0 + 600_000)
        self.at = T0
        self.store = InMemoryReleaseStore(clock=lambda: self.at)
        self.context = replace(self.context, store=self.store, queue=self.store.queue)
        key = templates_key("uid-cluster", "default", "hello")
        self.store.remember_healthy(key, a_template("1.0.0"), version="1.0.0", release_id="x")
        self.report()

    def report(
        self, generation: int = 1, manager: str = "kubectl-set", *, missed: bool = False
    ) -> None:
        """As a watcher does."""
        queue_rollout(
            self.context,
            self.context.catalog.apps["hello"],
            "hello",
            before=BEFORE,
            manager=manager,
            generation=generation,
            order=generation,
            missed=missed,
        )

    def shows(self, stable: DeploymentSeen | None = None) -> str:
        """What the channel's messages say once the cluster looks like this."""
        if stable is not None:
            self.cluster.seen = replace(self.cluster.seen, stable=stable)
        self.at += 10_000
        self.next = follow_rollout(self.context, SUBJECT)
        return self.messenger.sent[-1].message.text if self.messenger.sent else ""

    def how(self) -> list[str]:
        return [one.how for one in self.messenger.sent]

    def labels(self) -> list[str]:
        blocks = self.messenger.sent[-1].message.blocks
        return [e["text"]["text"] for b in blocks for e in b.get("elements", ()) if "value" in e]


@pytest.fixture
def desk() -> Followed:
    return Followed()


def test_one_message_says_what_rolls_who_began_it_and_how_far_it_is_until_it_is_over(
    desk: Followed,
) -> None:
    begun = desk.shows()
    assert "hello is rolling: 1.0.0 → 2.0.0" in begun
    assert "1 of 3 pods ready, 3 old pods left" in begun
    assert "Started by kubectl-set, outside Pilothouse" in begun
    assert "2 of 3 pods ready, 1 old pod left" in desk.shows(rolling(pods("2.0.0", 2), old=1))
    assert "hello has rolled: 1.0.0 → 2.0.0, took 30 s" in desk.shows(
        rolling(pods("2.0.0", 3), old=0)
    )
    assert desk.how() == ["post", "edit", "edit"] and desk.next is None


def test_nothing_is_edited_while_nothing_changes(desk: Followed) -> None:
    for _ in range(3):
        desk.shows()
    assert desk.how() == ["post"]


def test_a_second_watcher_and_a_late_one_add_nothing(desk: Followed) -> None:
    desk.report()
    desk.shows(rolling(pods("2.0.0", 3), old=0))
    desk.report()
    desk.shows()
    assert desk.how() == ["post"]


def test_a_late_watcher_does_not_name_who_wrote_before(desk: Followed) -> None:
    desk.report(3, "kubectl-edit")
    desk.report(2, "argocd-controller")
    assert "Started by kubectl-edit" in desk.shows()


def test_a_rollout_that_nobody_saw_begin_does_not_say_how_long_it_took() -> None:
    desk = Followed()
    desk.store.take(f"rollout:{SUBJECT}")
    desk.report(2, missed=True)
    shown = desk.shows(rolling(pods("2.0.0", 3), old=0))
    assert shown.splitlines()[0] == "hello has rolled: 1.0.0 → 2.0.0"
    assert "outside Pilothouse, while Pilothouse was not watching" in shown


def test_the_same_change_again_is_another_rollout(desk: Followed) -> None:
    desk.shows(rolling(pods("2.0.0", 3), old=0))
    desk.report(generation=2)
    desk.shows(rolling(pods("2.0.0", 1), old=3, generation=2, observed_generation=2))
    assert desk.how() == ["post", "post"]


def test_a_change_after_the_last_observation_is_a_rollout_of_its_own(desk: Followed) -> None:
    class Changing(SimulatedView):
        def observe(self, *target: object, **what: object) -> Observation:
            seen, self.seen = self.seen, an_observation(rolling(pods("2.0.0", 1), old=3))
            return seen

    done = an_observation(a_deployment(template=a_template("2.0.0")))
    desk.context = replace(desk.context, clusters={"local": Changing(done)})  # type: ignore[arg-type]
    assert "has rolled" in desk.shows()
    assert desk.next is not None and "hello is rolling" in desk.shows()
    assert desk.how() == ["post", "post"]


def test_a_failure_is_shown_with_its_cause_and_posted_once(desk: Followed) -> None:
    desk.shows()
    bad = rolling((crashing("hello-2-a"), crashing("hello-2-b")), old=3)
    posted = desk.shows(bad)
    assert "rolled by kubectl-set outside Pilothouse, fails: 2 of 2 new pods: Crash" in posted
    assert desk.how() == ["post", "edit", "post"]
    assert "hello fails: 1.0.0 → 2.0.0" in desk.messenger.sent[1].message.text
    desk.shows()
    assert desk.how() == ["post", "edit", "post"]


def test_a_failure_is_copied_where_the_catalog_says(desk: Followed) -> None:
    app = desk.context.catalog.apps["hello"]
    loud = replace(app, rules=replace(app.rules, failure_to=("C0OPS", "starter")))
    catalog = replace(desk.context.catalog, apps={"hello": loud})
    desk.context = replace(desk.context, catalog=catalog)
    desk.shows(rolling(tuple(crashing(f"hello-{n}") for n in range(3)), old=0))
    desk.shows()
    told = [
        one.where for one in desk.messenger.sent if "outside Pilothouse, fails" in one.message.text
    ]
    assert told == ["C0RELEASES", "C0OPS"]


def test_it_can_be_undone_to_the_version_last_seen_healthy(desk: Followed) -> None:
    desk.shows()
    assert desk.labels() == ["Roll back to 1.0.0 (1)"]


def test_what_another_tool_manages_is_undone_there(desk: Followed) -> None:
    managed = rolling(pods("2.0.0", 1), old=3, labels={"argocd.argoproj.io/instance": "shop"})
    assert "Managed by Argo CD (argocd.argoproj.io/instance: shop): undo it there" in desk.shows(
        managed
    )
    assert desk.labels() == []


def test_a_pause_and_a_missed_deadline_are_named(desk: Followed) -> None:
    late = (("Progressing", "False", "ProgressDeadlineExceeded", ""),)
    assert "hello is paused" in desk.shows(rolling(pods("2.0.0", 1), old=3, paused=True))
    assert "past its progress deadline" in desk.shows(
        rolling(pods("2.0.0", 1), old=3, conditions=late)
    )


def test_it_ends_where_a_release_begins_or_the_deployment_is_gone(desk: Followed) -> None:
    desk.shows()
    desk.store.create(a_release(Scale(5)), dedup_key="", same_as="", operation="other")
    assert "hello-1 runs since 1.0.0 → 2.0.0 began" in desk.shows() and desk.next is None
    gone = Followed()
    gone.cluster.seen = replace(gone.cluster.seen, stable=None)
    assert "hello was deleted while it rolled" in gone.shows() and gone.next is None


def test_an_absent_cluster_or_slack_ends_nothing(desk: Followed) -> None:
    desk.cluster.away = "timed out"
    desk.shows()
    desk.cluster.away = ""
    desk.messenger.refusals.append(SlackUnavailable("away"))
    desk.shows()
    assert desk.next is not None and "hello is rolling" in desk.shows()


def test_a_message_that_somebody_deleted_is_not_posted_again(desk: Followed) -> None:
    desk.shows()
    desk.messenger.refusals.append(MessageGone("message_not_found"))
    desk.shows(rolling(pods("2.0.0", 2), old=1))
    assert desk.next is None and desk.how() == ["post"]


def test_what_is_set_back_while_it_rolls_says_so(desk: Followed) -> None:
    desk.shows()
    assert "hello has rolled: 1.0.0 → 2.0.0, and back, took 20 s" in desk.shows(a_deployment())


def test_a_restart_is_a_new_template_of_the_same_version(desk: Followed) -> None:
    template = a_template("1.0.0")
    sets = (a_replica_set("hello-2", template, revision=2, pods=pods("1.0.0", 1)),)
    assert "hello is rolling: a new pod template" in desk.shows(
        a_deployment(template=template, replica_sets=sets)
    )
