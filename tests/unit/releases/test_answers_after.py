"""Answers after a release succeeded, against those of the version before: valid at any look, and
never a pass."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bot.releases.engine.answers_after import (
    AT_ONCE,
    BLOCKS,
    judge_after,
    pods_to_ask,
    with_answers,
    with_reference,
)
from bot.releases.facts.answers import Answers, Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.observation import AnswerSeen
from bot.releases.facts.plan import Plan, Probe, Side
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import JudgeRules, Rules
from tests.builders import (
    MINUTE,
    SECOND,
    T0,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
)

PLAN = Plan("hello:2.0.0", "2.0.0", "hello:1.0.0", "1.0.0", (), ())
PACE = 10 * SECOND
LOOKS = 60
NEW = ("new-1", "new-2", "new-3")


def before(requests: int = 20, *, failures: int = 0, pods: int = 3) -> tuple[Cell, ...]:
    """One request every six seconds; the last of them failed."""
    return tuple(
        Cell(
            Side.STABLE,
            f"old-{n % pods}",
            T0 - MINUTE + n * 6_000,
            1,
            int(n >= requests - failures),
        )
        for n in range(requests)
    )


def succeeded(reference: tuple[Cell, ...] = before(), requests: int = 20) -> Release:
    plan = replace(PLAN, probe=Probe("/version", 80, requests))
    return a_release(
        phase=Phase.SUCCEEDED,
        finished_at=T0,
        plan=plan,
        reference=reference,
        rules=Rules(),
        to_version="2.0.0",
        from_version="1.0.0",
    )


def asked(release: Release, answers: Answers, look: int, outcome: str, count: int = 2) -> Answers:
    names = [NEW[(answers.asked + n) % len(NEW)] for n in range(count)]
    seen = [AnswerSeen(name, outcome, "it answers 503") for name in names]  # type: ignore[arg-type]
    return with_answers(release, answers, seen, T0 + look * PACE)


def bad_after(release: Release, *, from_look: int = 0) -> int | None:
    """Seconds since it succeeded."""
    answers = Answers()
    for look in range(LOOKS):
        answers = asked(release, answers, look, "bad" if look >= from_look else "good")
        found = judge_after(release, answers, T0 + look * PACE)
        if found is not None and found.verdict is Verdict.BAD:
            return look * PACE // SECOND
    return None


def test_a_version_that_answers_nothing_but_errors_is_bad_within_minutes() -> None:
    seconds = bad_after(succeeded())
    assert seconds is not None and seconds <= 240


def test_what_was_asked_is_said_with_both_numbers_as_before_and_after() -> None:
    release, answers = succeeded(), Answers()
    for look in range(25):
        answers = asked(release, answers, look, "bad")
    found = judge_after(release, answers, T0 + 25 * PACE)
    assert found is not None and found.verdict is Verdict.BAD
    assert found.detail == (
        "100% of 50 requests failed on 2.0.0 since it succeeded; 0% of 20 on 1.0.0 before"
        " (/version)"
    )
    assert found.why.endswith(": it answers 503")


@pytest.mark.parametrize("minute", [2, 4, 6])
def test_a_version_that_fails_later_is_bad_within_minutes_of_that(minute: int) -> None:
    seconds = bad_after(succeeded(), from_look=6 * minute)
    assert seconds is not None and seconds - 60 * minute <= 240


def test_what_failed_later_is_said_of_the_time_since_then() -> None:
    release, answers = succeeded(), Answers()
    for look in range(30):
        answers = asked(release, answers, look, "bad" if look >= 12 else "good")
    found = judge_after(release, answers, T0 + 30 * PACE)
    assert found is not None and found.verdict is Verdict.BAD
    assert "100% of 36 requests failed on 2.0.0 in the last 3 min; 0% of 20 on" in found.detail


def test_a_version_that_answers_is_never_called_good() -> None:
    rules = Rules(judge=JudgeRules(worse_by=0.2))
    release, answers = replace(succeeded(before(2_000)), rules=rules), Answers()
    for look in range(LOOKS):
        answers = asked(release, answers, look, "good", count=AT_ONCE)
    found = judge_after(release, answers, T0 + LOOKS * PACE)
    assert found is not None and found.verdict is Verdict.TOO_LITTLE


def test_a_burst_within_one_block_is_no_worsening() -> None:
    release, answers = succeeded(), Answers()
    for look in range(LOOKS):
        answers = asked(release, answers, look, "bad" if 6 <= look < 12 else "good")
        found = judge_after(release, answers, T0 + look * PACE)
        assert found is not None and found.verdict is Verdict.TOO_LITTLE, look


def test_a_block_counts_once_it_is_over() -> None:
    """One block alone may be a burst."""
    release, answers = succeeded(before(200)), Answers()
    for look in range(12):
        answers = asked(release, answers, look, "bad", count=AT_ONCE)
        found = judge_after(release, answers, T0 + look * PACE)
        assert found is not None and found.verdict is Verdict.TOO_LITTLE


def test_where_the_version_before_failed_as_well_the_source_is_away() -> None:
    release, answers = succeeded(before(20, failures=10)), Answers()
    for look in range(LOOKS):
        answers = asked(release, answers, look, "bad")
    found = judge_after(release, answers, T0 + LOOKS * PACE)
    assert found is not None and found.is_away
    assert found.detail.startswith("the version before failed as well: 100% of 120 requests")


def test_answers_that_do_not_come_through_condemn_nobody() -> None:
    release, answers = succeeded(), Answers()
    for look in range(LOOKS):
        answers = asked(release, answers, look, "lost" if look % 2 else "bad")
    found = judge_after(release, answers, T0 + LOOKS * PACE)
    assert found is not None and found.is_away
    assert found.detail.startswith("the pods' answers do not come through (new-")


def test_where_nothing_was_asked_nothing_is_said() -> None:
    assert judge_after(succeeded(), Answers(), T0 + MINUTE) is None
    nothing = replace(succeeded(), plan=PLAN)
    assert judge_after(nothing, Answers(asked=4), T0 + MINUTE) is None


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.2])
def test_versions_that_are_alike_raise_no_alarm(rate: float) -> None:
    """One in a hundred releases may, by all of its windows together."""
    drawn, alarms = random.Random(19), 0
    for _ in range(50):
        reference = tuple(replace(one, failures=int(drawn.random() < rate)) for one in before(20))
        release, answers = succeeded(reference), Answers()
        for look in range(LOOKS):
            answers = asked(
                release, answers, look, "bad" if drawn.random() < rate else "good", count=2
            )
            if look % (LOOKS // BLOCKS):  # no block ended
                continue
            found = judge_after(release, answers, T0 + look * PACE)
            alarms += found is not None and found.verdict is Verdict.BAD
    assert alarms == 0


# --- what is asked, and what is kept --------------------------------------------------------------


def test_pods_of_the_new_version_that_are_ready_are_asked_in_turn() -> None:
    pods = (a_pod("b"), a_pod("a"), a_pod("c", ready=False))
    sets = (
        a_replica_set("new", a_template("2.0.0"), revision=2, pods=pods),
        a_replica_set("old", a_template("1.0.0"), revision=1, pods=(a_pod("z"),)),
    )
    seen = an_observation(a_deployment(template=a_template("2.0.0"), replica_sets=sets))
    release = succeeded()
    assert pods_to_ask(release, seen, 0, PACE) == ("a", "b")
    assert pods_to_ask(release, seen, 3, PACE) == ("b", "a")
    assert len(pods_to_ask(succeeded(requests=2_000), seen, 0, PACE)) == AT_ONCE
    assert pods_to_ask(replace(release, reference=()), seen, 0, PACE) == ()
    assert pods_to_ask(replace(release, plan=PLAN), seen, 0, PACE) == ()


def test_the_fullest_window_of_the_version_before_is_kept() -> None:
    release = with_reference(a_release(), before(4))
    release = with_reference(release, (*before(8), Cell(Side.CANDIDATE, "new", T0, 9, 9)))
    assert release.reference == before(8)
    release = with_reference(release, before(1))  # skipped by a person at once
    assert release.reference == before(8)
    later = before(8, failures=1)
    assert with_reference(release, later).reference == later
