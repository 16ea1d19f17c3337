"""Failing fast, not rashly: what is taken back, what pauses and asks, what is only shown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.cluster_trouble import PATIENCE_MS
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import Observation, PodSeen
from bot.releases.facts.release import Phase, Progress, Release
from bot.releases.facts.requests import Resume
from bot.slack.blocks.card import card
from tests.builders import (
    DEVELOPER,
    MINUTE,
    REPOSITORY,
    SECOND,
    T0,
    a_container,
    a_deployment,
    a_pod,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
    pods_for,
    rules_with,
)
from tests.transitions.ticks import (
    changes_of,
    claimed,
    half_rolled,
    kinds,
    patched,
    rolled,
    rolling,
)

NOT_FOUND = (
    'failed to pull and unpack image: failed to resolve reference "kelseyhightower/hello:2.0.0":'
    " not found"
)
LATER = T0 + 3 * MINUTE


def new_pods(*pods: PodSeen, replicas: int = 3, **facts: object) -> Observation:
    """Half-rolled, with these as the pods of the new version."""
    before, after = a_template(), a_template("2.0.0")
    new_set = a_replica_set("hello-2", after, revision=2, pods=pods, **facts)
    sets = (new_set, a_replica_set("hello-1", before, pods=pods_for("hello-1", before, 3)))
    return an_observation(
        claimed(
            a_deployment(
                template=after,
                replicas=replicas,
                replica_sets=sets,
                generation=2,
                observed_generation=2,
            )
        )
    )


def a_new_pod(name: str = "hello-2-a", **facts: Any) -> PodSeen:
    return a_pod(
        name, **{"image": f"{REPOSITORY}:2.0.0", "created_at": T0, "ready": False, **facts}
    )


def crashing(name: str, *, restarts: int = 3, reason: str = "Error") -> PodSeen:
    container = a_container(
        f"{REPOSITORY}:2.0.0",
        ready=False,
        waiting="CrashLoopBackOff",
        restarts=restarts,
        last_terminated=reason,
        exit_code=1,
    )
    return a_new_pod(name, containers=(container,))


def judged(seen: Observation, now: int = T0 + SECOND, release: Release | None = None) -> Decision:
    return decide(release or rolling(), seen, now)


@pytest.mark.parametrize(
    ("waiting", "message"),
    [
        ("InvalidImageName", "couldn't parse image name"),
        ("ErrImagePull", NOT_FOUND),
        ("ImagePullBackOff", "manifest unknown"),
        ("ErrImagePull", "pull access denied, repository does not exist"),
        ("ErrImagePull", "401 Unauthorized"),
        ("ErrImageNeverPull", "image is not present with pull policy of Never"),
        ("CreateContainerConfigError", 'secret "tls-certs" not found'),
    ],
)
def test_a_permanent_failure_rolls_back_at_once(waiting: str, message: str) -> None:
    decision = judged(new_pods(a_new_pod(waiting=waiting, message=message)))
    assert decision.release.phase is Phase.ROLLING_BACK
    assert (
        decision.release.cause is not None
        and decision.release.cause.failure is FailureClass.PERMANENT
    )
    assert changes_of(decision)[Field.TEMPLATE] == a_template()


@pytest.mark.parametrize(
    ("waiting", "message"),
    [
        ("CreateContainerConfigError", "failed to sync configmap cache: timed out"),
        ("ErrImagePull", "net/http: TLS handshake timeout"),
    ],
)
def test_waits_for_a_failure_that_may_pass(waiting: str, message: str) -> None:
    assert (
        judged(new_pods(a_new_pod(waiting=waiting, message=message))).release.phase
        is Phase.PROGRESSING
    )


def test_a_pull_that_fails_for_two_minutes_counts() -> None:
    pods = [
        a_new_pod(name, waiting="ImagePullBackOff", message="connection refused")
        for name in ("hello-2-a", "hello-2-b")
    ]
    assert judged(new_pods(*pods), T0 + 119 * SECOND).release.phase is Phase.PROGRESSING
    assert judged(new_pods(*pods), T0 + 121 * SECOND).release.phase is Phase.ROLLING_BACK


def test_wakes_when_a_failure_becomes_countable() -> None:
    decision = judged(
        new_pods(a_new_pod(waiting="ImagePullBackOff", message="timeout")), T0 + 100 * SECOND
    )
    assert decision.wake_at == T0 + 120 * SECOND


@pytest.mark.parametrize(
    ("restarts", "now", "phase"),
    [
        (2, LATER, Phase.PROGRESSING),
        (3, T0 + 59 * SECOND, Phase.PROGRESSING),
        (3, T0 + 61 * SECOND, Phase.ROLLING_BACK),
    ],
)
def test_crash_loops_count_after_three_restarts_and_sixty_seconds(
    restarts: int, now: int, phase: Phase
) -> None:
    pods = [crashing(name, restarts=restarts) for name in ("hello-2-a", "hello-2-b")]
    assert judged(new_pods(*pods), now).release.phase is phase


def test_a_pod_killed_for_memory_says_so() -> None:
    pods = [crashing(name, reason="OOMKilled") for name in ("hello-2-a", "hello-2-b")]
    cause = judged(new_pods(*pods), LATER).release.cause
    assert cause is not None and "OOMKilled" in cause.summary


def test_some_broken_pods_pause_the_roll_and_ask() -> None:
    decision = judged(new_pods(crashing("hello-2-a"), a_new_pod("hello-2-b", ready=True)), LATER)
    assert decision.release.phase is Phase.PAUSED and EventKind.PAUSED in kinds(decision)


@pytest.mark.parametrize(
    "other",
    [
        a_new_pod("hello-2-b"),
        crashing("hello-2-b", restarts=2),
        replace(crashing("hello-2-b", restarts=2), ready=True),
    ],
    ids=["starts", "crashes", "runs between two crashes"],
)
def test_nobody_is_asked_while_the_other_new_pods_may_still_follow_the_first(
    other: PodSeen,
) -> None:
    seen = new_pods(crashing("hello-2-a"), other)
    waiting = judged(seen, T0 + 100 * SECOND)
    assert waiting.release.phase is Phase.PROGRESSING and waiting.wake_at == T0 + 120 * SECOND
    assert decide(waiting.release, seen, T0 + 120 * SECOND).release.phase is Phase.PAUSED
    both = new_pods(crashing("hello-2-a"), crashing("hello-2-b"))
    assert decide(waiting.release, both, T0 + 101 * SECOND).release.phase is Phase.ROLLING_BACK


def test_a_new_pod_that_no_node_takes_does_not_delay_the_question() -> None:
    seen = new_pods(crashing("hello-2-a"), a_new_pod("hello-2-b", unschedulable="no node fits"))
    assert judged(seen, T0 + 61 * SECOND).release.phase is Phase.PAUSED


def test_an_automatic_pause_stops_the_controller_too() -> None:
    seen = new_pods(crashing("hello-2-a"), a_new_pod("hello-2-b", ready=True))
    paused = judged(seen, LATER).release
    assert changes_of(decide(paused, seen, LATER)) == {Field.PAUSED: True}


def test_resume_tolerates_the_same_failing_pod() -> None:
    seen = new_pods(crashing("hello-2-a"), a_new_pod("hello-2-b", ready=True))
    paused = judged(seen, LATER).release
    resumed = respond(paused, Resume(DEVELOPER), LATER + SECOND).release
    assert decide(resumed, seen, LATER + SECOND).release.phase is Phase.PROGRESSING


def test_another_broken_pod_stops_it_once_more() -> None:
    paused = judged(
        new_pods(crashing("hello-2-a"), a_new_pod("hello-2-b", ready=True)), LATER
    ).release
    resumed = respond(paused, Resume(DEVELOPER), LATER + SECOND).release
    worse = new_pods(
        crashing("hello-2-a"), crashing("hello-2-c"), a_new_pod("hello-2-b", ready=True)
    )
    assert decide(resumed, worse, LATER + SECOND).release.phase is Phase.PAUSED


def test_one_broken_pod_while_more_are_to_come_is_not_all() -> None:
    seen = new_pods(crashing("hello-2-a"), desired=2)
    assert judged(seen, LATER).release.phase is Phase.PAUSED


def test_all_new_pods_that_the_surge_allows_are_all() -> None:
    seen = new_pods(crashing("hello-2-a"), desired=1)
    assert judged(seen, LATER).release.phase is Phase.ROLLING_BACK


def test_one_broken_pod_that_replaced_another_is_all() -> None:
    seen = new_pods(crashing("hello-2-b"), replace(crashing("hello-2-a"), terminating=True))
    assert judged(seen, LATER).release.phase is Phase.ROLLING_BACK


def test_evicted_pods_do_not_count_as_pods_that_may_recover() -> None:
    evicted = a_new_pod("hello-2-a", phase="Failed", reason="Evicted")
    assert (
        judged(new_pods(evicted, crashing("hello-2-b")), LATER).release.phase is Phase.ROLLING_BACK
    )


def test_the_only_pod_of_one_replica_is_all() -> None:
    alone = patched(a_release(), an_observation(a_deployment(replicas=1)))
    assert (
        judged(new_pods(crashing("hello-2-a"), replicas=1), LATER, alone).release.phase
        is Phase.ROLLING_BACK
    )


def test_a_terminating_pod_is_not_judged() -> None:
    seen = new_pods(
        replace(a_new_pod(waiting="InvalidImageName"), terminating=True), a_new_pod("hello-2-b")
    )
    assert judged(seen).release.phase is Phase.PROGRESSING


def test_pods_of_the_old_version_are_not_judged() -> None:
    seen = half_rolled()
    assert seen.stable is not None
    new_set, old_set = seen.stable.replica_sets
    broken = replace(
        old_set,
        pods=(a_pod("hello-1-x", waiting="ImagePullBackOff", message="not found"), *old_set.pods),
    )
    sick = replace(seen, stable=replace(seen.stable, replica_sets=(new_set, broken)))
    assert judged(sick).release.phase is Phase.PROGRESSING


def test_on_failure_pause_asks_instead_of_rolling_back() -> None:
    release = rolling(a_release(rules=rules_with(on_failure="pause")))
    decision = judged(new_pods(a_new_pod(waiting="InvalidImageName")), release=release)
    assert decision.release.phase is Phase.PAUSED


def test_a_paused_release_rolls_back_on_a_permanent_failure() -> None:
    paused = replace(rolling(), phase=Phase.PAUSED, paused_from=Phase.PROGRESSING)
    assert (
        judged(new_pods(a_new_pod(waiting="InvalidImageName")), release=paused).release.phase
        is Phase.ROLLING_BACK
    )


def test_cause_first_and_one_line_then_a_line_of_evidence() -> None:
    cause = judged(new_pods(a_new_pod(waiting="ErrImagePull", message=NOT_FOUND))).release.cause
    assert cause is not None
    assert (
        cause.summary.startswith("image kelseyhightower/hello:2.0.0 cannot be pulled: not found")
        and "\n" not in cause.summary
    )
    assert cause.evidence == (f"hello-2-a: ErrImagePull: {NOT_FOUND}",) and cause.pods == (
        "hello-2-a",
    )


# --- the environment ------------------------------------------------------------------------------


def unschedulable() -> Observation:
    return new_pods(a_new_pod(unschedulable="0/3 nodes are available: insufficient cpu"))


def test_a_full_cluster_is_shown_and_never_rolls_back() -> None:
    decision = judged(unschedulable())
    assert decision.release.phase is Phase.PROGRESSING
    assert (
        decision.release.progress.trouble is not None
        and "insufficient cpu" in decision.release.progress.trouble.cause.summary
    )


def test_after_five_minutes_people_are_asked_once() -> None:
    waits = judged(unschedulable()).release
    asked = decide(waits, unschedulable(), T0 + SECOND + PATIENCE_MS)
    again = decide(asked.release, unschedulable(), T0 + 2 * SECOND + PATIENCE_MS)
    assert EventKind.ENVIRONMENT in kinds(asked) and EventKind.ENVIRONMENT not in kinds(again)
    assert (
        asked.release.progress.trouble is not None
        and "asked" not in asked.release.progress.trouble.cause.evidence
    )


def test_past_cluster_trouble_is_no_longer_shown() -> None:
    assert (
        decide(
            judged(unschedulable()).release, half_rolled(), T0 + 2 * SECOND
        ).release.progress.trouble
        is None
    )


@pytest.mark.parametrize("reason", ["Evicted", "Preempted", "NodeLost"])
def test_an_evicted_pod_is_no_failure_of_the_release(reason: str) -> None:
    decision = judged(new_pods(a_new_pod(phase="Failed", reason=reason)))
    assert (
        decision.release.phase is Phase.PROGRESSING
        and decision.release.progress.trouble is not None
    )


def test_an_eviction_ends_when_its_successor_is_ready() -> None:
    evicted = a_new_pod("hello-2-a", phase="Failed", reason="Evicted")
    waits = judged(new_pods(evicted, desired=1)).release
    assert waits.progress.trouble is not None
    assert (
        decide(
            waits, new_pods(evicted, a_new_pod("hello-2-b", ready=True), desired=1), T0 + 2 * SECOND
        ).release.progress.trouble
        is None
    )


def test_a_quota_that_forbids_pods_is_the_environment() -> None:
    decision = judged(new_pods(failure='pods "hello-2-x" is forbidden: exceeded quota: compute'))
    assert (
        decision.release.progress.trouble is not None
        and "exceeded quota" in decision.release.progress.trouble.cause.summary
    )


def test_pods_denied_by_admission_roll_back_at_once() -> None:
    words = "ValidatingAdmissionPolicy 'signed' denied request: image is not signed"
    decision = judged(new_pods(failure=f'pods "hello-2-x" is forbidden: {words}', desired=1))
    assert decision.release.phase is Phase.ROLLING_BACK
    assert decision.release.cause is not None and words in decision.release.cause.summary


# --- deadlines ------------------------------------------------------------------------------------


def test_a_roll_past_its_deadline_rolls_back() -> None:
    decision = judged(half_rolled(), T0 + 6 * MINUTE)
    assert decision.release.phase is Phase.ROLLING_BACK
    assert (
        decision.release.cause is not None
        and decision.release.cause.failure is FailureClass.DEADLINE
    )


def test_a_full_cluster_asks_again_at_the_deadline() -> None:
    waits = judged(unschedulable()).release
    asked = decide(waits, unschedulable(), T0 + SECOND + PATIENCE_MS)
    assert EventKind.ENVIRONMENT in kinds(asked) and asked.release.phase is Phase.PROGRESSING
    late = decide(asked.release, unschedulable(), T0 + SECOND + 2 * PATIENCE_MS)
    assert EventKind.ENVIRONMENT in kinds(late) and late.release.phase is Phase.PROGRESSING
    assert "insufficient cpu" in late.events[-1].text


def test_a_full_cluster_asks_until_a_person_decides() -> None:
    release, questions = judged(unschedulable()).release, 0
    for minute in range(1, 61):
        decision = decide(release, unschedulable(), T0 + minute * MINUTE)
        release = decision.release
        questions += kinds(decision).count(EventKind.ENVIRONMENT)
    assert release.phase is Phase.PROGRESSING and 4 <= questions <= 8


def test_a_roll_keeps_its_remaining_time_through_cluster_trouble() -> None:
    release = judged(unschedulable()).release
    for minute in range(1, 13):
        release = decide(release, unschedulable(), T0 + minute * MINUTE).release
    release = decide(release, half_rolled(), T0 + 12 * MINUTE).release
    still = decide(release, half_rolled(), T0 + 17 * MINUTE)
    late = decide(still.release, half_rolled(), T0 + 19 * MINUTE)
    assert still.release.phase is Phase.PROGRESSING
    assert late.release.phase is Phase.ROLLING_BACK


def test_the_duration_of_a_roll_excludes_pauses() -> None:
    began = rolling()
    long_paused = replace(began, progress=replace(began.progress, paused_ms=600 * MINUTE))
    done = decide(long_paused, rolled(), T0 + 602 * MINUTE).release
    assert done.active_ms == 2 * MINUTE


def test_wakes_at_the_deadline() -> None:
    near = T0 + 6 * MINUTE - SECOND
    assert judged(half_rolled(), near).wake_at == T0 + 6 * MINUTE


def test_a_pod_that_flaps_does_not_move_the_deadline() -> None:
    release = rolling()
    for second in range(0, 350, 10):
        release = decide(
            release, half_rolled(new_ready=second // 10 % 2), T0 + second * SECOND
        ).release
    assert decide(release, half_rolled(), T0 + 6 * MINUTE).release.phase is Phase.ROLLING_BACK


def test_resume_after_a_deadline_grants_the_time_again() -> None:
    release = rolling(a_release(rules=rules_with(on_failure="pause")))
    paused = judged(half_rolled(), T0 + 6 * MINUTE, release).release
    resumed = respond(paused, Resume(DEVELOPER), T0 + 7 * MINUTE).release
    assert decide(resumed, half_rolled(), T0 + 8 * MINUTE).release.phase is Phase.PROGRESSING


def test_a_rollback_has_no_deadline_but_reminds() -> None:
    back = judged(new_pods(a_new_pod(waiting="InvalidImageName"))).release
    late = decide(back, half_rolled(), T0 + 10 * MINUTE)
    assert late.release.phase is Phase.ROLLING_BACK and EventKind.REMINDED in kinds(late)


def test_a_claim_that_cannot_be_removed_reminds_and_never_rolls_back() -> None:
    release = replace(rolling(), progress=Progress(1))
    seen = an_observation(claimed(a_deployment(template=a_template("2.0.0"))))
    late = decide(release, seen, T0 + 10 * MINUTE)
    assert late.release.phase is Phase.PROGRESSING and EventKind.REMINDED in kinds(late)


# --- what the card shows before it counts ---------------------------------------------------------


def card_of(decision: Decision) -> str:
    assert decision.release.phase is Phase.PROGRESSING
    return str(card(decision.release, now=T0 + SECOND).blocks)


def test_a_crash_loop_is_on_the_card_from_its_first_restart() -> None:
    pods = [crashing(f"hello-2-{letter}", restarts=2) for letter in "abc"]
    shown = card_of(judged(new_pods(*pods)))
    assert "3 of 3 new pods: CrashLoopBackOff, 2 restarts" in shown
    assert "Rolls back after 3 restarts and 1 min (1 restart to go, not before" in shown
    assert "at the latest at" in shown and "Deadline" not in shown


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"waiting": "ErrImagePull", "message": "i/o timeout"}, "The new pod: ErrImagePull"),
        (
            {
                "waiting": "ContainerCreating",
                "warnings": (("FailedMount", 'MountVolume.SetUp failed: secret "tls" not found'),),
            },
            "The new pod: FailedMount",
        ),
        (
            {"warnings": (("Unhealthy", "Readiness probe failed: HTTP probe: 503"),)},
            "the readiness probe fails",
        ),
    ],
)
def test_other_trouble_is_on_the_card_from_its_first_sight(
    facts: dict[str, Any], words: str
) -> None:
    shown = card_of(judged(new_pods(a_new_pod(**facts))))
    assert words in shown and "if that lasts until" in shown
