"""Which freeze holds a release that runs, and when that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.operations.lifecycle.meet_freeze import (
    freeze_changes_at,
    freeze_that_refuses,
    meet_freeze,
    with_coming_freeze,
)
from bot.operations.queries.change_freeze import change_freeze
from bot.operations.replies import FreezeReply, Refusal
from bot.policy.freezes import Freeze, FreezeWindow
from bot.releases.facts.changes import Undo
from bot.releases.facts.freezes import FreezeInForce
from bot.releases.facts.release import Release
from tests.builders import ADMIN, DEVELOPER, MINUTE, SECOND, a_query
from tests.unit.operations.test_freeze_windows import FRIDAY, LINE, WHY, WINDOW, Office

HOLDS = replace(WINDOW, running="hold")
ENDS = FRIDAY + 64 * 60 * MINUTE


def running(office: Office, reason: str = "") -> Release:
    """It has taken its first step."""
    release = office.begun(f'deploy hello 2.0.0 reason="{reason or WHY}"')
    return replace(release, progress=replace(release.progress, at_step=0))


def before(window: FreezeWindow, milliseconds: int = MINUTE) -> Office:
    office = Office(window)
    office.now = FRIDAY - milliseconds
    return office


def test_a_window_that_holds_what_runs_is_met_as_it_begins_and_left_as_it_ends() -> None:
    office = before(HOLDS)
    release = running(office)
    assert meet_freeze(office.context, release).freeze is None
    assert freeze_changes_at(office.context, release) == FRIDAY
    office.now = FRIDAY
    met = meet_freeze(office.context, release)
    assert met.freeze == FreezeInForce(LINE, FRIDAY, ENDS)
    assert freeze_changes_at(office.context, met) == ENDS
    office.now = ENDS
    assert meet_freeze(office.context, met).freeze is None


def test_a_window_holds_nothing_that_runs_unless_it_says_so() -> None:
    office = before(WINDOW)
    release = running(office)
    office.now = FRIDAY
    assert meet_freeze(office.context, release).freeze is None


def test_what_an_admin_began_despite_a_freeze_is_not_held_by_it() -> None:
    office = Office(HOLDS)
    release = running(office)
    assert any("despite a freeze" in one for one in release.overrides)
    assert meet_freeze(office.context, release).freeze is None


def test_a_freeze_set_later_holds_also_what_began_despite_another() -> None:
    office = Office(HOLDS)
    release = running(office)
    office.now += SECOND
    later = Freeze("hello", "incident", ADMIN, office.now, running="hold")
    office.context.store.change_freeze("hello", None, later)
    found = meet_freeze(office.context, release).freeze
    assert found is not None and found.since == office.now


def test_of_several_the_one_that_ends_last_is_shown() -> None:
    office = before(HOLDS)
    release = running(office)
    office.now = FRIDAY
    endless = Freeze("hello", "incident", ADMIN, office.now, running="hold")
    office.context.store.change_freeze("hello", None, endless)
    found = meet_freeze(office.context, release).freeze
    assert found is not None and found.until is None


def test_an_undo_meets_no_freeze() -> None:
    office = before(HOLDS)
    release = replace(running(office), change=Undo())
    office.now = FRIDAY
    assert meet_freeze(office.context, release).freeze is None
    assert with_coming_freeze(office.context, release).coming_freeze is None


def test_a_window_within_a_day_is_known_at_the_start() -> None:
    near, far = before(HOLDS, 60 * MINUTE), before(HOLDS, 26 * 60 * MINUTE)
    coming = running(near).coming_freeze
    assert coming is not None and (coming.words, coming.since) == ("all (weekend)", FRIDAY)
    assert running(far).coming_freeze is None


def test_a_release_in_line_shows_the_freeze_that_would_refuse_it() -> None:
    office = before(WINDOW)
    assert office.typed(DEVELOPER, "deploy hello 2.0.0") == "Receipt"
    (release,) = office.context.store.active()
    assert freeze_that_refuses(office.context, release) is None
    office.now = FRIDAY
    found = freeze_that_refuses(office.context, release)
    assert found is not None and found.words == LINE
    by_admin = replace(release, requested_by=ADMIN, reason=WHY)
    assert freeze_that_refuses(office.context, by_admin) is None


# --- by command -----------------------------------------------------------------------------------


def test_a_freeze_by_command_wakes_what_it_covers_at_its_begin_and_its_end() -> None:
    office = before(WINDOW)
    release = running(office)
    wake = f"release:{release.id}"
    for command in (FreezeCommand("hello", "incident", running="hold"), UnfreezeCommand("hello")):
        office.now += SECOND
        office.store.queue.due.pop(wake, None)
        change_freeze(office.context, a_query(command, asker=ADMIN), command)
        assert office.store.queue.due[wake] == office.now


@pytest.mark.parametrize("says", ["hold", "continue"])
def test_only_an_admin_lets_go_what_an_admin_holds(says: Literal["hold", "continue"]) -> None:
    office = before(WINDOW)
    holds = FreezeCommand("hello", "incident", running="hold")
    assert isinstance(
        change_freeze(office.context, a_query(holds, asker=ADMIN), holds), FreezeReply
    )
    again = replace(holds, running=says)
    reply = change_freeze(office.context, a_query(again, asker=DEVELOPER), again)
    assert isinstance(reply, FreezeReply if says == "hold" else Refusal)
