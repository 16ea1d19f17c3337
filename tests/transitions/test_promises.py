"""The last check before a write: what it lets through, and how a release stands still for what it
withholds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.promises import PROMISES, broken_promise, withhold
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    FieldChange,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.changes import Scale
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Resume
from tests.builders import DEVELOPER, a_release
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.walk import Walk

NOBODY = {"app": "nobody"}


def before_the_switch() -> Walk:
    """Stable and candidate run, and stable serves with three pods."""
    walk = scenes.plain()
    green = walk.cluster.deployments
    walk.until(lambda _: "hello-green" in green and len(green["hello-green"].pods()) == 3)
    assert len(walk.cluster.selected("hello")) == 3
    return walk


def replicas(name: str, claim: str, wanted: int) -> PatchDeployment:
    change = FieldChange(Field.REPLICAS, 3, wanted)
    return PatchDeployment(name, f"uid-{name}", claim, (change,))


def selector(service: str, wanted: dict[str, str]) -> PatchService:
    change = FieldChange(Field.SELECTOR, {"app": "hello"}, wanted)
    return PatchService(service, "uid", "1", (change,))


@pytest.mark.parametrize(
    "action",
    [
        replicas("hello", "hello-42", 2),
        replicas("hello", "hello-42", 0),
        selector("hello", NOBODY),
    ],
    ids=["one pod fewer", "no pod", "no selector"],
)
def test_ready_endpoints_stay_above_the_floor(action: Action) -> None:
    walk = before_the_switch()
    broken = broken_promise(walk.release, walk.look(), action)
    assert broken is not None and broken.promise == "floor"
    assert "of 3 ready endpoints of hello, at least 3 are promised" in broken.line


@pytest.mark.parametrize(
    "action",
    [
        replicas("checkout", "hello-42", 3),
        replicas("hello", "hello-7", 3),
        DeleteDeployment("hello", "uid-hello"),
        CreateDeployment("checkout", "hello-42", {}),
        CreateService("checkout", "hello-42", {}),
        DeleteService("hello", "uid"),
        selector("checkout", NOBODY),
        PatchAutoscaler("checkout", "uid", "hello-42", ()),
    ],
    ids=lambda action: f"{action.kind} {action.name}",
)
def test_only_its_own_objects_are_touched(action: Action) -> None:
    walk = before_the_switch()
    broken = broken_promise(walk.release, walk.look(), action)
    assert broken is not None and broken.promise == "foreign"


def test_a_candidate_that_another_made_is_not_deleted() -> None:
    walk = before_the_switch()
    green = walk.cluster.deployments["hello-green"]
    delete = DeleteDeployment("hello-green", green.uid)
    assert broken_promise(walk.release, walk.look(), delete) is None
    green.annotations.clear()
    theirs = replace(walk.release, intents=())
    broken = broken_promise(theirs, walk.look(), delete)
    assert broken is not None and broken.promise == "foreign"


def test_fewer_are_promised_where_fewer_are_wanted() -> None:
    walk = before_the_switch()
    less = replicas("hello", "hello-42", 1)
    for other in (
        replace(walk.release, change=Scale(1)),
        replace(walk.release, progress=replace(walk.release.progress, accepts_less=True)),
    ):
        assert broken_promise(other, walk.look(), less) is None
    walk.cluster.deployments["hello"].replicas = 1  # changed outside Pilothouse
    assert broken_promise(walk.release, walk.look(), less) is None


def withheld(walk: Walk) -> Walk:
    broken = broken_promise(walk.release, walk.look(), selector("hello", NOBODY))
    assert broken is not None and broken.promise in PROMISES
    decision = withhold(walk.release, broken, walk.now)
    walk.release = decision.release
    walk.told += [event.text for event in decision.events]
    return walk


def test_the_release_is_paused_and_says_why_once() -> None:
    walk = withheld(before_the_switch())
    assert walk.release.phase is Phase.PAUSED and walk.release.cause is not None
    assert walk.release.cause.summary.startswith("Pilothouse withheld a write of its own: patch")
    told = len(walk.told)
    assert len(withheld(walk).told) == told


def test_people_continue_or_abort_it() -> None:
    walk = withheld(before_the_switch())
    walk.ask(Resume(DEVELOPER))
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    walk = before_the_switch()
    found = walk.cluster.state()["deployments"]["hello"]["template"]
    withheld(walk).ask(Abort(DEVELOPER))
    walk.to_the_end()
    assert walk.release.phase is Phase.ABORTED
    assert walk.cluster.state()["deployments"]["hello"]["template"] == found


def test_a_rollback_goes_on_trying_and_says_so_once() -> None:
    walk = before_the_switch()
    walk.ask(Abort(DEVELOPER))
    walk.tick()
    withheld(walk)
    assert walk.release.phase is Phase.ROLLING_BACK
    assert "the rollback is refused: Pilothouse withheld" in walk.told[-1]
    told = len(walk.told)
    assert len(withheld(walk).told) == told


def test_what_was_not_planned_fails() -> None:
    walk = before_the_switch()
    broken = broken_promise(walk.release, walk.look(), selector("hello", NOBODY))
    assert broken is not None
    failed = withhold(a_release(), broken, walk.now)
    assert failed.release.phase is Phase.FAILED
    assert failed.events[0].kind is EventKind.FAILURE
