"""A card is redrawn a moment after its release moved on: a click on the old one must do nothing to what came since."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.invocation import Click, Refusal, Text
from bot.operations.take_click import take_click
from bot.releases.model import GateState, Person, Phase, Release
from bot.releases.plan import HoldGate
from bot.slack.blocks.buttons import ACTION_PREFIX, buttons_of
from tests.blocks.stories import CARDS
from tests.builders import T0
from tests.unit.slack.conftest import CHANNEL, Bot

TEAM = "T0LOCAL"
HOLDING = CARDS["canary holding"]


def clicked(release: Release, label: str) -> Click:
    button = next(one for one in buttons_of(release) if one["text"]["text"] == label)
    return Click(Person(TEAM, "U0MANAGER", "manager"), CHANNEL, button["action_id"].removeprefix(ACTION_PREFIX), button["value"], "1.1")


def in_its_second_hold(release: Release) -> Release:
    """The same plan, one step further, in a hold again."""
    assert release.plan is not None
    first = release.plan.steps[0]
    steps = (first, replace(first, name="second"), *release.plan.steps[1:])
    assert isinstance(first.gates[0], HoldGate)
    return replace(release, plan=replace(release.plan, steps=steps), at_step=1, gate=GateState(1, 0, T0))


def stored(bot: Bot, release: Release) -> Release:
    return bot.store.create(replace(release, id=""), dedup_key="", same_as="", operation="1").release


def test_go_on_now_ends_the_hold_it_was_drawn_for(bot: Bot) -> None:
    release = stored(bot, HOLDING)
    assert isinstance(take_click(bot.context, clicked(release, "Go on now")), Text)
    gate = bot.store.load(release.id).gate
    assert gate is not None and gate.skipped


def test_go_on_now_of_an_earlier_hold_does_not_end_the_next_one(bot: Bot) -> None:
    release = stored(bot, in_its_second_hold(HOLDING))
    old_card = replace(release, at_step=0, gate=GateState(0, 0, T0))
    answer = take_click(bot.context, clicked(old_card, "Go on now"))
    assert isinstance(answer, Refusal) and "earlier hold" in answer.line
    gate = bot.store.load(release.id).gate
    assert gate is not None and not gate.skipped


def test_go_on_now_of_a_hold_approves_nothing_when_the_gate_has_come_since(bot: Bot) -> None:
    waiting = CARDS["canary waiting for approval"]
    release = stored(bot, waiting)
    old_card = replace(release, phase=Phase.HOLDING, at_step=0, gate=GateState(0, 0, T0))
    answer = take_click(bot.context, clicked(old_card, "Go on now"))
    assert isinstance(answer, Refusal) and "earlier hold" in answer.line
    gate = bot.store.load(release.id).gate
    assert gate is not None and not gate.votes


@pytest.mark.parametrize("label", ["Go on now", "Pause", "Abort"])
def test_every_button_of_a_hold_says_which_one(label: str) -> None:
    assert '"step"' in clicked(HOLDING, label).value
