"""Versions that wait behind a release that did not succeed: they leave the line until people
decide."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from bot.operations.context import Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.intake.handle_click import handle_click
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.answer_requests import answer_requests
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.hold_in_queue import hold_in_queue
from bot.operations.lifecycle.sweep import sweep
from bot.operations.replies import Refusal
from bot.operations.requests import Click
from bot.policy.freezes import Freeze
from bot.releases.facts.changes import Change, Deploy, Scale
from bot.releases.facts.events import EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Resume
from bot.slack.blocks.announcements import announcement
from tests.builders import ADMIN, DEVELOPER, MANAGER, a_release
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.operations.test_advance_release import a_scene
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


def test_the_card_in_front_is_drawn_again_when_a_version_queues() -> None:
    """Its Abort asks in a form then, and not on the card before."""
    scene = a_scene(a_release(Deploy("2.0.0")))
    advance_release(scene.context, scene.id)
    deliver_release(scene.context, scene.id)
    draft = replace(
        a_release(Deploy("3.0.0")),
        id="",
        to_version="3.0.0",
        target=scene.store.load(scene.id).target,
        created_at=scene.store.now(),
    )
    later = scene.store.create(draft, dedup_key="", same_as="", operation="later").release
    advance_release(scene.context, later.id)
    assert scene.store.load(later.id).queued_behind == scene.id
    messenger = scene.context.messenger
    assert isinstance(messenger, RecordingMessenger)
    cards = []
    for _ in range(2):
        deliver_release(scene.context, scene.id)
        cards.append(next(one for one in reversed(messenger.sent) if one.how in ("edit", "post")))
    abort = next(
        one
        for block in cards[-1].message.blocks
        if block["type"] == "actions"
        for one in block["elements"]
        if one["text"]["text"] == "Abort"
    )
    assert "confirm" not in abort


# --- what begins meanwhile ------------------------------------------------------------------------


def frozen(line: Line, until: int | None = None) -> Freeze:
    freeze = Freeze("hello", "incident", ADMIN, line.store.now(), until)
    assert line.store.change_freeze("hello", None, freeze)
    return freeze


def test_under_a_freeze_continue_is_refused_and_what_is_held_stays() -> None:
    line = Line(Deploy("3.0.0"))
    line.tick()
    go_on = line.click("Continue")
    freeze = frozen(line)
    refusal = go_on()
    assert isinstance(refusal, Refusal) and "hello is frozen by admin: incident" in refusal.line
    (held,) = line.tick()
    assert not held.asked
    line.store.change_freeze("hello", freeze, None)
    assert not isinstance(go_on(), Refusal)  # nobody had decided otherwise


def test_under_a_freeze_a_typed_resume_is_refused_too() -> None:
    line = Line(Deploy("3.0.0"))
    (held,) = line.tick()
    frozen(line)
    reply = control_release(line.context, held.id, Resume(DEVELOPER), "continuing")
    assert isinstance(reply, Refusal) and "is frozen by admin" in reply.line


def test_a_freeze_that_begins_between_click_and_effect_keeps_it_held() -> None:
    line = Line(Deploy("3.0.0"))
    line.tick()
    line.click("Continue")()
    freeze = frozen(line)
    (asked,) = line.store.active()
    decision = answer_requests(line.context, asked)
    assert decision.release.held is not None and not decision.release.asked
    assert "was not carried out: hello is frozen by admin" in decision.events[0].text
    line.store.save(decision.release, decision.events, operation="answered")
    line.store.change_freeze("hello", freeze, None)
    assert not isinstance(line.click("Continue", MANAGER)(), Refusal)


def test_the_end_of_a_freeze_asks_again_whoever_ends_it() -> None:
    line = Line(Deploy("3.0.0"))
    line.tick()
    freeze = frozen(line)
    (held,) = line.tick()
    line.store.change_freeze("hello", freeze, None)
    line.store.queue.due.clear()
    sweep(line.context)
    assert f"release:{held.id}" in line.store.queue.due
    line.tick()
    last = line.store.outbox(held.id)[0][-1].event
    assert "the freeze is over" in last.text
    shown = announcement(line.store.load(held.id), last)
    assert shown is not None and "For <@U0DEV1>" in shown[0].text


def test_an_app_removed_from_the_catalog_drops_what_is_held_once() -> None:
    line = Line(Deploy("3.0.0"))
    (held,) = line.tick()
    line.context = replace(line.context, catalog=replace(line.context.catalog, apps={}))
    assert line.tick() == [] and line.tick() == []
    over = line.store.load(held.id)
    assert over.phase is Phase.EXPIRED
    told = [one.event for one in line.store.outbox(held.id)[0]]
    last = [one for one in told if one.kind is EventKind.FINISHED]
    assert [one.text for one in last] == ["3.0.0 was dropped: hello is no longer in the catalog"]
    shown = announcement(over, last[0])
    assert shown is not None and "<@U0DEV1>" in shown[0].text
