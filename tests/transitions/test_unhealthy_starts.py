"""What starts at once, what a person confirms first, and what is waited for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from tests.builders import (
    MINUTE,
    SECOND,
    T0,
    a_bluegreen,
    a_canary,
    a_deployment,
    a_release,
    a_replica_set,
    a_rolling_deployment,
    a_scaling,
    a_service,
    a_template,
    an_observation,
    pods_for,
)
from tests.transitions.ticks import changes_of, claimed, patched, planned, text_of

STUCK = (("Progressing", "False", "ProgressDeadlineExceeded", ""),)


def with_unready(replicas: int, available: int, **pods: object) -> Observation:
    """Rolled, but some pods are not ready and have not been for an hour."""
    template = a_template()
    facts = {"created_at": T0 - 60 * MINUTE, **pods}
    made = pods_for("hello-1", template, replicas, ready=available, **facts)
    sets = (a_replica_set("hello-1", template, pods=made),)
    return an_observation(a_deployment(replicas=replicas, replica_sets=sets))


def half_rolled(**facts: object) -> Observation:
    return an_observation(a_rolling_deployment(new=1, old=3, new_ready=0, **facts))  # type: ignore[arg-type]


def gates_of(release: Release) -> list[str]:
    assert release.plan is not None, release.cause
    return [gate.name for gate in release.plan.start]


def why_not(release: Release, seen: Observation) -> str:
    decision = decide(release, seen, T0)
    assert decision.release.phase is Phase.FAILED and decision.release.cause is not None
    return decision.release.cause.summary


@pytest.mark.parametrize("release", [a_release(), a_canary(), a_bluegreen()])
@pytest.mark.parametrize(("replicas", "available"), [(500, 499), (5, 4)])
def test_one_unready_pod_does_not_refuse_a_release(
    release: Release, replicas: int, available: int
) -> None:
    begun = planned(release, with_unready(replicas, available))
    assert begun.plan is not None and gates_of(begun) == []
    assert f"{available} of {replicas} pods are available" in begun.plan.notes[0]


def test_one_unready_pod_does_not_refuse_to_scale_up() -> None:
    assert gates_of(planned(a_scaling(600), with_unready(500, 499))) == []


def test_a_scale_is_done_when_no_more_pods_are_unready_than_before() -> None:
    def scaled(available: int) -> Observation:
        seen = with_unready(8, available)
        assert seen.stable is not None
        return replace(seen, stable=claimed(seen.stable, cause=""))

    release = patched(a_scaling(8), with_unready(5, 4))
    waits = decide(release, scaled(6), T0 + SECOND).release
    assert waits.progress.at_step == 0
    done = decide(waits, scaled(7), T0 + 2 * SECOND)
    assert "scale from 5 to 8" in text_of(done, EventKind.STEP_DONE)
    end = decide(done.release, with_unready(8, 7), T0 + 3 * SECOND)
    assert end.release.phase is Phase.SUCCEEDED
    assert text_of(end, EventKind.FINISHED) == "hello has 8 pods; 7 of 8 pods available"


@pytest.mark.parametrize(
    "seen",
    [
        with_unready(3, 0),
        with_unready(3, 2, unschedulable="0/3 nodes are available"),
        half_rolled(conditions=STUCK),
    ],
)
def test_a_broken_version_is_fixed_forward_once_a_person_confirms(seen: Observation) -> None:
    release = planned(a_release(Deploy("3.0.0")), seen)
    assert release.plan is not None and release.phase is Phase.AWAITING_APPROVAL
    (gate,) = release.plan.start
    assert isinstance(gate, ApprovalGate)
    assert (gate.name, gate.quorum, gate.requester_may_approve) == ("unhealthy", 1, True)
    assert "a rollback returns to" in release.plan.notes[0]


@pytest.mark.parametrize("release", [a_canary(), a_bluegreen()])
def test_a_broken_version_is_fixed_rolling_only(release: Release) -> None:
    assert "Deploy it rolling to fix it" in why_not(release, with_unready(3, 0))


def test_a_version_that_is_still_starting_is_waited_for() -> None:
    starting = with_unready(3, 0, created_at=T0 - SECOND)
    assert "Wait for it" in why_not(a_release(), starting)
    assert "Wait for it" in why_not(a_release(), half_rolled())


def paused() -> DeploymentSeen:
    return a_rolling_deployment(new=1, old=3, new_ready=0, paused=True)


def test_a_paused_bad_roll_is_undone_without_resuming_it_first() -> None:
    seen = an_observation(paused())
    release = planned(a_release(Undo(template=a_template())), seen)
    assert release.phase is Phase.PROGRESSING
    written = changes_of(decide(release, seen, T0))
    assert (written[Field.TEMPLATE], written[Field.PAUSED]) == (a_template(), False)


def test_a_deploy_onto_a_paused_bad_roll_names_the_undo() -> None:
    line = why_not(a_release(Deploy("3.0.0")), an_observation(paused()))
    assert line == (
        "hello is paused. Resume it first (rollout resume hello), or undo it (rollout undo hello)."
    )


@pytest.mark.parametrize("release", [a_canary(), a_bluegreen()])
@pytest.mark.parametrize("policy", ["external_traffic_policy", "internal_traffic_policy"])
def test_traffic_that_stays_on_its_node_is_confirmed_before_two_versions_run(
    release: Release, policy: str
) -> None:
    service = a_service(**{policy: "Local"})
    begun = planned(release, an_observation(services=(service,)))
    assert gates_of(begun) == ["local traffic"] and begun.phase is Phase.AWAITING_APPROVAL
    assert gates_of(planned(a_release(), an_observation(services=(service,)))) == []
