"""Answers of both sides while a new version is judged: a canary's hold, the window after a switch,
a roll."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.engine.judging import pods_to_sample
from bot.releases.facts.causes import FailureClass, Verdict
from bot.releases.facts.changes import Deploy
from bot.releases.facts.plan import Side
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Resume
from bot.releases.facts.rules import JudgeRules, ProbeRules
from tests.builders import (
    MANAGER,
    SECOND,
    a_bluegreen,
    a_canary,
    a_release,
    a_rolling_update,
    rules_with,
)
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_hello

NEW = "kelseyhightower/hello:2.0.0"
OLD = "kelseyhightower/hello:1.0.0"
HOLD = 120 * SECOND
STRICT = JudgeRules(worse_by=0.05, extend_ms=0)


def a_cluster(replicas: int = 3) -> ModelledCluster:
    return ModelledCluster(
        a_hello(replicas=replicas, strategy=a_rolling_update(1, 0)),
        services={"hello": {"app": "hello"}},
    )


def a_canary_walk(*, requests: int = 20, judge: JudgeRules | None = None, **rules: Any) -> Walk:
    canary = {"hold_ms": HOLD, "promote": "automatic", "steps": (25, 50)}
    found = rules_with(canary=canary, probe=ProbeRules(requests=requests), judge=judge, **rules)
    return Walk(a_cluster(), a_canary(rules=found))


def a_roll(*, replicas: int = 8, **rules: Any) -> Walk:
    found = rules_with(probe=ProbeRules(requests=40), **rules)
    return Walk(a_cluster(replicas), a_release(Deploy("2.0.0"), rules=found))


def told(walk: Walk, words: str) -> list[str]:
    return [line for line in walk.told if words in line]


# --- a canary -------------------------------------------------------------------------------------


def test_an_automatic_canary_that_answers_503_to_all_is_rolled_back_in_its_first_hold() -> None:
    walk = a_canary_walk()
    walk.cluster.sick_images.add(NEW)
    began = walk.now
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.now - began < HOLD + 20 * SECOND, "before the hold was over"
    cause = walk.release.cause
    assert cause is not None and cause.failure is FailureClass.VERDICT
    assert "100% of" in cause.summary and "0% of" in cause.summary
    assert "it answers 503" in cause.evidence[0]
    last = walk.release.judgements[-1]
    assert last.verdict is Verdict.BAD
    assert last.candidate[0] == last.candidate[1] >= 8 and last.stable[1] == 0
    assert walk.cluster.state() == walk.before


def test_a_hold_asks_each_side_as_often_as_the_catalog_says() -> None:
    walk = a_canary_walk(requests=20).to_step("share-50")
    assert walk.cluster.sampled == {NEW: 20, OLD: 20}


def test_requests_are_spread_over_the_hold() -> None:
    walk = a_canary_walk(requests=20)
    walk.to_step("share-25", gate="hold")
    opened = walk.now
    walk.until(lambda _: walk.cluster.sampled[NEW] >= 10)
    assert 40 * SECOND <= walk.now - opened <= 70 * SECOND


def test_a_canary_that_answers_goes_out_and_says_how_little_was_asked() -> None:
    walk = a_canary_walk().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert told(walk, "0% of 20 requests failed on 2.0.0; 0% of 20 on 1.0.0 (/version), too few")


def test_a_canary_keeps_what_stable_answered_in_its_last_hold() -> None:
    walk = a_canary_walk().to_the_end()
    kept = walk.release.reference
    assert sum(cell.requests for cell in kept) == 20
    assert {cell.side for cell in kept} == {Side.STABLE}


def test_a_roll_keeps_what_its_old_pods_answered() -> None:
    kept = a_roll().to_the_end().release.reference
    assert kept and {cell.side for cell in kept} == {Side.STABLE}


def test_where_answers_are_judged_too_little_asks_and_never_passes() -> None:
    walk = a_canary_walk(judge=STRICT).until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.release.judgements[-1].verdict is Verdict.TOO_LITTLE
    assert told(walk, "Too little to say whether it is good: 0% of 20 requests failed")


def test_enough_good_answers_pass() -> None:
    walk = a_canary_walk(requests=200, judge=STRICT).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert [one.verdict for one in walk.release.judgements] == [Verdict.GOOD] * 4


def test_too_little_extends_a_hold_once() -> None:
    judge = JudgeRules(worse_by=0.05, extend_ms=HOLD)
    walk = a_canary_walk(judge=judge).until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert len(told(walk, "too little to say, 2 min longer")) == 1
    assert walk.release.judgements[-1].candidate == (40, 0)


@pytest.mark.parametrize("every", [50, 20])
def test_two_and_five_percent_are_never_good_by_twenty_requests(every: int) -> None:
    walk = a_canary_walk(judge=STRICT)
    walk.cluster.failing_images[NEW] = every
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.release.judgements[-1].verdict is Verdict.TOO_LITTLE


def test_twenty_percent_is_bad_by_a_hundred_requests() -> None:
    walk = a_canary_walk(requests=100)
    walk.cluster.failing_images[NEW] = 5
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK


def test_where_stable_fails_as_well_the_source_is_away() -> None:
    walk = a_canary_walk()
    walk.cluster.sick_images |= {NEW, OLD}
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    last = walk.release.judgements[-1]
    assert last.away and last.verdict is Verdict.TOO_LITTLE
    assert told(walk, "The judge is blind: the version before fails as well")


def test_answers_that_do_not_come_through_condemn_nobody() -> None:
    walk = a_canary_walk()
    walk.cluster.is_proxy_away = True
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.release.judgements[-1].away
    assert told(walk, "the pods' answers do not come through (")
    assert told(walk, "error trying to reach service")


def test_resume_passes_the_hold_of_a_blind_judge() -> None:
    walk = a_canary_walk()
    walk.cluster.is_proxy_away = True
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    walk.ask(Resume(MANAGER))
    walk.cluster.is_proxy_away = False
    walk.to_step("share-50")


def test_on_failure_pause_pauses_and_a_person_may_continue() -> None:
    walk = a_canary_walk(on_failure="pause")
    walk.cluster.sick_images.add(NEW)
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.release.judgements[-1].verdict is Verdict.BAD
    walk.ask(Resume(MANAGER))
    walk.to_step("share-50")


def test_a_paused_hold_asks_nobody() -> None:
    walk = a_canary_walk(on_failure="pause")
    walk.cluster.sick_images.add(NEW)
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert pods_to_sample(walk.release, walk.look(), walk.now + HOLD) == ()


def test_a_canary_without_a_probe_that_nobody_approves_says_what_it_rests_on() -> None:
    rules = rules_with(canary={"promote": "automatic"})
    walk = Walk(a_cluster(), a_canary(rules=rules))
    walk.tick()
    assert walk.release.plan is not None
    assert any("judged by pods alone" in note for note in walk.release.plan.notes)


def test_a_switch_that_nobody_approves_or_asks_says_what_it_rests_on() -> None:
    rules = rules_with(bluegreen={"promote": "automatic"})
    walk = Walk(a_cluster(), a_bluegreen(rules=rules))
    walk.tick()
    assert walk.release.plan is not None
    note = "nobody approves the switch, and there is no probe: the new version is judged by pods"
    assert f"{note} alone" in walk.release.plan.notes


def test_too_few_requests_are_named_before_the_start() -> None:
    walk = a_canary_walk(judge=STRICT)
    walk.tick()
    assert walk.release.plan is not None
    note = "20 requests of the probe exclude no worsening of 5%, 128 would"
    assert any(one.startswith(note) for one in walk.release.plan.notes)


# --- blue/green -----------------------------------------------------------------------------------


def a_switched(judge: str) -> Walk:
    rules = rules_with(
        bluegreen={"rollback_window_ms": HOLD, "judge": judge}, probe=ProbeRules(requests=20)
    )
    walk = Walk(a_cluster(), a_bluegreen(rules=rules))
    walk.to_step("switch", gate="window")
    walk.cluster.sick_images.add(NEW)
    return walk


def test_a_green_that_turns_bad_after_the_switch_goes_back_by_itself() -> None:
    walk = a_switched("rollback").to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.switches() == [("hello", {"app": "hello-green"}), ("hello", {"app": "hello"})]
    assert told(walk, "worse than before: 100% of")


def test_the_catalog_may_have_people_asked_instead() -> None:
    walk = a_switched("ask").until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.gate == "window"
    walk.ask(Resume(MANAGER))
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED


def test_the_catalog_may_leave_the_window_unjudged() -> None:
    walk = a_switched("off").to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert walk.cluster.sampled == {}


def test_where_blue_fails_too_the_switch_is_not_undone() -> None:
    walk = a_switched("rollback")
    walk.cluster.sick_images.add(OLD)
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.switches() == [("hello", {"app": "hello-green"})]


# --- a roll ---------------------------------------------------------------------------------------


def test_a_roll_whose_new_pods_answer_503_is_rolled_back_before_it_is_through() -> None:
    walk = a_roll()
    walk.cluster.sick_images.add(NEW)
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert told(walk, "worse than before: 100% of")
    assert walk.cluster.state() == walk.before


def test_a_roll_whose_new_pods_answer_succeeds() -> None:
    walk = a_roll().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert walk.cluster.sampled[NEW] == walk.cluster.sampled[OLD] > 0


def test_new_pods_that_are_late_for_a_moment_are_not_rolled_back() -> None:
    walk = a_roll()
    walk.cluster.sick_images.add(NEW)
    walk.until(lambda walk: walk.cluster.sampled[NEW] >= 8)
    walk.cluster.sick_images.clear()
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED


def test_a_roll_without_a_probe_asks_nobody() -> None:
    walk = Walk(a_cluster(), a_release(Deploy("2.0.0"))).to_the_end()
    assert walk.cluster.sampled == {}


def test_a_verdict_is_one_event() -> None:
    walk = a_canary_walk()
    walk.cluster.sick_images.add(NEW)
    walk.to_the_end()
    assert len(told(walk, "bad: 100% of")) == 1
