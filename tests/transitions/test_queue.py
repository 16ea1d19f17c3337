"""What becomes of a version that waits when the release in front does not succeed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decision import Decision
from bot.releases.engine.queue import drop_of_removed_app, front_that_holds, hold, stay_held
from bot.releases.engine.respond import respond, stop_name
from bot.releases.facts.changes import Change, Deploy, Restart, Scale, Undo
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Resume
from tests.builders import DEVELOPER, MANAGER, MINUTE, OTHER_DEVELOPER, T0, a_release, rules_with


def a_front(phase: Phase = Phase.ROLLED_BACK, **facts: Any) -> Release:
    front = a_release(Deploy("2.0.0"), id="hello-42", created_at=T0, phase=phase)
    return replace(front, **{"started_at": T0 + 1, "finished_at": T0 + MINUTE, **facts})


def a_waiting(change: Change | None = None, **facts: Any) -> Release:
    waiting = a_release(change or Deploy("3.0.0"), id="hello-43", created_at=T0 + 1_000)
    return replace(waiting, to_version="3.0.0", queued_behind="hello-42", **facts)


def a_held(now: int = T0 + MINUTE, **facts: Any) -> Release:
    return hold(a_waiting(**facts), a_front(), (a_waiting(),), now).release


BAD = (Phase.ROLLED_BACK, Phase.FAILED, Phase.ABORTED, Phase.REJECTED, Phase.EXPIRED)


@pytest.mark.parametrize("phase", BAD)
def test_a_version_is_held_behind_what_did_not_succeed(phase: Phase) -> None:
    assert front_that_holds(a_waiting(), [a_front(phase)]) == a_front(phase)


FREE = {
    "behind a success": (a_waiting(), a_front(Phase.SUCCEEDED)),
    "behind one that never started": (a_waiting(), a_front(started_at=0)),
    "that a person wants next": (a_waiting(), a_front(lets_next_start=True)),
    "of another place": (
        a_waiting(),
        a_front(target=replace(a_front().target, namespace="elsewhere")),
    ),
    "sent after the end": (a_waiting(created_at=T0 + MINUTE), a_front()),
    "that was continued since": (a_waiting(continued_at=T0 + 2 * MINUTE), a_front()),
    "scaling": (a_waiting(Scale(5)), a_front()),
    "undo": (a_waiting(Undo()), a_front()),
    "restart": (a_waiting(Restart()), a_front()),
}


@pytest.mark.parametrize(("waiting", "front"), FREE.values(), ids=FREE)
def test_nothing_else_is_held(waiting: Release, front: Release) -> None:
    assert front_that_holds(waiting, [front]) is None


def test_one_message_names_every_version_and_who_queued_it() -> None:
    other = replace(a_waiting(), id="hello-44", to_version="4.0.0", requested_by=OTHER_DEVELOPER)
    decision = hold(a_waiting(), a_front(), (a_waiting(), other), T0 + MINUTE)
    (event,) = decision.events
    assert event.kind is EventKind.HELD
    assert event.text == "hello-42 was rolled back, so 3.0.0 (hello-43), 4.0.0 (hello-44) wait"
    held = decision.release.held
    assert held is not None and held.people == (DEVELOPER, OTHER_DEVELOPER)


def test_a_held_version_reminds_once_and_is_dropped_at_the_end() -> None:
    held = a_held(rules=rules_with(approvals={"expires_ms": 60 * MINUTE}))
    since = T0 + MINUTE
    assert stay_held(held, since + MINUTE).events == ()
    reminded = stay_held(held, since + 30 * MINUTE)
    assert [one.kind for one in reminded.events] == [EventKind.REMINDED]
    assert stay_held(reminded.release, since + 40 * MINUTE).wake_at == since + 60 * MINUTE
    dropped = stay_held(reminded.release, since + 60 * MINUTE)
    assert dropped.release.phase is Phase.EXPIRED
    assert "nobody decided within 1 h" in dropped.events[-1].text


def test_continue_puts_it_in_line_again() -> None:
    held = a_held()
    continued = respond(held, Resume(MANAGER, stop_name(held)), T0 + 2 * MINUTE).release
    assert continued.phase is Phase.QUEUED and continued.held is None
    assert front_that_holds(continued, [a_front()]) is None


def test_drop_ends_it() -> None:
    dropped = respond(a_held(), Abort(MANAGER, at=stop_name(a_held())), T0 + 2 * MINUTE)
    assert dropped.release.phase is Phase.ABORTED
    assert dropped.events[-1].text == "dropped by manager"


def test_of_continue_and_drop_the_second_is_refused() -> None:
    held = a_held()
    at, now = stop_name(held), T0 + 2 * MINUTE
    continued = respond(held, Resume(MANAGER, at), now).release
    assert "out of date" in respond(continued, Abort(DEVELOPER, at=at), now).refusal
    dropped = respond(held, Abort(DEVELOPER, at=at), now).release
    assert "is over" in respond(dropped, Resume(MANAGER, at), now).refusal


@pytest.mark.parametrize(("then", "starts"), [("hold", False), ("start", True)])
def test_whoever_aborts_decides_what_becomes_of_the_queue(then: Any, starts: bool) -> None:
    running = replace(a_front(Phase.PROGRESSING), finished_at=0)
    aborted = respond(running, Abort(MANAGER, then=then), T0 + MINUTE).release
    assert aborted.lets_next_start is starts
    assert (front_that_holds(a_waiting(), [aborted]) is None) is starts


def test_a_typed_abort_holds_the_queue() -> None:
    assert Abort(MANAGER).then == "hold"


def test_what_failed_after_it_was_continued_holds_it_again() -> None:
    waiting = a_waiting(continued_at=T0 + 2 * MINUTE)
    later = a_front(id="hello-44", finished_at=T0 + 3 * MINUTE)
    assert front_that_holds(waiting, [a_front(), later]) == later
    assert isinstance(stay_held(waiting, T0), Decision)


FROZEN = "hello is frozen by oncall: incident"


def test_a_freeze_is_named_once_and_its_end_asks_again() -> None:
    frozen = stay_held(a_held(), T0 + 2 * MINUTE, FROZEN)
    assert [one.text for one in frozen.events] == [f"3.0.0 stays held: {FROZEN}"]
    assert stay_held(frozen.release, T0 + 3 * MINUTE, FROZEN).events == ()
    over = stay_held(frozen.release, T0 + 4 * MINUTE)
    assert [(one.kind, one.text) for one in over.events] == [
        (EventKind.REMINDED, "the freeze is over, and 3.0.0 still waits: continue or drop it")
    ]
    assert stay_held(over.release, T0 + 5 * MINUTE).events == ()


def test_a_held_version_expires_under_a_freeze_as_told() -> None:
    held = a_held(rules=rules_with(approvals={"expires_ms": 60 * MINUTE}))
    dropped = stay_held(held, T0 + 61 * MINUTE, FROZEN).release
    assert dropped.phase is Phase.EXPIRED


def test_a_held_version_of_a_removed_app_is_dropped() -> None:
    dropped = drop_of_removed_app(a_held(), T0 + 2 * MINUTE)
    assert dropped.release.phase is Phase.EXPIRED
    (told,) = dropped.events
    assert told.text == "3.0.0 was dropped: hello is no longer in the catalog"
