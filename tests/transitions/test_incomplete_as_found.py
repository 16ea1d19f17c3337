"""A Deployment that was incomplete as found: the way back ends where nothing is worse than it was,
and what it waits for is named."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decide import decide
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Restart
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort
from tests.builders import (
    DEVELOPER,
    MINUTE,
    SECOND,
    T0,
    a_deployment,
    a_release,
    a_replica_set,
    a_template,
    an_observation,
    pods_for,
)
from tests.transitions.ticks import claimed, patched, planned, text_of

LATER = T0 + MINUTE


def hello(available: int, *, new: int = 0, version: str = "") -> DeploymentSeen:
    """3 pods of 1.0.0, so many available, and unready pods of another template beside them."""
    old, other = a_template(), a_template(version or "2.0.0")
    sets = (
        a_replica_set("hello-2", other, revision=2, pods=pods_for("hello-2", other, new, ready=0)),
        a_replica_set("hello-1", old, pods=pods_for("hello-1", old, 3, ready=available)),
    )
    return a_deployment(template=other if version else old, replica_sets=sets)


def seen(deployment: DeploymentSeen, *, ours: bool = True) -> Observation:
    return an_observation(claimed(deployment, cause="") if ours else deployment)


def rolling_back(available: int) -> Release:
    """A restart that was aborted once its template was written and seen."""
    found = seen(hello(available), ours=False)
    release = patched(a_release(Restart()), found)
    written = next(
        intent.after for intent in release.intents if intent.field == "template" and intent.written
    )
    rolled = replace(hello(available, new=1), template=written)
    release = decide(release, seen(rolled), T0 + SECOND).release
    release = respond(release, Abort(DEVELOPER), T0 + 2 * SECOND).release
    return decide(release, seen(rolled), LATER).release


def test_the_way_back_ends_with_as_many_pods_as_were_available() -> None:
    release = rolling_back(available=2)
    let_go = decide(release, seen(hello(2)), LATER + SECOND).release
    done = decide(let_go, seen(hello(2), ours=False), LATER + 2 * SECOND)
    assert done.release.phase is Phase.ABORTED
    assert "2 of 3 pods available, as found" in text_of(done, EventKind.FINISHED)


def test_the_way_back_waits_and_says_why_while_fewer_are_available_than_were() -> None:
    waits = decide(rolling_back(available=2), seen(hello(1)), LATER + SECOND).release
    assert waits.phase is Phase.ROLLING_BACK
    assert "1 of 3 pods available" in waits.progress.waits_for


def test_pods_that_the_deployments_own_bounds_keep_are_named_at_the_deadline() -> None:
    """Kubernetes keeps a failed pod of the other version while too few of the first are
    available."""
    release = rolling_back(available=2)
    stuck = seen(hello(2, new=1))
    waits = decide(release, stuck, LATER + SECOND).release
    assert waits.phase is Phase.ROLLING_BACK
    assert "1 pod of the other version" in waits.progress.waits_for
    ended = decide(waits, stuck, LATER + 20 * MINUTE)
    assert "1 pod of the other version left" in text_of(ended, EventKind.STEP_DONE)
    done = decide(ended.release, seen(hello(2, new=1), ours=False), LATER + 21 * MINUTE)
    assert done.release.phase is Phase.ABORTED


def test_a_record_without_what_was_available_still_waits_for_all_pods() -> None:
    release = rolling_back(available=2)
    assert release.as_found is not None
    stable = replace(release.as_found.stable, available=None, running=())
    old = replace(release, as_found=replace(release.as_found, stable=stable))
    assert decide(old, seen(hello(2)), LATER + SECOND).release.phase is Phase.ROLLING_BACK
    done = decide(old, seen(hello(3)), LATER + 2 * SECOND).release
    assert not done.progress.waits_for


def test_planning_keeps_how_many_pods_were_available() -> None:
    found = planned(a_release(Restart()), seen(hello(2), ours=False)).as_found
    assert found is not None
    assert (found.stable.available, found.stable.running) == (2, ("uid-hello-1",))
