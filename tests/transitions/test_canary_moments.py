"""What may happen to a canary while it runs: other people, autoscalers, evictions, quotas, and
clicks that come at the wrong moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.cluster_trouble import PATIENCE_MS
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.causes import Verdict
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import (
    AutoscalerSeen,
    DeploymentSeen,
    Observation,
    PodSeen,
    Survey,
)
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import (
    Abort,
    Adopt,
    Approve,
    Pause,
    Promote,
    Reject,
    Request,
    Resume,
)
from tests.builders import (
    DEVELOPER,
    MANAGER,
    MINUTE,
    OTHER_DEVELOPER,
    REPOSITORY,
    SECOND,
    T0,
    a_canary,
    a_deployment,
    a_pod,
    a_replica_set,
    a_template,
    an_observation,
    pods_for,
    rules_with,
)
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_hello, a_walk, shifting
from tests.transitions.ticks import kinds, planned, text_of

LABELS = {"app": "hello", "track": "canary"}


def by_kubectl(walk: Walk, name: str, replicas: int) -> None:
    """Somebody, or an autoscaler, scales outside this release."""
    walk.cluster.faulty = True  # fewer than the plan promised is not the release's doing
    item = walk.cluster.deployments[name]
    item.replicas, item.generation = replicas, item.generation + 1
    walk.cluster.beat()


def canary_sizes(walk: Walk) -> list[int]:
    return [
        change.after
        for action in walk.written
        if isinstance(action, PatchDeployment) and action.name == "hello-canary"
        for change in action.changes
        if change.field is Field.REPLICAS
    ]


# --- autoscalers ----------------------------------------------------------------------------------


def autoscaled() -> Walk:
    survey = Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 20),))
    return a_walk(a_hello(replicas=8), survey=survey, canary={"hold_ms": 10 * MINUTE}, steps=(50,))


def test_candidates_follow_an_autoscaler_down_to_keep_the_approved_share() -> None:
    walk = autoscaled().to_step("share-50", gate="hold")
    by_kubectl(walk, "hello", 4)
    for _ in range(6):
        walk.tick()
    assert walk.release.phase is Phase.HOLDING and walk.release.card_snapshot.share == 50
    assert canary_sizes(walk) == [8, 4]


def test_candidates_are_no_more_than_planned_when_an_autoscaler_makes_stable_larger() -> None:
    walk = autoscaled().to_step("share-50", gate="hold")
    by_kubectl(walk, "hello", 12)
    for _ in range(8):
        walk.tick()
    assert walk.release.phase is Phase.HOLDING and walk.release.card_snapshot.share == 40
    assert canary_sizes(walk) == [8]


def test_stable_carries_what_the_candidates_served_before_they_go() -> None:
    """Its autoscaler made it smaller while the candidates took load from it."""
    for ends in (Walk.to_the_end, aborted):
        walk = autoscaled().to_step("share-50", gate="hold")
        by_kubectl(walk, "hello", 4)
        ends(walk)
        assert walk.cluster.deployments["hello"].replicas == 8
        assert "hello-canary" not in walk.cluster.deployments


@pytest.mark.parametrize(("stables", "canaries"), [(8, 2), (16, 4), (6, 2)])
def test_candidates_follow_an_autoscaler_at_the_promotion_too(stables: int, canaries: int) -> None:
    """2 beside 8 replace what stable may lack as it rolls."""
    survey = Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 20),))
    rules = {"hold_ms": 10 * MINUTE}
    walk = a_walk(a_hello(replicas=8), survey=survey, canary=rules, steps=(10,))
    walk.to_step("share-11", gate="hold")
    by_kubectl(walk, "hello", stables)
    walk.to_step("promote")
    walk.tick()
    assert canary_sizes(walk)[-1] == canaries


def test_candidates_stay_within_an_autoscalers_maximum_at_the_promotion() -> None:
    walk = autoscaled().to_step("share-50", gate="hold")
    by_kubectl(walk, "hello", 12)
    walk.to_step("promote")
    walk.tick()
    assert canary_sizes(walk)[-1] == 8


def test_the_autoscalers_replicas_remain_where_they_carry_the_load() -> None:
    for ends in (Walk.to_the_end, aborted):
        walk = autoscaled().to_step("share-50", gate="hold")
        by_kubectl(walk, "hello", 12)
        ends(walk)
        assert walk.cluster.deployments["hello"].replicas == 12


def aborted(walk: Walk) -> Walk:
    walk.abort()
    return walk.to_the_end()


# --- people ---------------------------------------------------------------------------------------


def test_scaling_stable_by_hand_holds_the_canary_until_someone_decides() -> None:
    walk = a_walk(a_hello(replicas=4), canary={"hold_ms": 10 * MINUTE}).to_step(
        "share-20", gate="hold"
    )
    by_kubectl(walk, "hello", 2)
    walk.until(lambda w: w.release.phase is Phase.DRIFTED).ask(Adopt(DEVELOPER))
    walk.until(lambda w: w.release.phase is Phase.PAUSED)
    assert walk.release.card_snapshot.share == 33
    walk.ask(Resume(DEVELOPER))
    walk.tick()
    assert walk.release.phase is Phase.HOLDING
    assert aborted(walk).cluster.deployments["hello"].replicas == 2, (
        "theirs stays: it was not the release's to take back"
    )


def test_does_not_fight_over_candidates_scaled_to_zero() -> None:
    walk = a_walk(canary={"hold_ms": 10 * MINUTE}).to_step("share-25", gate="hold")
    by_kubectl(walk, "hello-canary", 0)
    for _ in range(5):
        walk.tick()
    assert walk.release.phase is Phase.DRIFTED and canary_sizes(walk) == [1]


def test_abort_in_shift_mode_restores_stable_before_it_removes_candidates() -> None:
    walk = shifting()
    walk.until(lambda w: w.release.phase is Phase.AWAITING_PROMOTION or w.step == "promote")
    assert walk.cluster.deployments["hello"].replicas == 1
    aborted(walk)
    assert walk.release.phase is Phase.ABORTED and walk.cluster.state() == walk.before


# --- the cluster ----------------------------------------------------------------------------------


def holding(*pods: PodSeen, hold_ms: int = 10 * MINUTE) -> tuple[Release, Observation]:
    """In the hold at 40% with these candidate pods, and what is seen."""
    walk = a_walk(canary={"hold_ms": hold_ms}, steps=(40,)).to_step("share-40", gate="hold")
    return walk.release, replace(
        walk.look(),
        at=walk.now,
        candidate=candidates(walk.look(), *pods) if pods else walk.look().candidate,
    )


def candidates(seen: Observation, *pods: PodSeen, failure: str = "") -> DeploymentSeen:
    assert seen.candidate is not None
    template = seen.candidate.template
    replica_set = a_replica_set(
        "hello-canary-1", template, pods=pods, desired=seen.candidate.replicas, failure=failure
    )
    made = a_deployment(
        "hello-canary", template, replicas=seen.candidate.replicas, replica_sets=(replica_set,),
        annotations=seen.candidate.annotations, selector=seen.candidate.selector,
    )  # fmt: skip
    there = seen.candidate
    return replace(
        made, uid=there.uid, generation=there.generation, observed_generation=there.generation
    )


def a_candidate(name: str, **facts: object) -> PodSeen:
    return a_pod(name, **{"image": f"{REPOSITORY}:2.0.0", "labels": LABELS, **facts})  # type: ignore[arg-type]


def test_a_quiet_hold_wakes_at_most_every_thirty_seconds_and_at_its_end() -> None:
    release, seen = holding(hold_ms=80 * SECOND)
    assert release.progress.gate is not None
    now, ends, looks = (
        release.progress.gate.opened_at + SECOND,
        release.progress.gate.opened_at + 80 * SECOND,
        0,
    )
    while now < ends:
        wake_at = decide(release, seen, now).wake_at
        assert wake_at is not None and wake_at <= ends
        now, looks = wake_at, looks + 1
    assert now == ends and looks <= 3


def test_an_evicted_candidate_holds_and_never_rolls_back() -> None:
    evicted = a_candidate("c-2", phase="Failed", reason="Evicted", ready=False)
    release, seen = holding(a_candidate("c-1"), evicted)
    decision = decide(release, seen, T0 + MINUTE)
    assert decision.release.phase is Phase.HOLDING and decision.actions == ()
    assert (
        decision.release.progress.trouble is not None
        and "Evicted" in decision.release.progress.trouble.cause.summary
    )
    back = replace(
        seen, candidate=candidates(seen, a_candidate("c-1"), evicted, a_candidate("c-3"))
    )
    assert decide(decision.release, back, T0 + 2 * MINUTE).release.progress.trouble is None


def test_a_hold_asks_a_person_when_all_candidates_moved_nodes() -> None:
    release, seen = holding(a_candidate("c-8"), a_candidate("c-9"))
    assert release.progress.gate is not None
    decision = decide(release, seen, release.progress.gate.opened_at + 10 * MINUTE)
    assert decision.release.phase is Phase.PAUSED
    assert decision.release.judgements[-1].verdict is Verdict.TOO_LITTLE
    assert "Too little to say whether it is good" in text_of(decision, EventKind.PAUSED)


def short_of_quota(walk: Walk) -> Observation:
    seen = walk.look()
    return replace(
        seen,
        candidate=candidates(
            seen, failure='pods "hello-canary-x" is forbidden: exceeded quota: compute'
        ),
    )


def test_a_quota_exhausted_during_a_step_asks_and_never_rolls_back() -> None:
    walk = a_walk(a_hello(replicas=5), steps=(20, 50))
    walk.until(lambda w: w.step == "share-50" and len(canary_sizes(w)) == 2)
    seen, began = short_of_quota(walk), walk.release.progress.began_at
    waits = decide(walk.release, seen, began + SECOND)
    assert (
        waits.release.progress.trouble is not None
        and "exceeded quota" in waits.release.progress.trouble.cause.summary
    )
    asked = decide(waits.release, seen, began + SECOND + PATIENCE_MS)
    assert EventKind.ENVIRONMENT in kinds(asked) and asked.release.phase is Phase.PROGRESSING
    late = decide(asked.release, seen, began + 2 * PATIENCE_MS)
    assert EventKind.ENVIRONMENT in kinds(late) and late.release.phase is Phase.PROGRESSING
    assert "exceeded quota" in late.events[-1].text


def test_a_failed_canary_waiting_for_a_person_has_no_pods_until_it_is_resumed() -> None:
    walk = a_walk(canary={"hold_ms": 0}, steps=(50,))
    walk.release = replace(walk.release, rules=replace(walk.release.rules, on_failure="pause"))
    walk.cluster.broken_images.add(f"{REPOSITORY}:2.0.0")
    walk.until(lambda w: w.release.phase is Phase.PAUSED and canary_sizes(w) == [3, 0])
    assert walk.release.cause is not None and walk.release.cause.evidence, "what happened is kept"
    for _ in range(5):
        walk.tick()
    assert canary_sizes(walk) == [3, 0], "a paused release writes nothing more"
    walk.ask(Resume(DEVELOPER))
    walk.until(lambda w: w.release.phase is Phase.PAUSED and canary_sizes(w) == [3, 0, 3, 0])
    walk.cluster.broken_images.clear()
    walk.ask(Resume(DEVELOPER))
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


# --- clicks at the wrong moment -------------------------------------------------------------------


def awaiting(on_expiry: str = "abort") -> Walk:
    rules = {"expires_ms": 5 * MINUTE, "on_expiry": on_expiry}
    walk = a_walk(steps=(50,), canary={"hold_ms": 0})
    walk.release = replace(
        walk.release,
        rules=replace(walk.release.rules, approvals=rules_with(approvals=rules).approvals),
    )
    walk.approves = False
    return walk.until(lambda w: w.release.phase is Phase.AWAITING_PROMOTION)


def opened(walk: Walk) -> int:
    assert walk.release.progress.gate is not None
    return walk.release.progress.gate.opened_at


def an_approval(walk: Walk, by: object = MANAGER) -> Approve:
    assert walk.release.plan is not None
    return Approve(by, "promote", walk.release.plan.hash)  # type: ignore[arg-type]


def test_an_approval_in_time_counts_even_when_the_tick_is_late() -> None:
    walk = awaiting()
    walk.now = opened(walk) + 5 * MINUTE - 1
    walk.ask(an_approval(walk))
    decision = decide(walk.release, walk.look(), opened(walk) + 6 * MINUTE)
    assert (
        decision.release.phase is Phase.PROGRESSING
        and decision.release.steps[decision.release.progress.at_step].name == "promote"
    )


def test_a_step_that_waited_for_people_tells_the_wait_from_its_work() -> None:
    walk = awaiting()
    walk.now = opened(walk) + 4 * MINUTE
    walk.ask(an_approval(walk))
    after = decide(walk.release, walk.look(), walk.now).release
    (step,) = after.timeline
    assert step.waited_ms == 4 * MINUTE
    assert step.worked_ms == step.reached_at - step.began_at < MINUTE
    assert step.pods is not None and step.pods.ready == step.pods.total > 0


@pytest.mark.parametrize(
    "request_", [an_approval, lambda walk: Promote(MANAGER)], ids=["button", "typed"]
)
def test_a_late_approval_is_refused_before_the_tick_that_ends_the_release(
    request_: object,
) -> None:
    walk = awaiting()
    answer = respond(walk.release, request_(walk), opened(walk) + 5 * MINUTE)  # type: ignore[operator]
    assert (
        answer.refusal
        == "Too late: the time to promote hello to 2.0.0 is over, and hello-42 is rolling back."
    )
    walk.now = opened(walk) + 5 * MINUTE
    assert walk.to_the_end().release.phase is Phase.EXPIRED and walk.cluster.state() == walk.before


def test_where_expiry_only_reminds_a_late_approval_still_counts() -> None:
    walk = awaiting("hold")
    walk.now = opened(walk) + 3 * 60 * MINUTE
    walk.tick()
    assert (
        walk.release.phase is Phase.AWAITING_PROMOTION
        and "still waiting for approval" in walk.told[-1]
    )
    walk.ask(an_approval(walk))
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


def test_time_in_a_pause_does_not_use_up_the_time_to_approve() -> None:
    walk = awaiting()
    walk.now = opened(walk) + 4 * MINUTE
    walk.ask(Pause(DEVELOPER))
    assert (
        "Nothing to approve: hello-42 is paused."
        in respond(walk.release, an_approval(walk), walk.now).refusal
    )
    walk.now += 60 * MINUTE
    walk.ask(Resume(DEVELOPER))
    walk.tick()
    assert walk.release.phase is Phase.AWAITING_PROMOTION
    walk.ask(an_approval(walk))
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


def test_two_approvals_of_a_quorum_of_two_are_two_people() -> None:
    walk = a_walk(steps=(50,), canary={"hold_ms": 0})
    walk.release = replace(
        walk.release,
        rules=replace(walk.release.rules, approvals=rules_with(approvals={"promote": 2}).approvals),
    )
    walk.approves = False
    walk.until(lambda w: w.release.phase is Phase.AWAITING_PROMOTION)
    walk.ask(an_approval(walk))
    walk.tick()
    assert walk.release.phase is Phase.AWAITING_PROMOTION
    assert (
        respond(walk.release, an_approval(walk), walk.now).refusal
        == "You have already approved this."
    )
    walk.ask(an_approval(walk, OTHER_DEVELOPER))
    assert walk.to_the_end().release.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    "late", [Abort(DEVELOPER), Reject(MANAGER, "promote", ""), Promote(MANAGER), Pause(DEVELOPER)]
)
def test_the_second_of_two_aborts_is_refused(late: Request) -> None:
    walk = awaiting()
    walk.abort()
    if isinstance(late, Reject):
        assert walk.release.plan is not None
        late = replace(late, plan_hash=walk.release.plan.hash)
    assert respond(walk.release, late, walk.now).refusal
    assert walk.to_the_end().cluster.state() == walk.before


# --- the plan is made again -----------------------------------------------------------------------


def waiting_to_start() -> tuple[Release, Observation]:
    seen = an_observation(a_deployment(replicas=4))
    return planned(a_canary(steps=(20, 50), rules=rules_with(approvals={"start": 1})), seen), seen


def scaled_meanwhile() -> tuple[Decision, str]:
    """Adopted before the start; with the hash of the plan that people had seen."""
    release, _ = waiting_to_start()
    assert release.plan is not None
    seen = an_observation(a_deployment(replicas=9))
    drifted = decide(release, seen, T0 + SECOND)
    assert drifted.release.phase is Phase.DRIFTED
    adopted = respond(drifted.release, Adopt(DEVELOPER), T0 + 2 * SECOND)
    return decide(adopted.release, seen, T0 + 3 * SECOND), release.plan.hash


def test_a_change_before_the_start_leads_to_a_new_plan_and_approval() -> None:
    decision, old_hash = scaled_meanwhile()
    release = decision.release
    assert (
        release.plan is not None
        and release.plan.hash != old_hash
        and release.phase is Phase.AWAITING_APPROVAL
    )
    assert [step.candidates for step in release.plan.steps] == [2, 9, 9, 0]
    assert release.as_found is not None and release.as_found.stable.replicas == 9


def test_a_button_of_the_old_plan_is_void_and_names_the_change() -> None:
    decision, old_hash = scaled_meanwhile()
    answer = respond(decision.release, Approve(MANAGER, "start", old_hash), T0 + 4 * SECOND)
    assert (
        answer.refusal
        == "That button is out of date: the plan of hello-42 changed: hello, replicas: 4 became 9."
        " Use the latest card."
    )
    assert answer.release.progress.gate is not None and not answer.release.progress.gate.votes


def test_replanning_waits_for_the_adopted_candidate_and_refuses_if_it_fails() -> None:
    release, _ = waiting_to_start()
    on_its_way = an_observation(a_deployment(replicas=9, available=5))
    release = respond(
        decide(release, on_its_way, T0 + SECOND).release, Adopt(DEVELOPER), T0 + SECOND
    ).release
    waits = decide(release, on_its_way, T0 + 2 * SECOND)
    assert (
        waits.release.plan is None
        and waits.release.phase is Phase.AWAITING_APPROVAL
        and waits.wake_at is not None
    )
    assert (
        decide(waits.release, an_observation(a_deployment(replicas=9)), T0 + MINUTE).release.plan
        is not None
    )
    late = decide(waits.release, on_its_way, T0 + 6 * MINUTE).release
    assert (
        late.phase is Phase.FAILED
        and late.cause is not None
        and "hello is not healthy (5 of 9 available" in late.cause.summary
    )


def test_an_approval_of_the_old_plan_is_void() -> None:
    release, seen = waiting_to_start()
    release = replace(
        release,
        rules=replace(release.rules, approvals=replace(release.rules.approvals, start=2)),
        plan=None,
        as_found=None,
    )
    release = decide(release, seen, T0).release
    assert release.plan is not None
    release = respond(release, Approve(MANAGER, "start", release.plan.hash), T0 + 1).release
    other = an_observation(a_deployment(replicas=9))
    release = respond(
        decide(release, other, T0 + SECOND).release, Adopt(DEVELOPER), T0 + SECOND
    ).release
    release = decide(release, other, T0 + SECOND).release
    assert release.progress.gate is not None and release.progress.gate.votes == ()


def test_starts_from_the_version_that_arrived_before_the_start() -> None:
    release, _ = waiting_to_start()
    template = a_template("1.5.0")
    seen = an_observation(a_deployment(template=template, replicas=4))
    release = respond(
        decide(release, seen, T0 + SECOND).release, Adopt(DEVELOPER), T0 + SECOND
    ).release
    assert decide(release, seen, T0 + 2 * SECOND).release.from_version == "1.5.0"


def test_refuses_when_the_wanted_version_arrived_meanwhile() -> None:
    release, _ = waiting_to_start()
    template = a_template("2.0.0")
    sets = (a_replica_set("hello-2", template, revision=2, pods=pods_for("hello-2", template, 4)),)
    seen = an_observation(a_deployment(template=template, replicas=4, replica_sets=sets))
    release = respond(
        decide(release, seen, T0 + SECOND).release, Adopt(DEVELOPER), T0 + SECOND
    ).release
    ended = decide(release, seen, T0 + 2 * SECOND).release
    assert (
        ended.phase is Phase.FAILED
        and ended.cause is not None
        and ended.cause.summary == "hello already runs 2.0.0."
    )
