"""Nothing waits in silence."""

from __future__ import annotations

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Seen, Unreachable
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Pause, Resume
from tests.builders import DEVELOPER, MINUTE, T0
from tests.transitions.test_requests import at_promotion, canaried
from tests.transitions.ticks import half_rolled, kinds, rolling, text_of, with_stable

HOUR = 60 * MINUTE
PAUSED_ROLL = with_stable(half_rolled(), paused=True)
AWAY = Unreachable(T0, "timed out")


def paused() -> Release:
    release = respond(rolling(), Pause(DEVELOPER), T0).release
    return decide(decide(release, half_rolled(), T0).release, PAUSED_ROLL, T0).release


def drifted() -> Release:
    theirs = with_stable(half_rolled(), strategy={"type": "Recreate"})
    return decide(rolling(), theirs, T0).release


def away() -> Release:
    return decide(rolling(), AWAY, T0).release


def reminders(release: Release, seen: Seen, *times: int) -> list[str]:
    told = []
    for now in times:
        decision: Decision = decide(release, seen, now)
        told += [event.text for event in decision.events if event.kind is EventKind.REMINDED]
        release = decision.release
    return told


@pytest.mark.parametrize(
    ("release", "seen", "phase", "told"),
    [
        (
            paused(),
            PAUSED_ROLL,
            Phase.PAUSED,
            "paused for 1 h: resume to continue, or abort to roll back",
        ),
        (
            drifted(),
            with_stable(half_rolled(), strategy={"type": "Recreate"}),
            Phase.DRIFTED,
            "held for 1 h for a change made outside this release",
        ),
        (
            away(),
            AWAY,
            Phase.PROGRESSING,
            "local has not answered for 1 h (timed out): still holding",
        ),
    ],
)
def test_reminds_of_a_wait_without_a_gate_after_an_hour(
    release: Release, seen: Seen, phase: Phase, told: str
) -> None:
    assert release.phase is phase
    decision = decide(release, seen, T0 + HOUR)
    assert kinds(decision) == [EventKind.REMINDED] and text_of(
        decision, EventKind.REMINDED
    ).startswith(told)


@pytest.mark.parametrize(("release", "seen"), [(paused(), PAUSED_ROLL), (away(), AWAY)])
def test_reminds_once_an_hour_however_often_it_observes(release: Release, seen: Seen) -> None:
    times = [T0 + minutes * MINUTE for minutes in (1, 30, 59, 60, 61, 90, 119, 120, 121)]
    assert len(reminders(release, seen, *times)) == 2


def test_names_what_an_admin_can_do_after_four_hours() -> None:
    told = reminders(paused(), PAUSED_ROLL, *(T0 + hours * HOUR for hours in range(1, 6)))
    assert ["--force" in line for line in told] == [False, False, False, True, True]


def test_a_new_pause_begins_its_own_hour() -> None:
    reminded = decide(paused(), PAUSED_ROLL, T0 + HOUR).release
    resumed = decide(
        respond(reminded, Resume(DEVELOPER), T0 + HOUR + MINUTE).release,
        PAUSED_ROLL,
        T0 + HOUR + MINUTE,
    ).release
    again = respond(resumed, Pause(DEVELOPER), T0 + HOUR + 30 * MINUTE).release
    assert reminders(again, half_rolled(), T0 + 2 * HOUR, T0 + 2 * HOUR + 29 * MINUTE) == []
    assert len(reminders(again, half_rolled(), T0 + 2 * HOUR + 30 * MINUTE)) == 1


def test_does_not_remind_of_a_release_that_progresses() -> None:
    assert reminders(rolling(), half_rolled(), T0 + MINUTE, T0 + 2 * MINUTE) == []


def test_an_approval_is_reminded_of_as_the_catalog_says_then_every_hour() -> None:
    release = at_promotion(remind_ms=(15 * MINUTE, 60 * MINUTE), expires_ms=2 * HOUR)
    due = []
    for minute in range(0, 260, 5):
        decision = decide(release, canaried(1), T0 + minute * MINUTE)
        due += [minute for event in decision.events if event.kind is EventKind.REMINDED]
        release = decision.release
    assert due == [15, 60, 120, 180, 240]
