"""Candidate against stable, over the same window."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.releases.assess.canary_comparison import baseline_of, judge
from bot.releases.facts.causes import Verdict
from bot.releases.facts.observation import Observation, PodSeen
from tests.builders import (
    MINUTE,
    SECOND,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_replica_set,
    a_template,
    an_observation,
)

LATER = T0 + 2 * MINUTE


def pod(name: str, **facts: object) -> PodSeen:
    return a_pod(name, **{"created_at": T0 - MINUTE, **facts})  # type: ignore[arg-type]


def looked(stable: tuple[PodSeen, ...], candidate: tuple[PodSeen, ...]) -> Observation:
    template, new = a_template(), a_template("2.0.0")
    return an_observation(
        a_deployment(
            replicas=len(stable), replica_sets=(a_replica_set("hello-1", template, pods=stable),)
        ),
        a_deployment(
            "hello-canary",
            new,
            replicas=len(candidate),
            replica_sets=(a_replica_set("canary-1", new, pods=candidate),),
        ),
    )


STABLE = tuple(pod(f"s{index}") for index in range(3))
CANDIDATE = (pod("c0"), pod("c1"))
BEFORE = baseline_of(looked(STABLE, CANDIDATE))


def verdict(
    stable: tuple[PodSeen, ...] = STABLE,
    candidate: tuple[PodSeen, ...] = CANDIDATE,
    before: object = BEFORE,
) -> Verdict:
    return judge(before, looked(stable, candidate), 2 * MINUTE)[0]


def test_pods_that_only_run_are_good() -> None:
    verdict_, detail = judge(BEFORE, looked(STABLE, CANDIDATE), 2 * MINUTE)
    assert verdict_ is Verdict.GOOD
    assert (
        detail
        == "no restart and no readiness change of 2 candidate pods and 3 stable pods in 120 s"
    )


def test_restarts_that_stable_lacks_are_bad_and_name_their_reason() -> None:
    container = a_container(ready=True, restarts=3, last_terminated="OOMKilled")
    sick = replace(CANDIDATE[0], containers=(container,))
    verdict_, detail = judge(BEFORE, looked(STABLE, (sick, CANDIDATE[1])), 2 * MINUTE)
    assert verdict_ is Verdict.BAD and detail.startswith(
        "3 restarts (OOMKilled x1) and 0 readiness changes of 2 candidate pods"
    )


def test_restarts_that_stable_shares_are_not_bad() -> None:
    restarted = tuple(
        replace(one, containers=(a_container(restarts=1),)) for one in (*STABLE, *CANDIDATE)
    )
    assert verdict(restarted[:3], restarted[3:]) is Verdict.GOOD


def test_restarts_from_before_the_window_do_not_count() -> None:
    old = tuple(replace(one, containers=(a_container(restarts=9),)) for one in CANDIDATE)
    assert verdict(candidate=old, before=baseline_of(looked(STABLE, old))) is Verdict.GOOD


@pytest.mark.parametrize("facts", [{"ready": False, "ready_since": 0}, {"ready_since": LATER}])
def test_a_pod_that_lost_readiness_counts_even_briefly(
    facts: dict[str, int],
) -> None:
    assert verdict(candidate=tuple(replace(one, **facts) for one in CANDIDATE)) is Verdict.BAD  # type: ignore[arg-type]


def test_a_restart_with_lost_readiness_counts_once() -> None:
    sick = replace(CANDIDATE[0], ready_since=LATER, containers=(a_container(restarts=1),))
    assert (
        "1 restart and 0 readiness changes"
        in judge(BEFORE, looked(STABLE, (sick, CANDIDATE[1])), MINUTE)[1]
    )


def test_removed_candidates_give_too_little_evidence() -> None:
    """A drained node deletes pods, an eviction leaves them behind as failed: neither is the
    version's doing."""
    fresh = (pod("c8", created_at=T0 + MINUTE), pod("c9", created_at=T0 + MINUTE))
    verdict_, detail = judge(BEFORE, looked(STABLE, fresh), 2 * MINUTE)
    assert (
        verdict_ is Verdict.TOO_LITTLE
        and detail == "no candidate pod was ready for the whole 120 s (2 pods lost)"
    )
    evicted = tuple(
        replace(one, phase="Failed", reason="Evicted", ready=False) for one in CANDIDATE
    )
    assert verdict(candidate=(*evicted, *fresh)) is Verdict.TOO_LITTLE


def test_one_removed_candidate_is_reported_and_the_verdict_stays_good() -> None:
    verdict_, detail = judge(
        BEFORE, looked(STABLE, (CANDIDATE[0], pod("c9", created_at=T0 + MINUTE))), 2 * MINUTE
    )
    assert (
        verdict_ is Verdict.GOOD and "0 readiness changes, 1 pod lost of 2 candidate pods" in detail
    )


def test_stable_pods_removed_by_a_scale_are_not_lost() -> None:
    assert "lost" not in judge(BEFORE, looked(STABLE[:2], CANDIDATE), 2 * MINUTE)[1]


def test_too_little_without_a_candidate_ready_all_the_time() -> None:
    before = baseline_of(looked(STABLE, (replace(CANDIDATE[0], ready=False, ready_since=0),)))
    assert verdict(candidate=CANDIDATE[:1], before=before) is Verdict.TOO_LITTLE


@pytest.mark.parametrize(
    ("seconds", "expected"), [(60, Verdict.BAD), (20, Verdict.GOOD), (6, Verdict.GOOD)]
)
def test_much_slower_readiness_is_bad_and_slightly_slower_is_not(
    seconds: int, expected: Verdict
) -> None:
    slow = tuple(replace(one, ready_since=one.created_at + seconds * SECOND) for one in CANDIDATE)
    assert verdict(candidate=slow, before=baseline_of(looked(STABLE, slow))) is expected


def test_the_baseline_can_be_kept_in_the_record() -> None:
    assert json.loads(json.dumps(BEFORE)) == BEFORE
