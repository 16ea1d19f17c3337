"""Outside changes: held for, recorded with who made them, then adopted, written again or
taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, Observation, Survey
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Adopt, Pause, Resume
from bot.slack.blocks.words import phase_words
from tests.builders import (
    DEVELOPER,
    SECOND,
    T0,
    a_canary,
    a_deployment,
    a_release,
    a_replica_set,
    a_scaling,
    a_service,
    a_template,
    an_observation,
    pods_for,
    rules_with,
    without_stable,
)
from tests.transitions.test_requests import a_candidate, asked, canaried, holding, refused
from tests.transitions.ticks import (
    changes_of,
    claimed,
    half_rolled,
    kinds,
    patched,
    planned,
    rolled,
    rolling,
    scaled,
    text_of,
    with_stable,
)

THEIRS = a_template("3.0.0")


def drifted(seen: Observation, release: Release | None = None, now: int = T0 + SECOND) -> Decision:
    decision = decide(release or rolling(), seen, now)
    assert decision.release.phase is Phase.DRIFTED and decision.actions == ()
    return decision


DIFFERENT: dict[str, tuple[Observation, str]] = {
    "template": (
        with_stable(half_rolled(), template=THEIRS),
        "template: intended spec: containers",
    ),
    "replicas": (half_rolled(replicas=7), "replicas: intended 3, is 7"),
    "paused": (half_rolled(paused=True), "paused: intended false, is true"),
    "strategy": (half_rolled(strategy={"type": "Recreate"}), "strategy: intended"),
    "uid": (
        with_stable(half_rolled(), uid="uid-other"),
        "replaced by another object of the same name",
    ),
    "deleted": (without_stable(half_rolled()), "intended present, is deleted"),
    "service selector": (
        replace(half_rolled(), services=(a_service(selector={"app": "other"}),)),
        "Service hello, selector: intended app: hello, is app: other",
    ),
    "service affinity": (
        replace(
            half_rolled(),
            services=(
                a_service(affinity={"sessionAffinity": "ClientIP", "sessionAffinityConfig": None}),
            ),
        ),
        "affinity: intended sessionAffinity: None, is sessionAffinity: ClientIP",
    ),
    "service deleted": (
        replace(half_rolled(), services=()),
        "Service hello, exists: intended present, is deleted",
    ),
    "another release": (
        with_stable(half_rolled(), annotations={"pilothouse.dev/release": "hello-99"}),
        "claim: intended hello-42, is hello-99",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_an_outside_change_holds_the_release_and_is_shown(name: str) -> None:
    seen, told = DIFFERENT[name]
    assert told in text_of(drifted(seen), EventKind.DRIFTED)


@pytest.mark.parametrize(
    "facts",
    [
        {"annotations": {"pilothouse.dev/release": "hello-42", "team": "other"}},
        {
            "annotations": {
                "pilothouse.dev/release": "hello-42",
                "kubernetes.io/change-cause": "edited by hand",
            }
        },
        {"annotations": {}},
        {"labels": {"app": "hello", "owner": "me"}},
        {"generation": 9, "observed_generation": 9},
        {"available": 0, "ready": 0},
    ],
)
def test_annotations_labels_status_and_generation_are_not_drift(facts: dict[str, Any]) -> None:
    assert (
        decide(rolling(), with_stable(half_rolled(), **facts), T0 + SECOND).release.phase
        is Phase.PROGRESSING
    )


def test_names_the_field_manager_and_subresource_of_a_change() -> None:
    seen = with_stable(
        half_rolled(replicas=7), managers=(("kubectl", "Update", "scale", "spec.replicas"),)
    )
    assert "is 7 (by kubectl, subresource scale)" in text_of(drifted(seen), EventKind.DRIFTED)


IMAGE_PATH = "spec.template.spec.containers[name=hello].image"


def test_names_the_manager_of_the_very_field_and_when() -> None:
    """kubectl set the image; others own fields beside it and under the same template."""
    seen = with_stable(
        half_rolled(),
        template=THEIRS,
        managers=(
            ("helm", "Update", "", "spec.template.spec.containers[name=hello].imagePullPolicy"),
            ("restarter", "Update", "", "spec.template.metadata.annotations.restartedAt"),
            ("kubectl-set", "Update", "", IMAGE_PATH),
        ),
        written_at=(("helm", "", T0), ("kubectl-set", "", T0 - 5 * SECOND)),
    )
    decision = drifted(seen)
    (drift,) = decision.release.drift
    assert (drift.manager, drift.at) == ("kubectl-set", T0 - 5 * SECOND)
    assert "(by kubectl-set, 2027-01-15T07:59:55Z)" in text_of(decision, EventKind.DRIFTED)


def test_names_nobody_where_only_pilothouse_owns_the_field() -> None:
    seen = with_stable(
        half_rolled(),
        template=THEIRS,
        managers=(
            ("restarter", "Update", "", "spec.template.metadata.annotations.restartedAt"),
            ("pilothouse", "Update", "", IMAGE_PATH),
        ),
    )
    (drift,) = drifted(seen).release.drift
    assert drift.manager == ""


def test_replicas_that_an_autoscaler_moves_are_not_drift() -> None:
    survey = Survey(autoscalers=(AutoscalerSeen("hello", "hello", 2, 9),))
    release = patched(a_release(), an_observation(survey=survey))
    assert decide(release, half_rolled(replicas=7), T0 + SECOND).release.phase is Phase.PROGRESSING


def test_our_own_write_seen_late_is_not_drift() -> None:
    decision = decide(
        patched(a_release()), an_observation(), T0 + SECOND
    )  # the patch was not applied, or is not seen yet
    assert decision.release.phase is Phase.PROGRESSING and changes_of(decision)[
        Field.TEMPLATE
    ] == a_template("2.0.0")


def test_drift_is_recorded_once() -> None:
    first = drifted(half_rolled(replicas=7))
    assert kinds(decide(first.release, half_rolled(replicas=7), T0 + 2 * SECOND)) == []


def test_continues_when_drift_is_gone() -> None:
    release = drifted(half_rolled(replicas=7)).release
    decision = decide(release, half_rolled(), T0 + 2 * SECOND)
    assert decision.release.phase is Phase.PROGRESSING and EventKind.DRIFT_ENDED in kinds(decision)


def test_a_paused_release_is_still_paused_when_the_drift_is_gone() -> None:
    paused = asked(holding(), Pause(DEVELOPER))
    drift = drifted(with_stable(canaried(1), replicas=9), paused, T0 + 2 * SECOND).release
    decision = decide(drift, canaried(1), T0 + 3 * SECOND)
    assert decision.release.phase is Phase.PAUSED and decision.actions == ()


def test_the_time_of_drift_does_not_count_against_the_deadline() -> None:
    release = drifted(half_rolled(replicas=7)).release
    decision = decide(release, half_rolled(), T0 + 3_600 * SECOND)
    assert decision.release.phase is Phase.PROGRESSING


def test_the_second_change_of_the_same_field_ends_the_release_instead_of_a_war() -> None:
    release = drifted(half_rolled(replicas=7)).release
    release = decide(release, half_rolled(), T0 + 2 * SECOND).release
    decision = decide(release, half_rolled(replicas=7), T0 + 3 * SECOND)
    assert (
        decision.release.phase is Phase.ROLLING_BACK
        and decision.release.rollback is not None
        and decision.release.rollback.ends_as is Phase.ABORTED
    )
    assert decision.release.cause is not None and decision.release.cause.summary.startswith(
        "something else keeps changing it"
    )


def test_changes_of_two_fields_are_not_a_war() -> None:
    release = drifted(half_rolled(replicas=7)).release
    release = decide(release, half_rolled(), T0 + 2 * SECOND).release
    assert (
        drifted(half_rolled(paused=True), release, T0 + 3 * SECOND).release.phase is Phase.DRIFTED
    )


def test_a_service_and_a_deployment_of_the_same_name_are_distinct() -> None:
    other_selector = replace(half_rolled(), services=(a_service(selector={"app": "other"}),))
    release = drifted(other_selector).release
    reverts = {(i.kind.value, i.field.value): i.reverts for i in release.intents if i.reverts}
    assert reverts == {("Service", "selector"): 1}


# --- resume: ours again ---------------------------------------------------------------------------


def test_a_resume_writes_our_values_again() -> None:
    release = asked(drifted(half_rolled(replicas=7)).release, Resume(DEVELOPER))
    decision = decide(release, half_rolled(replicas=7), T0 + 3 * SECOND)
    assert changes_of(decision) == {Field.REPLICAS: 3}


def test_continues_once_its_values_are_written_again() -> None:
    release = asked(drifted(half_rolled(replicas=7)).release, Resume(DEVELOPER))
    release = decide(release, half_rolled(replicas=7), T0 + 3 * SECOND).release
    decision = decide(release, half_rolled(), T0 + 4 * SECOND)
    assert decision.release.phase is Phase.PROGRESSING and decision.actions == ()


def test_a_resume_writes_a_service_selector_again() -> None:
    seen = replace(half_rolled(), services=(a_service(selector={"app": "other"}),))
    release = asked(drifted(seen).release, Resume(DEVELOPER))
    assert changes_of(decide(release, seen, T0 + 3 * SECOND)) == {Field.SELECTOR: {"app": "hello"}}


def test_a_deleted_object_cannot_be_restored_by_resume() -> None:
    release = drifted(without_stable(half_rolled())).release
    assert "Deployment hello was deleted, so hello-42 cannot continue" in refused(
        release, Resume(DEVELOPER)
    )


# --- adopt: theirs --------------------------------------------------------------------------------


def test_adopted_replicas_stay_and_the_release_continues() -> None:
    release = asked(drifted(half_rolled(replicas=7)).release, Adopt(DEVELOPER))
    decision = decide(release, half_rolled(replicas=7), T0 + 3 * SECOND)
    assert decision.release.phase is Phase.PROGRESSING and decision.actions == ()


def test_adopted_replicas_of_a_scaling_are_not_overwritten() -> None:
    release = decide(patched(a_scaling(5)), scaled(7), T0 + SECOND).release
    release = asked(release, Adopt(DEVELOPER))
    decision = decide(release, scaled(7), T0 + 3 * SECOND)
    assert changes_of(decision) == {Field.CLAIM: ""}


def test_adopted_replicas_of_a_canary_hold_for_this_step() -> None:
    release = asked(drifted(canaried(2), holding()).release, Adopt(DEVELOPER))
    decision = decide(release, canaried(2), T0 + 3 * SECOND)
    assert decision.release.phase is Phase.HOLDING and decision.actions == ()


def test_a_share_holds_when_stable_was_scaled_down_and_that_is_adopted() -> None:
    """10 beside 10 at 50%, stable scaled to 2: 10 of 12 would be 83%."""
    ten = an_observation(a_deployment(replicas=10))
    release = planned(a_canary(steps=(50,)), ten)

    def beside(stables: int) -> Observation:
        return an_observation(claimed(a_deployment(replicas=stables), cause=""), a_candidate(10))

    for tick, seen in enumerate((ten, beside(10), beside(10))):
        release = decide(release, seen, T0 + tick * SECOND).release
    assert release.phase is Phase.HOLDING
    release = decide(release, beside(2), T0 + 5 * SECOND).release
    release = respond(release, Adopt(DEVELOPER), T0 + 6 * SECOND).release
    decision = decide(release, beside(2), T0 + 7 * SECOND)
    assert changes_of(decision, "hello-canary") == {Field.REPLICAS: 2}
    assert decision.release.phase is Phase.HOLDING


def test_a_share_that_must_exceed_the_approved_one_is_asked_about_once() -> None:
    """1 beside 10 at 10%, stable scaled to 2: one pod is 33%."""
    ten = an_observation(a_deployment(replicas=10))
    release = planned(a_canary(steps=(10,)), ten)

    def beside(stables: int) -> Observation:
        return an_observation(claimed(a_deployment(replicas=stables), cause=""), a_candidate(1))

    for tick, seen in enumerate((ten, beside(10), beside(10))):
        release = decide(release, seen, T0 + tick * SECOND).release
    release = decide(release, beside(2), T0 + 5 * SECOND).release
    release = respond(release, Adopt(DEVELOPER), T0 + 6 * SECOND).release
    asks = decide(release, beside(2), T0 + 7 * SECOND)
    assert asks.release.phase is Phase.PAUSED
    assert text_of(asks, EventKind.PAUSED) == (
        "1 canary pod beside 2 is 33% of the traffic, and 10% was approved. Resume to continue, or"
        " abort to roll back."
    )
    resumed = respond(asks.release, Resume(DEVELOPER), T0 + 8 * SECOND).release
    assert decide(resumed, beside(2), T0 + 9 * SECOND).release.phase is Phase.HOLDING


def test_abort_keeps_adopted_replicas() -> None:
    release = asked(drifted(half_rolled(replicas=7)).release, Adopt(DEVELOPER))
    release = decide(release, half_rolled(replicas=7), T0 + 3 * SECOND).release
    decision = decide(asked(release, Abort(DEVELOPER)), half_rolled(replicas=7), T0 + 5 * SECOND)
    assert (
        Field.REPLICAS not in changes_of(decision)
        and changes_of(decision)[Field.TEMPLATE] == a_template()
    )


def test_keeps_an_adopted_template_and_rolls_back_the_rest() -> None:
    seen = with_stable(half_rolled(), template=THEIRS)
    release = asked(drifted(seen).release, Adopt(DEVELOPER))
    decision = decide(release, seen, T0 + 3 * SECOND)
    assert (
        Field.TEMPLATE not in changes_of(decision) and decision.release.phase is Phase.ROLLING_BACK
    )


def test_the_end_after_an_adopted_template_says_what_runs() -> None:
    theirs = with_stable(rolled(), template=THEIRS)
    theirs = with_stable(
        theirs,
        replica_sets=(a_replica_set("hello-9", THEIRS, pods=pods_for("hello-9", THEIRS, 3)),),
    )
    release = asked(drifted(theirs).release, Adopt(DEVELOPER))
    decision = decide(release, theirs, T0 + 3 * SECOND)
    decision = decide(decision.release, with_stable(theirs, annotations={}), T0 + 4 * SECOND)
    assert decision.release.phase is Phase.ABORTED
    assert text_of(decision, EventKind.FINISHED).startswith("hello is on 3.0.0, not back on 1.0.0")
    assert "is on 3.0.0" in phase_words(decision.release)


def test_adopting_where_nothing_drifted_is_refused() -> None:
    assert (
        refused(rolling(), Adopt(DEVELOPER))
        == "hello-42 has not drifted. There is nothing to adopt."
    )


# --- abort ----------------------------------------------------------------------------------------


def test_an_abort_overwrites_drift() -> None:
    seen = with_stable(half_rolled(), template=THEIRS)
    decision = decide(asked(drifted(seen).release, Abort(DEVELOPER)), seen, T0 + 3 * SECOND)
    (patch,) = decision.actions
    assert isinstance(patch, PatchDeployment)
    assert next((c.before, c.after) for c in patch.changes if c.field is Field.TEMPLATE) == (
        THEIRS,
        a_template(),
    )


def test_drift_does_not_block_its_own_rollback() -> None:
    seen = with_stable(half_rolled(), template=THEIRS)
    release = decide(asked(drifted(seen).release, Abort(DEVELOPER)), seen, T0 + 3 * SECOND).release
    assert decide(release, seen, T0 + 4 * SECOND).release.phase is Phase.ROLLING_BACK


def test_a_canary_is_removed_even_when_stable_was_deleted() -> None:
    gone = replace(without_stable(canaried(1)), candidate=canaried(1).candidate)
    release = asked(drifted(gone, holding()).release, Abort(DEVELOPER))
    decision = decide(release, gone, T0 + 3 * SECOND)
    assert changes_of(decision, "hello-canary") == {Field.REPLICAS: 0}


def test_a_deployment_that_replaced_ours_is_left_alone() -> None:
    stranger = with_stable(an_observation(a_deployment(template=THEIRS)), uid="uid-other")
    release = decide(
        asked(drifted(stranger).release, Abort(DEVELOPER)), stranger, T0 + 3 * SECOND
    ).release
    decision = decide(release, stranger, T0 + 4 * SECOND)
    assert decision.actions == () and decision.release.phase is Phase.ABORTED


def test_a_permanent_failure_rolls_back_despite_drift() -> None:
    release = drifted(half_rolled(replicas=7)).release
    seen = half_rolled(replicas=7)
    assert seen.stable is not None
    new_set, old_set = seen.stable.replica_sets
    pod = replace(
        new_set.pods[0],
        containers=(
            replace(new_set.pods[0].containers[0], waiting="InvalidImageName", ready=False),
        ),
    )
    sick = with_stable(seen, replica_sets=(replace(new_set, pods=(pod,)), old_set))
    assert decide(release, sick, T0 + 3 * SECOND).release.phase is Phase.ROLLING_BACK


def test_does_not_roll_back_someone_elses_failing_template() -> None:
    release = drifted(with_stable(half_rolled(), template=THEIRS)).release
    again = decide(release, with_stable(half_rolled(), template=THEIRS), T0 + 3 * SECOND)
    assert again.release.phase is Phase.DRIFTED and again.actions == ()


def test_ticks_do_not_grow_the_record() -> None:
    release = rolling(a_release(rules=rules_with()))
    before = len(release.intents)
    for second in range(50):
        release = decide(release, half_rolled(), T0 + second * SECOND).release
    assert len(release.intents) == before
    assert decide(release, rolled(), T0 + 60 * SECOND).release.phase is Phase.PROGRESSING


def test_a_canary_scaled_by_hand_names_its_deployment() -> None:
    told = text_of(drifted(canaried(4), holding()), EventKind.DRIFTED)
    assert "Deployment hello-canary, replicas: intended 1, is 4" in told


def test_requests_are_handled_during_drift() -> None:
    release = drifted(half_rolled(replicas=7)).release
    assert (
        respond(release, Pause(DEVELOPER), T0).refusal
        == "hello-42 is drifted: there is nothing to pause."
    )
