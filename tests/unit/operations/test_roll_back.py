"""Roll back on a card that is over: void once anything changed, at once in an emergency, else
confirmed with both versions."""

from __future__ import annotations

import json
from dataclasses import replace

from bot.commands.table import Names
from bot.operations.intake.handle_click import handle_click
from bot.operations.replies import Pending
from bot.operations.requests import Click
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.home import AppSeen, HomeSeen, home_view
from tests.blocks.stories import CARDS
from tests.builders import (
    DEVELOPER,
    MANAGER,
    MINUTE,
    a_deployment,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
    pods_for,
)
from tests.unit.operations.test_answer_start import Desk, SimulatedView

LONG_AGO = 11 * MINUTE


def on(version: str, *, restarts: int = 0) -> DeploymentSeen:
    """It runs the version; 1.0.0 is an earlier revision."""
    template, first = a_template(version), a_template("1.0.0")
    pods = pods_for("hello-2", template, 3, restarts=restarts)
    sets = (
        a_replica_set("hello-1", first, revision=1),
        a_replica_set("hello-2", template, revision=2, pods=pods),
    )
    return a_deployment(template=template, replica_sets=sets)


class Over(Desk):
    """hello-1 brought 2.0.0."""

    def __init__(self, seen: DeploymentSeen, *, ago: int = LONG_AGO) -> None:
        super().__init__(SimulatedView(an_observation(seen)))
        made = self.store.create(
            replace(a_release(Deploy("2.0.0")), id="", to_version="2.0.0"),
            dedup_key="",
            same_as="",
            operation="made",
        ).release
        now = self.store.now()
        over = replace(made, phase=Phase.SUCCEEDED, started_at=1, finished_at=now - ago)
        self.ended = self.store.save(over, (), operation="over")

    def press(self, step: str = "", by: str = "1") -> str:
        value = json.dumps({"release": self.ended.id, "step": step})
        person = DEVELOPER if by == "1" else MANAGER
        click = Click(person, "C0RELEASES", "undo", value, "1.0", dedup_key=f"click:{step}{by}")
        assert handle_click(self.context, click) == Pending()
        return self.read()

    def started(self) -> list[Release]:
        return [one for one in self.store.active() if isinstance(one.change, Undo)]


def test_later_it_asks_with_both_versions() -> None:
    over = Over(on("2.0.0"))
    assert "Roll back hello to 1.0.0?" in over.press()
    assert "hello 2.0.0 → 1.0.0, in default on local" in over.read()
    assert over.buttons() == ["Roll back"] and not over.started()
    over.press("confirmed")
    assert len(over.started()) == 1


def test_within_ten_minutes_of_the_end_it_acts_at_once() -> None:
    over = Over(on("2.0.0"), ago=9 * MINUTE)
    over.press()
    assert len(over.started()) == 1


def test_to_confirm_and_to_check_it_observes_once() -> None:
    over = Over(on("2.0.0"), ago=MINUTE)
    over.press()
    assert over.cluster.observed == 1


def test_while_pods_of_the_new_version_fail_it_acts_at_once() -> None:
    over = Over(on("2.0.0", restarts=2))
    over.press()
    assert len(over.started()) == 1


def test_an_outside_change_voids_it_however_urgent() -> None:
    over = Over(on("hotfix", restarts=2), ago=MINUTE)
    assert "hello was changed since hello-1 ended: it runs hotfix now" in over.press()
    assert not over.started()


def test_a_change_while_the_question_stands_voids_the_confirmation() -> None:
    over = Over(on("2.0.0"))
    over.press()
    over.cluster.seen = an_observation(on("hotfix"))
    assert "That button is void" in over.press("confirmed")
    assert not over.started()


def test_of_two_people_one_rolls_back() -> None:
    over = Over(on("2.0.0"), ago=MINUTE)
    for by in ("1", "2"):
        value = json.dumps({"release": over.ended.id})
        person = DEVELOPER if by == "1" else MANAGER
        handle_click(over.context, Click(person, "C0RELEASES", "undo", value, "1.0", dedup_key=by))
    assert "hello-1 is not the last release of hello any more" in over.read()
    assert len(over.started()) == 1


def test_a_cluster_that_is_away_rolls_nothing_back_unseen() -> None:
    over = Over(on("2.0.0"), ago=MINUTE)
    over.cluster.away = "no answer"
    told = over.press()
    assert "What hello runs now is unknown" in told
    assert "rollout undo hello` waits for the cluster, and rolls back then" in told
    assert not over.started()


def test_the_home_tab_offers_it_for_the_last_release_of_an_app() -> None:
    last = replace(CARDS["succeeded"], id="hello-43")
    shown = HomeSeen(
        mine=(last, replace(last, id="hello-42")),
        apps=(AppSeen("hello", "hello", last=last),),
        may_release=True,
    )
    part = json.dumps(home_view(shown, Names(("deploy",), "")))
    assert part.count('"Roll back"') == 1 and "hello-43" in part
