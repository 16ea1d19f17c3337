"""The right to write is the release's own claim: what another release claims is left alone."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.engine.reconcile import reconcile
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import DeleteDeployment, DeleteService
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from bot.releases.facts.plan import AbsentGoal
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Adopt, Resume
from tests.builders import (
    ADMIN,
    DEVELOPER,
    SECOND,
    T0,
    a_bluegreen,
    a_canary,
    a_deployment,
    a_release,
    a_service,
    a_template,
    an_observation,
    rules_with,
)
from tests.transitions.bluegreen import scenes
from tests.transitions.test_requests import asked, canaried, holding, refused
from tests.transitions.ticks import half_rolled, planned, rolling, with_stable

THEIRS = {"pilothouse.dev/release": "hello-99"}


def theirs(seen: Observation) -> Observation:
    return with_stable(seen, annotations=THEIRS)


def ended(release: Release, seen: Observation) -> Release:
    """Every decision until the release is over; none may write to stable."""
    for tick in range(2, 30):
        decision = decide(release, seen, T0 + 12 * tick * SECOND)
        assert not [action for action in decision.actions if action.name == "hello"]
        release = decision.release
        if release.phase.is_final:
            break
        if [a for a in decision.actions if a.name == "hello-canary"]:
            seen = replace(seen, candidate=None)
    return release


def test_an_abort_leaves_what_another_release_claimed_alone() -> None:
    held = decide(rolling(), theirs(half_rolled()), T0 + SECOND).release
    assert held.phase is Phase.DRIFTED
    over = ended(asked(held, Abort(DEVELOPER)), theirs(half_rolled()))
    assert over.phase is Phase.ABORTED


def test_a_claim_that_comes_during_the_rollback_is_left_alone() -> None:
    release = asked(rolling(), Abort(DEVELOPER))
    release = decide(release, half_rolled(), T0 + SECOND).release
    assert release.phase is Phase.ROLLING_BACK
    over = ended(release, theirs(an_observation()))
    assert over.phase is Phase.ABORTED


def test_an_abort_still_removes_its_own_canary() -> None:
    seen = theirs(canaried(1))
    held = decide(holding(), seen, T0 + 2 * SECOND).release
    release = asked(held, Abort(DEVELOPER))
    decision = decide(release, seen, T0 + 20 * SECOND)
    assert {action.name for action in decision.actions} == {"hello-canary"}


def test_a_claim_that_comes_before_the_start_holds_the_release() -> None:
    waiting = planned(a_release(rules=rules_with(approvals={"start": 1})))
    held = decide(waiting, theirs(an_observation()), T0 + SECOND)
    assert held.release.phase is Phase.DRIFTED and held.actions == ()


def test_resume_never_overwrites_another_claim() -> None:
    held = decide(rolling(), theirs(half_rolled()), T0 + SECOND).release
    assert "hello is claimed by release hello-99" in refused(held, Resume(DEVELOPER))


def test_a_claim_left_by_a_release_that_is_gone_refuses_the_start() -> None:
    found = an_observation(a_deployment(annotations={"pilothouse.dev/release": "hello-7"}))
    decision = decide(a_release(), found, T0)
    assert "is claimed by release hello-7" in decision.release.cause.summary  # type: ignore[union-attr]


def test_before_the_first_step_a_change_is_adopted_or_ends_the_release() -> None:
    waiting = planned(a_release(rules=rules_with(approvals={"start": 1})))
    changed = with_stable(an_observation(), template=a_template("1.5.0"))
    held = decide(waiting, changed, T0 + SECOND).release
    assert refused(held, Resume(ADMIN)) == (
        "hello-42 has written nothing yet. Adopt the change to plan again, or abort."
    )
    assert respond(held, Adopt(ADMIN), T0 + 2 * SECOND).release.plan is None


def deletes(release: Release, canary: DeploymentSeen) -> Decision:
    goal = AbsentGoal("Deployment", "hello-canary")
    return reconcile(Decision(release), (goal,), an_observation(candidate=canary), T0).decision


def test_a_crash_at_the_delete_is_repaired_by_the_uid() -> None:
    """Its claim is gone: only the uid still says that this release made it."""
    made = Intent(Kind.DEPLOYMENT, "hello-canary", Field.EXISTS, "uid-1", True, confirmed=True)
    release = replace(planned(a_canary()), intents=(made,))
    canary = a_deployment("hello-canary", uid="uid-1")
    first = deletes(release, canary)
    assert first.actions == (DeleteDeployment("hello-canary", "uid-1"),)
    again = deletes(first.release, canary)
    assert again.actions == first.actions
    other = deletes(first.release, a_deployment("hello-canary", uid="uid-2"))
    assert other.actions == ()


def removes_preview(release: Release, *services: ServiceSeen) -> Decision:
    goal = AbsentGoal("Service", "hello-preview")
    seen = replace(an_observation(), services=services)
    return reconcile(Decision(release), (goal,), seen, T0).decision


def test_a_crash_at_the_delete_of_a_service_is_repaired_by_the_uid() -> None:
    claimed = {"pilothouse.dev/release": "hello-42"}
    preview = a_service("hello-preview", annotations=claimed)
    first = removes_preview(planned(a_bluegreen()), preview)
    assert first.actions == (DeleteService("hello-preview", preview.uid),)
    without_claim = replace(preview, annotations={})
    assert removes_preview(first.release, without_claim).actions == first.actions
    another = replace(preview, uid="uid-copied-by-someone")
    assert removes_preview(first.release, another).actions == ()
    assert removes_preview(first.release).actions == ()


def test_a_crash_at_every_point_of_a_preview_leaves_everything_as_planned() -> None:
    for moment in scenes.with_preview().moments():
        for carried_out in (0, 1):
            walk = moment.fork()
            walk.tick(crash_after=carried_out)
            walk.to_the_end()
            assert walk.release.phase is Phase.SUCCEEDED
            assert set(walk.cluster.services) == {"hello"}
            assert walk.cluster.services["hello"].selector == {"app": "hello"}


def test_a_release_whose_beginning_redis_lost_says_so_and_writes_nothing() -> None:
    """Its record is queued, and its claim is in the cluster."""
    seen = with_stable(half_rolled(), annotations={"pilothouse.dev/release": "hello-42"})
    decision = decide(a_release(), seen, T0)
    assert decision.release.phase is Phase.FAILED and not decision.actions
    assert decision.release.cause is not None
    assert "Redis lost what it found there and wrote" in decision.release.cause.summary
