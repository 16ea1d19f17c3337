"""Counters of both sides while a new version is judged, and what each trouble of theirs ends in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.facts.causes import FailureClass, Judgement, Verdict
from bot.releases.facts.changes import Deploy
from bot.releases.facts.counters import LatencyRules, Matcher, MetricRules, Selector
from bot.releases.facts.release import Phase
from bot.releases.facts.rules import JudgeRules
from tests.builders import SECOND, a_bluegreen, a_canary, a_release, rules_with
from tests.fakes.simulated_prometheus import SimulatedPrometheus
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_judging import HOLD, NEW, OLD, a_cluster, told

REQUESTS = Selector("http_requests_total")
ERRORS = Selector("http_requests_total", (Matcher("code", "=~", "5.."),))
SLOW = LatencyRules(Selector("http_request_duration_seconds_bucket"), 500, 0.5)
COUNTED = MetricRules(REQUESTS, ERRORS, SLOW, url="http://prometheus:9090")


def judged(metrics: MetricRules = COUNTED, **rules: Any) -> dict[str, Any]:
    return {"judge": JudgeRules(metrics=metrics, extend_ms=0), **rules}


def a_walk(release: Any, **prometheus: Any) -> Walk:
    walk = Walk(a_cluster(), release)
    walk.prometheus = SimulatedPrometheus(**prometheus)
    return walk


def a_canary_walk(
    metrics: MetricRules = COUNTED, *, steps: tuple[int, ...] = (25,), **prometheus: Any
) -> Walk:
    canary = {"hold_ms": HOLD, "promote": "automatic", "steps": steps}
    return a_walk(a_canary(rules=rules_with(canary=canary, **judged(metrics))), **prometheus)


def to_the_question(walk: Walk) -> Judgement:
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    return walk.release.judgements[-1]


@pytest.mark.parametrize("share", [1.0, 0.2, 0.05])
def test_a_canary_whose_requests_fail_is_stopped_by_metrics_alone(share: float) -> None:
    walk = a_canary_walk(failing={NEW: share})
    began = walk.now
    walk.to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.now - began < HOLD + 20 * SECOND, "before the hold was over"
    cause = walk.release.cause
    assert cause is not None and cause.failure is FailureClass.VERDICT
    assert f"{share:.0%} of" in cause.summary and "0% of" in cause.summary
    assert walk.cluster.state() == walk.before


@pytest.mark.parametrize(
    ("scrape_ms", "window_ms", "said"),
    [
        (45 * SECOND, None, "metrics count 2 min of a hold, too short for three scrapes, 45 s"),
        (15 * SECOND, 30 * SECOND, "metrics count 30 s of a hold, too short for three scrapes"),
        (30 * SECOND, None, ""),
        (0, None, ""),
    ],
)
def test_the_plan_names_a_hold_too_short_for_three_scrapes(
    scrape_ms: int, window_ms: int | None, said: str
) -> None:
    walk = a_canary_walk(replace(COUNTED, scrape_ms=scrape_ms, window_ms=window_ms))
    walk.until(lambda walk: walk.release.plan is not None)
    assert walk.release.plan is not None
    notes = [note for note in walk.release.plan.notes if "three scrapes" in note]
    assert [note.startswith(said) for note in notes] == ([True] if said else [])


def test_a_canary_that_is_slow_is_stopped() -> None:
    walk = a_canary_walk(slow={NEW: 0.1}).to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert told(walk, "10% of") and told(walk, "requests took longer than 500 ms on 2.0.0; 0% of")


def test_a_good_canary_passes_and_its_numbers_are_kept() -> None:
    walk = a_canary_walk().to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    pods, errors, latency = walk.release.judgements
    assert {one.verdict for one in (pods, errors, latency)} == {Verdict.GOOD}
    requests, failed = errors.candidate
    assert requests > 3_000 and failed == 0
    assert requests % (50 * 15) == 0, "of whole scrapes: nothing is extrapolated"
    assert errors.query.startswith('sum by (pod) (increase(http_requests_total{code=~"5.."}[')
    assert errors.link.startswith("http://prometheus:9090/graph?g0.expr=sum%20by")
    assert told(walk, "requests failed on 2.0.0; 0% of") and told(walk, "(Prometheus, 1 min")


def test_two_questions_an_observation_and_few_observations() -> None:
    walk = a_canary_walk().to_the_end()
    assert walk.prometheus is not None
    assert walk.prometheus.questions <= 2 * (HOLD // (7 * SECOND))


def test_one_worse_by_one_percent_is_never_good() -> None:
    walk = a_canary_walk(failing={NEW: 0.011, OLD: 0.001})
    while not walk.release.phase.is_final and walk.release.phase is not Phase.PAUSED:
        walk.tick()
    errors = [one for one in walk.release.judgements if "failed" in one.detail]
    assert errors and all(one.verdict is not Verdict.GOOD for one in errors)


@pytest.mark.parametrize(
    ("prometheus", "why"),
    [
        ({"per_second": 0.0}, "no request was counted on 2.0.0 or 1.0.0"),
        ({"per_second": 0.1}, "requests failed on 2.0.0"),
        ({"scrape_ms": 60_000}, "fewer than three scrapes of 60 s"),
        ({"exposes_nan": True}, ""),
        ({"unscraped": {NEW}}, "no request was counted on 2.0.0"),
    ],
)
def test_what_says_too_little_asks_and_never_passes(prometheus: dict[str, Any], why: str) -> None:
    walk = a_canary_walk(**prometheus)
    last = to_the_question(walk)
    assert last.verdict is Verdict.TOO_LITTLE
    assert not why or told(walk, why)


@pytest.mark.parametrize(
    ("prometheus", "why"),
    [
        ({"away": "Prometheus does not admit us (401)"}, "Prometheus does not admit us (401)"),
        ({"unscraped": {NEW, OLD}}, "Prometheus has no series of these pods by the label `pod`"),
        ({"pod_label": "exported_pod"}, "Prometheus has no series of these pods by the label"),
        ({"failing": {NEW: 0.9, OLD: 0.8}}, "the version before fails as well"),
    ],
)
def test_a_judge_without_metrics_is_blind_and_says_why(
    prometheus: dict[str, Any], why: str
) -> None:
    walk = a_canary_walk(**prometheus)
    last = to_the_question(walk)
    assert last.away and last.verdict is Verdict.TOO_LITTLE
    assert told(walk, f"The judge is blind: {why}")


def test_a_bound_that_is_no_bucket_is_named() -> None:
    slow = LatencyRules(SLOW.histogram, 300, 0.3)
    walk = a_canary_walk(MetricRules(REQUESTS, ERRORS, slow))
    assert to_the_question(walk).away
    assert told(walk, "has no bucket that ends at 300 ms: choose another `slower_than`")


def test_a_prometheus_that_goes_away_in_the_hold_is_no_sign_of_health() -> None:
    walk = a_canary_walk()
    walk.until(lambda walk: len(walk.release.progress.counts) == 2)
    walk.until(lambda walk: walk.now > walk.release.progress.began_at + HOLD * 3 // 4)
    assert walk.prometheus is not None
    walk.prometheus.away = "Prometheus at prometheus:9090 did not answer within 3 s"
    assert to_the_question(walk).away
    assert len(told(walk, "no metrics: Prometheus at prometheus:9090 did not answer")) == 1


def test_one_that_is_back_in_time_is_used_again() -> None:
    walk = a_canary_walk(away="Prometheus at prometheus:9090 cannot be reached")
    walk.until(lambda _: bool(told(walk, "no metrics: ")))
    assert walk.prometheus is not None
    walk.prometheus.away = ""
    walk.to_the_end()
    assert told(walk, "metrics are counted again")
    assert walk.release.phase is Phase.SUCCEEDED


def test_a_pod_that_restarts_counts_on_from_nothing() -> None:
    walk = a_canary_walk()
    walk.until(
        lambda walk: any(one.through > one.begins_at for one in walk.release.progress.counts)
    )
    assert walk.prometheus is not None
    walk.prometheus.restart(
        next(pod for pod, image in walk.cluster.images().items() if image == OLD)
    )
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert walk.release.judgements[1].stable[1] == 0


def test_the_last_part_of_a_hold_may_be_all_that_counts() -> None:
    metrics = MetricRules(REQUESTS, ERRORS, window_ms=HOLD // 2, min_requests=0)
    walk = a_canary_walk(metrics, scrape_ms=5_000).to_the_end()
    begins, ends = walk.release.judgements[1].window
    assert ends - begins <= HOLD // 2


def test_fewer_requests_than_the_catalog_wants_are_too_little() -> None:
    walk = a_canary_walk(MetricRules(REQUESTS, ERRORS, min_requests=100_000))
    assert to_the_question(walk).verdict is Verdict.TOO_LITTLE


# --- blue/green -----------------------------------------------------------------------------------


def a_switch(share: float, *, judge: str = "rollback") -> Walk:
    bluegreen = {"rollback_window_ms": 2 * HOLD, "judge": judge}
    rules = rules_with(bluegreen=bluegreen, **judged(MetricRules(REQUESTS, ERRORS)))
    return a_walk(a_bluegreen(rules=rules), failing={NEW: share})


def test_a_green_much_worse_than_blue_was_goes_back_by_itself() -> None:
    walk = a_switch(0.2).to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert told(walk, "requests failed on 2.0.0 after the switch; 0% of")
    assert told(walk, "on 1.0.0 before it")


def test_a_green_that_is_a_little_worse_than_blue_was_is_asked_about() -> None:
    walk = a_switch(0.025)
    walk.until(lambda walk: walk.release.phase is Phase.PAUSED)
    assert walk.gate == "window" and len(walk.switches()) == 1
    assert walk.release.judgements[-1].verdict is Verdict.BAD


def test_a_green_as_good_as_blue_was_stays() -> None:
    walk = a_switch(0.0).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    last = walk.release.judgements[-1]
    assert last.verdict is Verdict.GOOD and last.stable[0] > 3_000


# --- a roll ---------------------------------------------------------------------------------------


def a_roll(share: float) -> Walk:
    rules = rules_with(ready_within_ms=5_000, **judged(MetricRules(REQUESTS, ERRORS)))
    walk = Walk(a_cluster(24), a_release(Deploy("2.0.0"), rules=rules))
    walk.prometheus = SimulatedPrometheus(scrape_ms=1_000, failing={NEW: share})
    return walk


def test_a_roll_whose_requests_fail_is_rolled_back() -> None:
    walk = a_roll(1.0).to_the_end()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert told(walk, "worse than before: 100% of")


def test_a_good_roll_is_not_disturbed() -> None:
    walk = a_roll(0.0).to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
