"""Roll back at a revision of the history: for each healthy earlier one, void once anything changed
since, and never lost while the cluster is away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.commands.table import Names
from bot.operations.intake.handle_click import handle_click
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.queries.run_query import run_query
from bot.operations.replies import Pending, Reply
from bot.operations.requests import Click
from bot.policy.freezes import Freeze
from bot.policy.permissions import Access
from bot.ports import Message
from bot.releases.facts.changes import Scale, Undo
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Release
from tests.builders import (
    ADMIN,
    DEVELOPER,
    MANAGER,
    a_deployment,
    a_release,
    a_replica_set,
    a_service,
    a_template,
    an_observation,
)
from tests.unit.operations.test_answer_start import Desk, SimulatedView

VERSIONS = ("1.0.0", "1.1.0", "2.0.0")


def history(replicas: int = 3, image: str = "2.0.0") -> DeploymentSeen:
    versions = VERSIONS if image == "2.0.0" else (*VERSIONS, image)
    sets = tuple(
        a_replica_set(f"hello-{number}", a_template(version), revision=number)
        for number, version in enumerate(versions, start=1)
    )
    return a_deployment(template=a_template(image), replica_sets=sets, replicas=replicas)


class Shown(Desk):
    """The history as it was shown: 1.0.0 was healthy, 1.1.0 was not."""

    def __init__(self) -> None:
        super().__init__(SimulatedView(an_observation(history())))
        key = templates_key("uid-cluster", "default", "hello")
        for version in ("1.0.0", "2.0.0"):
            self.store.remember_healthy(key, a_template(version), version=version, release_id="x")
        self.store.remember_bad(
            key, a_template("1.1.0"), version="1.1.0", why="crashed", release_id="y"
        )
        assert self.ask() == Pending()
        self.message = self.last()

    def ask(self) -> object:
        return self.type("rollout history hello", key=f"history:{len(self.messenger.sent)}")

    def last(self) -> Message:
        while self.store.queue.asked:
            run_query(self.context, self.store.queue.asked.pop(0))
        return self.messenger.sent[-1].message

    def press(self) -> str:
        (button,) = buttons(self.message)
        action = button["action_id"].removeprefix("release:").partition(":")[0]
        click = Click(DEVELOPER, "C0RELEASES", action, button["value"], "1.0", dedup_key="click:1")
        reply: Reply = handle_click(self.context, click)
        assert reply == Pending(), reply
        return self.last().text

    def started(self) -> list[Release]:
        return [one for one in self.store.active() if isinstance(one.change, Undo)]


def buttons(message: Message) -> list[dict[str, str]]:
    found = [one for block in message.blocks for one in block.get("elements", ())]
    return [one for one in found if "revision" in one.get("action_id", "")]


def test_each_healthy_earlier_revision_has_a_button_that_asks_with_both_versions() -> None:
    (button,) = buttons(Shown().message)
    assert "Roll back to 1.0.0 (1)" in str(button["text"])
    asked = str(button["confirm"])
    assert "Roll back hello to 1.0.0?" in asked and "hello 2.0.0 → 1.0.0" in asked


def test_it_undoes_to_that_revision() -> None:
    shown = Shown()
    shown.press()
    assert [one.change for one in shown.started()] == [Undo(1)]


CHANGES = {
    "template": (an_observation(history(image="3.0.0")), "the template of its pods changed"),
    "replicas": (an_observation(history(replicas=5)), "its replicas changed from 3 to 5"),
    "selector": (
        an_observation(history(), services=(a_service(selector={"app": "hello-green"}),)),
        "the selector of its Service changed",
    ),
}


@pytest.mark.parametrize(("now", "said"), CHANGES.values(), ids=CHANGES)
def test_anything_that_changed_since_voids_it(now: Observation, said: str) -> None:
    shown = Shown()
    shown.cluster.seen = now
    assert f"That button is void: {said} since the history was shown" in shown.press()
    assert not shown.started()


def test_a_release_that_began_since_voids_it() -> None:
    shown = Shown()
    shown.store.create(a_release(Scale(5)), dedup_key="", same_as="", operation="other")
    assert "hello-1 is running since the history was shown" in shown.press()
    assert not shown.started()


def test_while_a_release_runs_the_history_offers_none() -> None:
    shown = Shown()
    shown.store.create(a_release(Scale(5)), dedup_key="", same_as="", operation="other")
    shown.ask()
    assert not buttons(shown.last())


def test_while_the_cluster_is_away_the_click_says_so_and_what_works() -> None:
    shown = Shown()
    shown.cluster.away = "no answer"
    told = shown.press()
    assert "The cluster is unreachable: no answer" in told
    assert f"`{Names().typed('rollout')} undo hello` waits for the cluster" in told
    assert not shown.started()


def test_a_freeze_does_not_stop_it() -> None:
    shown = Shown()
    shown.store.change_freeze("all", None, Freeze("all", "month end", ADMIN, 1, None))
    shown.press()
    assert len(shown.started()) == 1


def test_a_viewer_is_refused() -> None:
    shown = Shown()
    context = replace(shown.context, catalog=replace(shown.context.catalog, access=Access()))
    (button,) = buttons(shown.message)
    click = Click(MANAGER, "C0RELEASES", "revision", button["value"], "1.0")
    assert "You need the deployer or admin role" in str(handle_click(context, click))
