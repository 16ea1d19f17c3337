"""A card is edited a moment after its release moves on, so a click on the old card must not affect
what came later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.intake.handle_click import handle_click
from bot.operations.replies import Refusal, TextReply
from bot.operations.requests import Click
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.intent import Drift, Field, Kind
from bot.releases.facts.people import Person
from bot.releases.facts.plan import HoldGate
from bot.releases.facts.release import GateState, Phase, Progress, Release
from bot.slack.blocks.buttons import ACTION_PREFIX, buttons_of
from tests.blocks.stories import CARDS
from tests.builders import T0
from tests.unit.slack.conftest import CHANNEL, Bot

TEAM = "T0LOCAL"
HOLDING = CARDS["canary holding"]


def clicked(release: Release, label: str, *, user: str = "U0MANAGER") -> Click:
    button = next(one for one in buttons_of(release) if one["text"]["text"] == label)
    return Click(
        Person(TEAM, user, user),
        CHANNEL,
        button["action_id"].removeprefix(ACTION_PREFIX),
        button["value"],
        "1.1",
    )


def in_its_second_hold(release: Release) -> Release:
    """The same plan, one step further, in a hold again."""
    assert release.plan is not None
    first = release.plan.steps[0]
    steps = (first, replace(first, name="second"), *release.plan.steps[1:])
    assert isinstance(first.gates[0], HoldGate)
    return replace(
        release,
        plan=replace(release.plan, steps=steps),
        progress=Progress(1, gate=GateState(1, 0, T0)),
    )


def stored(bot: Bot, release: Release) -> Release:
    return bot.store.create(
        replace(release, id=""), dedup_key="", same_as="", operation="1"
    ).release


def test_continue_now_ends_its_own_hold(bot: Bot) -> None:
    release = stored(bot, HOLDING)
    assert isinstance(handle_click(bot.context, clicked(release, "Continue now")), TextReply)
    gate = bot.store.load(release.id).progress.gate
    assert gate is not None and gate.skipped


def test_continue_now_of_an_earlier_hold_does_not_end_the_next_one(bot: Bot) -> None:
    release = stored(bot, in_its_second_hold(HOLDING))
    old_card = replace(release, progress=Progress(gate=GateState(0, 0, T0)))
    answer = handle_click(bot.context, clicked(old_card, "Continue now"))
    assert isinstance(answer, Refusal) and "That button is out of date" in answer.line
    gate = bot.store.load(release.id).progress.gate
    assert gate is not None and not gate.skipped


def test_continue_now_never_approves_a_later_gate(bot: Bot) -> None:
    waiting = CARDS["canary waiting for approval"]
    release = stored(bot, waiting)
    old_card = replace(release, phase=Phase.HOLDING, progress=Progress(gate=GateState(0, 0, T0)))
    answer = handle_click(bot.context, clicked(old_card, "Continue now"))
    assert isinstance(answer, Refusal) and "That button is out of date" in answer.line
    gate = bot.store.load(release.id).progress.gate
    assert gate is not None and not gate.votes


@pytest.mark.parametrize("label", ["Continue now", "Pause", "Abort"])
def test_every_button_of_a_hold_names_its_hold(label: str) -> None:
    assert '"step"' in clicked(HOLDING, label).value


BAD = Cause(FailureClass.VERDICT, "5 restarts of 1 candidate pod")


def test_resume_of_an_earlier_pause_does_not_accept_a_bad_verdict(bot: Bot) -> None:
    release = stored(
        bot,
        replace(
            HOLDING, phase=Phase.PAUSED, phase_since=T0 + 1000, paused_from=Phase.HOLDING, cause=BAD
        ),
    )
    old_card = replace(release, phase_since=T0, cause=None)
    answer = handle_click(bot.context, clicked(old_card, "Resume", user="U0DEV1"))
    assert isinstance(answer, Refusal) and "That button is out of date" in answer.line
    assert bot.store.load(release.id).phase is Phase.PAUSED
    assert isinstance(
        handle_click(bot.context, clicked(release, "Resume", user="U0DEV1")), TextReply
    )


def test_adopt_keeps_only_the_change_on_its_card(bot: Bot) -> None:
    shown = Drift("hello", Kind.DEPLOYMENT, Field.REPLICAS, "5", "6", "kubectl")
    more = replace(shown, name="hello-canary", observed="0")
    release = stored(
        bot,
        replace(
            HOLDING,
            phase=Phase.DRIFTED,
            phase_since=T0,
            drifted_from=Phase.HOLDING,
            drift=(shown, more),
        ),
    )
    answer = handle_click(
        bot.context, clicked(replace(release, drift=(shown,)), "Adopt", user="U0DEV1")
    )
    assert isinstance(answer, Refusal) and "That button is out of date" in answer.line
    assert bot.store.load(release.id).phase is Phase.DRIFTED
    assert isinstance(
        handle_click(bot.context, clicked(release, "Adopt", user="U0DEV1")), TextReply
    )
