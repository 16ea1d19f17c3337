"""Candidate and stable compared by their answers."""

from __future__ import annotations

from bot.releases.facts.answers import Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.plan import Side
from bot.releases.judge.verdicts import Comparison, Demand, compare
from bot.releases.judge.words import compared_text

DEMAND = Demand(worse_by=0.01, alarm=0.00125, miss=0.0025)
LOOK_MS = 5_000


def answers(
    side: Side, pod: str, failures: list[int], *, requests: int = 50, begins: int = 0
) -> list[Cell]:
    return [
        Cell(side, pod, begins + number * LOOK_MS, requests, failed)
        for number, failed in enumerate(failures)
    ]


def steady(
    side: Side, pods: int, failed: int, *, looks: int = 24, requests: int = 50
) -> list[Cell]:
    return [
        cell
        for pod in range(pods)
        for cell in answers(side, f"{side}-{pod}", [failed] * looks, requests=requests)
    ]


def verdict(*cells: list[Cell]) -> Comparison:
    return compare([cell for some in cells for cell in some], DEMAND)


STABLE = steady(Side.STABLE, 4, 0)


def test_a_candidate_that_never_answers_is_bad() -> None:
    assert verdict(steady(Side.CANDIDATE, 1, 50), STABLE).verdict is Verdict.BAD


def test_twenty_requests_of_a_probe_show_a_candidate_that_never_answers() -> None:
    candidate = steady(Side.CANDIDATE, 1, 1, looks=20, requests=1)
    stable = steady(Side.STABLE, 1, 0, looks=20, requests=1)
    assert verdict(candidate, stable).verdict is Verdict.BAD


def test_two_percent_more_failures_are_bad() -> None:
    assert verdict(steady(Side.CANDIDATE, 1, 1), STABLE).verdict is Verdict.BAD


def test_no_failure_of_many_requests_excludes_one_percent() -> None:
    assert verdict(steady(Side.CANDIDATE, 1, 0), STABLE).verdict is Verdict.GOOD


def test_no_failure_of_twenty_requests_excludes_nothing() -> None:
    candidate = steady(Side.CANDIDATE, 1, 0, looks=20, requests=1)
    assert verdict(candidate, STABLE).verdict is Verdict.TOO_LITTLE


def test_silence_is_too_little() -> None:
    assert verdict(STABLE).verdict is Verdict.TOO_LITTLE
    assert verdict(steady(Side.CANDIDATE, 1, 0)).verdict is Verdict.TOO_LITTLE
    assert verdict().verdict is Verdict.TOO_LITTLE


def test_a_dependency_that_fails_for_both_is_no_reason() -> None:
    outage = [0] * 10 + [25] * 6 + [0] * 8
    candidate = answers(Side.CANDIDATE, "c", outage)
    stable = [cell for pod in "abcd" for cell in answers(Side.STABLE, pod, outage)]
    assert verdict(candidate, stable).verdict is not Verdict.BAD


def test_one_burst_is_no_reason() -> None:
    candidate = answers(Side.CANDIDATE, "c", [0] * 10 + [30, 40, 20] + [0] * 11)
    assert verdict(candidate, STABLE).verdict is not Verdict.BAD


def test_one_burst_of_twenty_seconds_is_no_reason() -> None:
    candidate = answers(Side.CANDIDATE, "c", [0] * 10 + [20, 20, 20, 20] + [0] * 10)
    assert verdict(candidate, STABLE).verdict is not Verdict.BAD


def test_a_candidate_that_begins_to_fail_in_the_middle_is_bad() -> None:
    candidate = answers(Side.CANDIDATE, "c", [0] * 12 + [50] * 12)
    assert verdict(candidate, STABLE).verdict is Verdict.BAD


def test_failures_in_a_time_when_stable_was_not_asked_count_for_nothing() -> None:
    candidate = answers(Side.CANDIDATE, "c", [50] * 12)
    later = [cell for pod in "ab" for cell in answers(Side.STABLE, pod, [0] * 12, begins=60_000)]
    assert verdict(candidate, later).verdict is Verdict.TOO_LITTLE


def test_one_sick_pod_of_many_is_named_and_condemns_no_version() -> None:
    candidate = [*steady(Side.CANDIDATE, 4, 0), *answers(Side.CANDIDATE, "sick", [50] * 24)]
    found = verdict(candidate, STABLE)
    assert found.verdict is Verdict.TOO_LITTLE
    assert found.sick is not None and found.sick.name == "sick"
    assert compared_text(found, "2.0.0", "1.0.0") == (
        "20% of 6,000 requests failed on 2.0.0; 0% of 4,800 on 1.0.0."
        " The pod sick is sick by itself: 100% of 1,200 of it, 0% of 4,800 of the other pods of"
        " 2.0.0"
    )


def test_a_sick_pod_of_stable_hides_no_worsening() -> None:
    stable = [*STABLE, *answers(Side.STABLE, "sick", [50] * 24)]
    candidate = steady(Side.CANDIDATE, 2, 2)
    found = verdict(candidate, stable)
    assert found.verdict is Verdict.BAD
    assert found.sick is not None and found.sick.side is Side.STABLE


def test_a_worsening_below_what_counts_is_never_bad() -> None:
    candidate = answers(Side.CANDIDATE, "c", [9] * 200, requests=1000)
    stable = answers(Side.STABLE, "s", [0] * 200, requests=1000)
    assert verdict(candidate, stable).verdict is not Verdict.BAD


def test_fewer_requests_than_the_floor_are_never_good() -> None:
    demand = Demand(worse_by=0.05, alarm=0.01, miss=0.01, min_requests=2_000)
    cells = [*steady(Side.CANDIDATE, 1, 0), *STABLE]
    assert compare(cells, demand).verdict is Verdict.TOO_LITTLE
