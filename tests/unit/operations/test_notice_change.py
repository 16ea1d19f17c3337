"""What others changed is told once: by the first of several watchers, also when none watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.watching.notice_change import Subject, describe, last_seen, notice_change
from bot.releases.facts.outside_change import LastSeen, OutsideChange
from tests.builders import a_release, a_target
from tests.unit.operations.test_answer_start import Desk

TARGET = a_target()
HELLO = Subject(TARGET.cluster, TARGET.namespace, "deployments", "hello")
GREEN = replace(HELLO, name="hello-green")
SERVICE = replace(HELLO, resource="services")
FIRST = LastSeen("u", 1, '{"replicas":3}')
SCALED = LastSeen("u", 2, '{"replicas":5}')


def past(
    *changed: str, manager: str = "kubectl-scale", claim: str = "", missed: bool = False
) -> OutsideChange:
    return OutsideChange(changed, manager, claim, ("hello:1",), ("hello:2",), 3, 5, missed=missed)


class Notices(Desk):
    def told(self) -> list[str]:
        """What waits for a worker to post it, or to follow it."""
        waiting = [one for one in self.store.queue.due if one.startswith(("noticed:", "rollout:"))]
        for one in waiting:
            del self.store.queue.due[one]
        return [
            one if one.startswith("rollout:") else self.store.peek(one) or "" for one in waiting
        ]

    def notice(
        self, what: OutsideChange | None, seen: LastSeen, subject: Subject = HELLO
    ) -> list[str]:
        notice_change(self.context, subject, what, seen)
        return self.told()


@pytest.fixture
def desk() -> Notices:
    return Notices()


def test_what_one_watcher_told_another_does_not_tell_again_however_late(desk: Notices) -> None:
    desk.notice(None, FIRST)
    assert len(desk.notice(past("replicas"), SCALED)) == 1
    assert desk.notice(past("replicas"), SCALED) == []
    assert desk.notice(past("replicas", missed=True), replace(SCALED, order=1)) == []


def test_a_change_back_is_a_change(desk: Notices) -> None:
    desk.notice(past("replicas"), SCALED)
    assert len(desk.notice(past("replicas"), replace(FIRST, order=3))) == 1


def test_the_next_watcher_starts_from_what_was_told(desk: Notices) -> None:
    assert last_seen(desk.context) == {}
    desk.notice(past("replicas"), SCALED)
    place = (TARGET.namespace, "deployments", "hello")
    assert last_seen(desk.context) == {TARGET.cluster: {place: SCALED}}


def test_a_cluster_that_was_restored_is_told_of_from_there(desk: Notices) -> None:
    desk.notice(past("replicas"), replace(SCALED, order=90))
    assert desk.notice(past("replicas"), replace(FIRST, order=4)) == []
    assert (
        len(desk.notice(past("replicas", missed=True), replace(FIRST, order=4, listed=True))) == 1
    )
    assert len(desk.notice(past("replicas"), replace(SCALED, order=5))) == 1


def test_a_roll_that_nobody_watched_is_followed(desk: Notices) -> None:
    assert desk.notice(past("template", missed=True), SCALED) == ["rollout:hello/hello"]


def test_what_a_running_release_sees_itself_is_left_to_its_card(desk: Notices) -> None:
    running = desk.store.create(a_release(), dedup_key="1", same_as="", operation="1").release
    assert desk.notice(past("template", claim=running.id), SCALED) == []
    assert desk.notice(past("template", claim="hello-7"), replace(FIRST, order=3)) != []


def test_a_candidate_that_went_while_nobody_watched_may_be_its_releases(desk: Notices) -> None:
    gone = LastSeen("u", 2, "")
    assert desk.notice(past("deleted", missed=True), gone, GREEN) == []
    assert "deleted" in desk.notice(past("deleted", missed=True), gone)[0]


def test_an_app_that_wants_no_word_of_it_is_told_nothing(desk: Notices) -> None:
    app = desk.context.catalog.apps["hello"]
    quiet = replace(app, rules=replace(app.rules, tell_outside=False))
    catalog = replace(desk.context.catalog, apps={"hello": quiet})
    notice_change(replace(desk.context, catalog=catalog), HELLO, past("replicas"), SCALED)
    assert desk.told() == []


def test_another_apps_objects_are_nobodys(desk: Notices) -> None:
    assert desk.notice(past("replicas"), SCALED, replace(HELLO, name="other")) == []


def test_a_switch_by_hand_names_both_selectors(desk: Notices) -> None:
    switch = replace(
        past("selector", manager="kubectl-edit"),
        selector_before=("app=hello", "version=1"),
        selector_after=("app=hello", "version=2"),
    )
    (line,) = desk.notice(switch, LastSeen("s", 9, "{}"), SERVICE)
    assert (
        "Service hello of hello selects app=hello, version=2 instead of app=hello, version=1: "
        "switched by kubectl-edit, outside Pilothouse" in line
    )


def test_a_service_that_appears_is_no_news(desk: Notices) -> None:
    assert desk.notice(past("created"), LastSeen("s", 9, "{}"), SERVICE) == []
    assert "deleted" in desk.notice(past("deleted"), LastSeen("s", 10, ""), SERVICE)[0]


def test_outside_scaling_is_reported_with_both_numbers() -> None:
    scaled = past("replicas", manager="")
    assert describe("hello", scaled) == "hello was scaled from 3 to 5 outside Pilothouse"
    missed = replace(scaled, missed=True)
    assert describe("hello", missed).endswith(", while Pilothouse was not watching")


def test_an_autoscalers_steps_are_not_reported() -> None:
    autoscaler = "kube-controller-manager, subresource scale"
    assert describe("hello", past("replicas", manager=autoscaler)) == ""
