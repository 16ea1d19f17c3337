"""What people ask of a running release, and what waits for them: approvals, holds, pauses,
aborts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import respond
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.people import Person, Voters
from bot.releases.facts.release import Phase, Release, Rollback
from bot.releases.facts.requests import (
    Abort,
    Approve,
    Finish,
    Pause,
    Promote,
    Refuse,
    Reject,
    Request,
    Resume,
)
from tests.builders import (
    ADMIN,
    DEVELOPER,
    MANAGER,
    MINUTE,
    OTHER_DEVELOPER,
    SECOND,
    T0,
    a_canary,
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
    planned,
    rolled,
    rolling,
)

CANARY_LABELS = {"app": "hello", "track": "canary"}
HOUR = 60 * MINUTE


def a_candidate(
    count: int = 1, *, ready: int | None = None, replicas: int | None = None
) -> DeploymentSeen:
    template = a_template("2.0.0", labels=CANARY_LABELS)
    pods = pods_for("hello-canary-1", template, count, ready=ready, created_at=T0)
    sets = (a_replica_set("hello-canary-1", template, pods=pods),)
    wanted = count if replicas is None else replicas
    return claimed(a_deployment("hello-canary", template, replicas=wanted, replica_sets=sets))


def canaried(count: int = 1, **facts: int) -> Observation:
    """Stable untouched but for its claim, and that many canary pods."""
    return an_observation(claimed(a_deployment(), cause=""), a_candidate(count, **facts))


def holding(release: Release | None = None, now: int = T0) -> Release:
    """A canary whose first share is reached."""
    release = planned(release or a_canary(steps=(25,)))
    for seen in (
        an_observation(),
        an_observation(claimed(a_deployment(), cause="")),
        canaried(0),
        canaried(1, ready=0),
        canaried(1),
    ):
        release = decide(release, seen, now).release
    assert release.phase in (Phase.HOLDING, Phase.AWAITING_PROMOTION), release.phase
    return release


def at_promotion(**approvals: object) -> Release:
    release = holding(a_canary(steps=(25,), hold_ms=0, rules=rules_with(approvals=approvals)))
    assert release.phase is Phase.AWAITING_PROMOTION
    return release


def at_start(quorum: int = 1, **approvals: object) -> Release:
    return planned(a_release(rules=rules_with(approvals={"start": quorum, **approvals})))


def asked(release: Release, request: Request, now: int = T0 + SECOND) -> Release:
    answer = respond(release, request, now)
    assert not answer.refusal, answer.refusal
    return answer.release


def refused(release: Release, request: Request, now: int = T0 + SECOND) -> str:
    """The line for the person; and nothing is changed, nothing told."""
    answer = respond(release, request, now)
    assert answer.release == release and not answer.actions and not answer.events and answer.refusal
    return answer.refusal


def hash_of(release: Release) -> str:
    assert release.plan is not None
    return release.plan.hash


# --- approvals ------------------------------------------------------------------------------------


def test_a_start_that_needs_approval_waits_and_writes_nothing() -> None:
    release = at_start()
    assert release.phase is Phase.AWAITING_APPROVAL
    assert decide(release, an_observation(), T0 + MINUTE).actions == ()


def test_an_approved_start_begins() -> None:
    release = at_start()
    release = asked(release, Approve(MANAGER, "start", hash_of(release)))
    assert changes_of(decide(release, an_observation(), T0 + 2 * SECOND))[
        Field.TEMPLATE
    ] == a_template("2.0.0")


def test_a_quorum_of_two_waits_for_the_second() -> None:
    release = at_start(2)
    release = asked(release, Approve(MANAGER, "start", hash_of(release)))
    waiting = decide(release, an_observation(), T0 + SECOND)
    assert waiting.release.phase is Phase.AWAITING_APPROVAL and not waiting.actions
    release = asked(waiting.release, Approve(ADMIN, "start", hash_of(release)))
    assert decide(release, an_observation(), T0 + SECOND).actions


def test_a_gate_waits_for_someone_of_each_group() -> None:
    voters = Voters(one_from_each=("S0SRE", "S0SEC"))
    release = at_start(2, start_voters=voters, promote_voters=voters)
    plan = hash_of(release)
    for person in (MANAGER, ADMIN):
        release = asked(release, Approve(person, "start", plan, ("S0SRE", "S0OTHER")))
    waiting = decide(release, an_observation(), T0 + SECOND)
    assert waiting.release.phase is Phase.AWAITING_APPROVAL and not waiting.actions
    third = Person("T1", "U0THIRD", "third")
    assert "someone of another group" in refused(release, Approve(third, "start", plan, ()))
    release = asked(release, Approve(third, "start", plan, ("S0SEC",)))
    assert decide(release, an_observation(), T0 + SECOND).actions


def test_a_rollback_waits_for_no_approval() -> None:
    release = at_promotion(promote=3)
    back = asked(release, Abort(DEVELOPER))
    assert back.rollback is not None
    assert decide(back, canaried(1), T0 + MINUTE).actions


def test_the_same_person_counts_once() -> None:
    release = at_start(2)
    release = asked(release, Approve(MANAGER, "start", hash_of(release)))
    assert (
        refused(release, Approve(MANAGER, "start", hash_of(release)))
        == "You have already approved this."
    )


def test_a_button_of_another_plan_is_void_and_says_so() -> None:
    assert "out of date: the plan of hello-42 changed" in refused(
        at_start(), Approve(MANAGER, "start", "000000000000")
    )


def test_a_button_of_an_earlier_gate_is_refused() -> None:
    release = at_promotion()
    assert "That button is out of date" in refused(
        release, Approve(MANAGER, "start", hash_of(release))
    )


def test_a_click_when_nothing_waits_is_refused() -> None:
    release = rolling()
    assert (
        refused(release, Approve(MANAGER, "promote", hash_of(release)))
        == "Nothing to approve: hello-42 is in progress."
    )


def test_a_rejected_start_ends_without_changes() -> None:
    release = at_start()
    answer = respond(
        release, Reject(MANAGER, "start", hash_of(release), "not before the holidays"), T0
    )
    assert answer.release.phase is Phase.REJECTED and not answer.actions
    assert (
        answer.release.cause is not None
        and answer.release.cause.summary == "rejected by manager: not before the holidays"
    )


def test_a_rejected_promotion_rolls_the_canary_back() -> None:
    release = at_promotion()
    release = asked(release, Reject(MANAGER, "promote", hash_of(release)))
    decision = decide(release, canaried(1), T0 + 2 * SECOND)
    assert (
        changes_of(decision, "hello-canary") == {Field.REPLICAS: 0}
        and decision.release.rollback is not None
        and decision.release.rollback.ends_as is Phase.REJECTED
    )


def test_a_missing_approval_reminds_each_hour_and_keeps_waiting() -> None:
    release = at_start()
    first = decide(release, an_observation(), T0 + HOUR)
    assert kinds(first) == [EventKind.REMINDED] and first.release.phase is Phase.AWAITING_APPROVAL
    assert kinds(decide(first.release, an_observation(), T0 + HOUR + MINUTE)) == []
    assert kinds(decide(first.release, an_observation(), T0 + 2 * HOUR)) == [EventKind.REMINDED]


def test_an_approval_that_expires_with_abort_ends_the_release() -> None:
    decision = decide(at_start(on_expiry="abort"), an_observation(), T0 + HOUR)
    assert decision.release.phase is Phase.EXPIRED and not decision.actions


def test_a_promotion_that_expires_with_abort_rolls_the_canary_back() -> None:
    decision = decide(at_promotion(on_expiry="abort"), canaried(1), T0 + 2 * HOUR)
    assert decision.release.rollback is not None and changes_of(decision, "hello-canary") == {
        Field.REPLICAS: 0
    }


def test_wakes_at_the_expiry() -> None:
    assert decide(at_start(), an_observation(), T0 + HOUR - SECOND).wake_at == T0 + HOUR


# --- holds and promotion --------------------------------------------------------------------------


def test_a_hold_ends_by_itself_and_is_judged() -> None:
    decision = decide(holding(), canaried(1), T0 + 2 * MINUTE)
    assert [judgement.verdict.value for judgement in decision.release.judgements] == ["good"]
    assert decision.release.phase is Phase.AWAITING_PROMOTION


def test_wakes_at_the_end_of_a_hold() -> None:
    assert decide(holding(), canaried(1), T0 + 2 * MINUTE - SECOND).wake_at == T0 + 2 * MINUTE


def test_a_rollback_does_not_repeat_the_reason_of_its_request() -> None:
    answer = respond(holding(), Abort(DEVELOPER, reason="pager"), T0 + SECOND)
    assert [event.text for event in answer.events if event.kind is EventKind.CANCELLED] == [
        "aborted by developer: pager"
    ]
    back = decide(answer.release, canaried(1), T0 + 2 * SECOND)
    assert [event.text for event in back.events if event.kind is EventKind.ROLLING_BACK] == [
        "rolling back to 1.0.0"
    ]


def test_a_bad_verdict_pauses_and_asks() -> None:
    pod = a_pod(
        "hello-canary-1-0",
        labels=CANARY_LABELS,
        restarts=2,
        created_at=T0,
        image="kelseyhightower/hello:2.0.0",
    )
    candidate = a_candidate(1)
    worse = replace(candidate, replica_sets=(replace(candidate.replica_sets[0], pods=(pod,)),))
    decision = decide(
        holding(), an_observation(claimed(a_deployment(), cause=""), worse), T0 + 2 * MINUTE
    )
    assert decision.release.phase is Phase.PAUSED and decision.release.cause is not None
    assert decision.release.cause.summary.startswith(
        "2 restarts and 0 readiness changes of 1 candidate pod against 0 restarts"
    )


def test_resume_after_a_verdict_continues_to_the_next_gate() -> None:
    paused = decide(holding(), canaried(1, ready=0), T0 + 2 * MINUTE).release
    assert paused.phase is Phase.PAUSED
    release = asked(paused, Resume(DEVELOPER), T0 + 3 * MINUTE)
    assert decide(release, canaried(1), T0 + 3 * MINUTE).release.phase is Phase.AWAITING_PROMOTION


def test_promote_in_a_hold_ends_the_hold_but_not_the_approval() -> None:
    release = asked(holding(), Promote(DEVELOPER))
    assert decide(release, canaried(1), T0 + 2 * SECOND).release.phase is Phase.AWAITING_PROMOTION


def test_promote_at_the_gate_is_the_approval() -> None:
    release = asked(at_promotion(), Promote(MANAGER))
    decision = decide(release, canaried(1), T0 + 2 * SECOND)
    assert changes_of(decision)[Field.TEMPLATE] == a_template("2.0.0")


def test_promote_in_the_middle_of_a_step_is_refused() -> None:
    assert "nothing to promote now" in refused(rolling(), Promote(MANAGER))


def test_finish_when_nothing_is_held_is_refused() -> None:
    assert refused(rolling(), Finish(DEVELOPER)) == "hello-42 is not holding: in progress."


def test_a_hold_is_ended_early_only_once() -> None:
    release = asked(holding(), Promote(DEVELOPER))
    assert "already ended" in refused(release, Promote(MANAGER))
    assert "already ended" in refused(release, Finish(MANAGER))


def test_an_automatic_promotion_needs_no_person() -> None:
    release = holding(a_canary(steps=(25,), rules=rules_with(canary={"promote": "automatic"})))
    decision = decide(release, canaried(1), T0 + 2 * MINUTE)
    assert changes_of(decision)[Field.TEMPLATE] == a_template("2.0.0")


# --- pause and resume -----------------------------------------------------------------------------


def test_a_pause_in_a_roll_writes_paused_once() -> None:
    paused = asked(rolling(), Pause(DEVELOPER))
    first = decide(paused, half_rolled(), T0 + 2 * SECOND)
    assert changes_of(first) == {Field.PAUSED: True}
    again = decide(first.release, half_rolled(paused=True), T0 + 3 * SECOND)
    assert again.actions == () and again.release.phase is Phase.PAUSED


def test_resume_unsets_paused_and_continues() -> None:
    paused = decide(asked(rolling(), Pause(DEVELOPER)), half_rolled(), T0 + 2 * SECOND).release
    paused = decide(paused, half_rolled(paused=True), T0 + 3 * SECOND).release
    decision = decide(asked(paused, Resume(DEVELOPER)), half_rolled(paused=True), T0 + 4 * SECOND)
    assert (
        changes_of(decision) == {Field.PAUSED: False}
        and decision.release.phase is Phase.PROGRESSING
    )


def test_a_rollback_restores_paused_and_template_in_one_patch() -> None:
    paused = decide(asked(rolling(), Pause(DEVELOPER)), half_rolled(), T0 + 2 * SECOND).release
    paused = decide(paused, half_rolled(paused=True), T0 + 3 * SECOND).release
    decision = decide(asked(paused, Abort(DEVELOPER)), half_rolled(paused=True), T0 + 4 * SECOND)
    (patch,) = decision.actions
    assert {Field.TEMPLATE: a_template(), Field.PAUSED: False}.items() <= changes_of(
        decision
    ).items()
    assert patch.name == "hello"


def test_a_pause_before_the_template_is_written_writes_nothing() -> None:
    release = asked(planned(), Pause(DEVELOPER))
    assert decide(release, an_observation(), T0 + 2 * SECOND).actions == ()


def test_a_pause_in_a_hold_writes_nothing_and_stops_its_clock() -> None:
    release = asked(holding(), Pause(DEVELOPER), T0 + MINUTE)
    assert decide(release, canaried(1), T0 + 30 * MINUTE).actions == ()
    release = asked(release, Resume(DEVELOPER), T0 + 31 * MINUTE)
    assert (
        decide(release, canaried(1), T0 + 31 * MINUTE + 59 * SECOND).release.phase is Phase.HOLDING
    )
    assert decide(release, canaried(1), T0 + 32 * MINUTE).release.phase is Phase.AWAITING_PROMOTION


def test_paused_time_does_not_count_against_the_deadline() -> None:
    paused = decide(asked(rolling(), Pause(DEVELOPER)), half_rolled(), T0 + 2 * SECOND).release
    paused = decide(paused, half_rolled(paused=True), T0 + 3 * SECOND).release
    release = asked(paused, Resume(DEVELOPER), T0 + HOUR)
    assert (
        decide(release, half_rolled(paused=True), T0 + HOUR + MINUTE).release.phase
        is Phase.PROGRESSING
    )


@pytest.mark.parametrize(("release", "line"), [
    (at_start(), "there is nothing to pause"),
    (
        replace(rolling(), phase=Phase.ROLLING_BACK, rollback=Rollback(Phase.ABORTED)),
        "is rolling back and cannot be paused",
    ),
    (replace(rolling(), phase=Phase.PAUSED), "already paused"),
])  # fmt: skip
def test_a_pause_with_nothing_to_pause_is_refused(release: Release, line: str) -> None:
    assert line in refused(release, Pause(DEVELOPER))


def test_a_resume_without_a_pause_is_refused() -> None:
    assert refused(rolling(), Resume(DEVELOPER)) == "hello-42 is not paused: in progress."


# --- abort ----------------------------------------------------------------------------------------


def test_an_abort_before_the_first_write_just_ends_it() -> None:
    answer = respond(planned(), Abort(DEVELOPER), T0)
    assert answer.release.phase is Phase.ABORTED and answer.actions == ()


def test_an_abort_of_a_roll_writes_back_the_exact_template_found() -> None:
    decision = decide(asked(rolling(), Abort(DEVELOPER)), half_rolled(), T0 + 2 * SECOND)
    assert (
        changes_of(decision)[Field.TEMPLATE] == a_template()
        and decision.release.phase is Phase.ROLLING_BACK
    )


def test_a_rollback_ends_by_releasing_the_claim() -> None:
    release = decide(asked(rolling(), Abort(DEVELOPER)), half_rolled(), T0 + 2 * SECOND).release
    written: dict[str, Any] = {"generation": 3, "observed_generation": 3}
    back = an_observation(claimed(a_deployment(**written), cause=""))
    letting_go = decide(release, back, T0 + 3 * SECOND)
    assert changes_of(letting_go) == {Field.CLAIM: ""}
    done = decide(letting_go.release, an_observation(a_deployment(**written)), T0 + 4 * SECOND)
    assert done.release.phase is Phase.ABORTED


def test_an_abort_of_a_canary_removes_its_pods_in_the_first_write() -> None:
    decision = decide(asked(holding(), Abort(DEVELOPER)), canaried(1), T0 + 2 * SECOND)
    assert changes_of(decision, "hello-canary") == {Field.REPLICAS: 0}


def test_a_second_abort_says_that_it_is_under_way() -> None:
    release = asked(rolling(), Abort(DEVELOPER))
    assert refused(release, Abort(OTHER_DEVELOPER)) == "hello-42 is already rolling back."


def test_an_abort_by_force_ends_it_and_leaves_the_cluster_alone() -> None:
    answer = respond(asked(rolling(), Abort(DEVELOPER)), Abort(ADMIN, force=True), T0)
    assert answer.release.phase is Phase.ABORTED and answer.actions == ()


@pytest.mark.parametrize(
    "request_", [Pause(DEVELOPER), Resume(DEVELOPER), Abort(DEVELOPER), Promote(DEVELOPER)]
)
def test_a_finished_release_refuses_requests(request_: Request) -> None:
    assert (
        refused(replace(rolling(), phase=Phase.SUCCEEDED), request_)
        == "hello-42 is over: succeeded."
    )


def test_a_refused_write_rolls_back_and_quotes_the_refusal() -> None:
    decision = back_after(Refuse("deployments.apps is forbidden"), rolling())
    assert (
        decision.release.cause is not None
        and decision.release.cause.summary == "deployments.apps is forbidden"
    )
    assert decision.release.phase is Phase.ROLLING_BACK


def test_a_refusal_before_the_first_write_ends_the_release() -> None:
    assert (
        respond(planned(), Refuse("developer has no longer the role"), T0).release.phase
        is Phase.FAILED
    )


def test_a_refused_rollback_is_retried_and_each_reason_recorded_once() -> None:
    release = asked(rolling(), Abort(DEVELOPER))
    first = respond(release, Refuse("forbidden"), T0 + SECOND)
    again = respond(first.release, Refuse("forbidden"), T0 + MINUTE)
    other = respond(again.release, Refuse("quota exceeded"), T0 + 2 * MINUTE)
    assert [kinds(answer) for answer in (first, again, other)] == [
        [EventKind.FAILURE],
        [],
        [EventKind.FAILURE],
    ]
    assert all(
        answer.release.phase is Phase.ROLLING_BACK and answer.wake_at
        for answer in (first, again, other)
    )


def test_a_refused_rollback_keeps_its_cause() -> None:
    answer = respond(asked(rolling(), Abort(DEVELOPER)), Refuse("forbidden"), T0 + SECOND)
    assert answer.release.cause is not None
    assert (answer.release.cause.summary, answer.release.cause.evidence) == (
        "aborted by developer",
        ("the rollback is refused: forbidden",),
    )


def back_after(request: Request, release: Release) -> Decision:
    return decide(asked(release, request), half_rolled(), T0 + 2 * SECOND)


def test_no_gate_is_open_during_a_roll() -> None:
    assert open_gate(rolling()) is None
    assert open_gate(decide(rolling(), rolled(), T0).release) is None
