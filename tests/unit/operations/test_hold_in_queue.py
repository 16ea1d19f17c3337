"""Versions that wait behind a release that did not succeed: they leave the line until people
decide."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from bot.operations.context import Context
from bot.operations.intake.handle_click import handle_click
from bot.operations.lifecycle.hold_in_queue import hold_in_queue
from bot.operations.replies import Refusal
from bot.operations.requests import Click
from bot.releases.facts.changes import Change, Deploy, Scale
from bot.releases.facts.events import EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.announcements import announcement
from tests.builders import DEVELOPER, MANAGER, a_release
from tests.unit.operations.test_answer_start import Desk


class Line:
    """hello-1 ran and is rolled back; what was queued meanwhile follows."""

    def __init__(self, *changes: Change) -> None:
        self.desk = Desk()
        self.store = self.desk.store
        self.context: Context = self.desk.context
        front = self.created(Deploy("2.0.0"))
        self.store.acquire(front, ())
        self.waiting = [self.created(change) for change in changes]
        now = self.store.now()
        over = replace(front, phase=Phase.ROLLED_BACK, started_at=1, finished_at=now + 1)
        self.store.save(over, (), operation="over")

    def created(self, change: Change) -> Release:
        number = len(self.store.recent())
        version = change.version if isinstance(change, Deploy) else ""
        draft = replace(
            a_release(change), id="", created_at=self.store.now() - 1_000, to_version=version
        )
        return self.store.create(
            draft, dedup_key="", same_as="", operation=f"create {number}"
        ).release

    def tick(self) -> list[Release]:
        for one in self.store.active():
            hold_in_queue(self.context, one)
        return [one for one in self.store.active() if one.held is not None]

    def click(self, label: str, by: Person = DEVELOPER) -> Any:
        speaker = next(one for one in self.store.active() if one.held and one.held.ids)
        event = next(
            one.event
            for one in self.store.outbox(speaker.id)[0]
            if one.event.kind is EventKind.HELD
        )
        shown = announcement(speaker, event)
        assert shown is not None
        buttons = next(block for block in shown[0].blocks if block["type"] == "actions")
        one = next(one for one in buttons["elements"] if one["text"]["text"] == label)
        action = one["action_id"].removeprefix("release:")
        return lambda: handle_click(
            self.context, Click(by, "C0RELEASES", action, one["value"], "1.0")
        )


def test_one_message_asks_about_all_versions() -> None:
    line = Line(Deploy("3.0.0"), Deploy("4.0.0"))
    held = line.tick()
    assert [one.id for one in held] == ["hello-2", "hello-3"]
    asked = [
        one.event for each in held for one in line.store.outbox(each.id)[0]
        if one.event.kind is EventKind.HELD
    ]  # fmt: skip
    assert [one.text for one in asked] == [
        "hello-1 was rolled back, so 3.0.0 (hello-2), 4.0.0 (hello-3) wait"
    ]


def test_what_is_held_stands_in_nobodys_way() -> None:
    line = Line(Deploy("3.0.0"), Scale(5))
    line.tick()
    later = line.created(Deploy("4.0.0"))
    scale = line.waiting[1]
    assert line.store.acquire(scale, ()).behind == ""
    assert line.store.acquire(later, ()).behind == scale.id


def test_the_first_of_two_people_decides_for_all() -> None:
    line = Line(Deploy("3.0.0"), Deploy("4.0.0"))
    line.tick()
    drop, go_on = line.click("Drop"), line.click("Continue", MANAGER)
    assert not isinstance(drop(), Refusal)
    assert isinstance(go_on(), Refusal)
    asked = [one.request.kind for each in line.store.active() for one in each.asked]
    assert asked == ["abort", "abort"]


def test_a_button_of_a_queue_that_was_decided_says_so() -> None:
    line = Line(Deploy("3.0.0"))
    line.tick()
    drop = line.click("Drop")
    (held,) = line.store.active()
    line.store.save(replace(held, held=None), (), operation="continued")
    assert "Nothing is held behind hello-1" in str(drop())


def test_a_held_version_says_so_on_its_card_until_when() -> None:
    line = Line(Deploy("3.0.0"))
    (held,) = line.tick()
    card = json.dumps(line.context.render.card(held, now=0).blocks)
    assert "did not succeed while this waited" in card
    assert '"Continue"' in card and '"Drop"' in card
