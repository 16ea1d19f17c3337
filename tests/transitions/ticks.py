"""Short ways to a moment of a release: what a test is about begins there."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import (
    deployment_named,
    field_value,
)
from bot.releases.engine.decide import decide
from bot.releases.engine.decision import Decision
from bot.releases.facts.actions import Action, CreateDeployment, PatchDeployment
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION, DeploymentSeen, Observation
from bot.releases.facts.release import Release
from tests.builders import T0, a_deployment, a_release, a_rolling_deployment, an_observation

CLAIMED = {CLAIM_ANNOTATION: "hello-42", "deployment.kubernetes.io/revision": "1"}


def planned(release: Release | None = None, seen: Observation | None = None) -> Release:
    """After the first tick: as found is saved, nothing is written."""
    decision = decide(release or a_release(), seen or an_observation(), T0)
    assert not decision.actions
    return decision.release


def patched(release: Release, seen: Observation | None = None, now: int = T0) -> Release:
    """After the tick that decided on the first write."""
    decision = decide(planned(release, seen), seen or an_observation(), now)
    assert decision.actions
    return decision.release


def claimed(
    deployment: DeploymentSeen, *, cause: str = "hello 2.0.0 by developer, hello-42"
) -> DeploymentSeen:
    """As the Deployment looks once the release wrote to it."""
    return replace(
        deployment,
        annotations={**deployment.annotations, **CLAIMED, "kubernetes.io/change-cause": cause},
    )


def half_rolled(**facts: object) -> Observation:
    parts = {"new": 1, "old": 3, "new_ready": 0, **facts}
    return an_observation(claimed(a_rolling_deployment(**parts)))  # type: ignore[arg-type]


def rolling(release: Release | None = None, now: int = T0) -> Release:
    """A rolling release whose template is written and seen half-way."""
    return decide(patched(release or a_release()), half_rolled(), now).release


def rolled(replicas: int = 3) -> Observation:
    return an_observation(claimed(a_rolling_deployment(new=replicas, old=0, replicas=replicas)))


def changes_of(decision: Decision, name: str = "hello") -> dict[Field, object]:
    """What the decision writes to one object."""
    found: dict[Field, object] = {}
    for action in decision.actions:
        if (
            action.name == name
            and not isinstance(action, CreateDeployment)
            and hasattr(action, "changes")
        ):
            found.update({change.field: change.after for change in action.changes})
    return found


def kinds(decision: Decision) -> list[EventKind]:
    return [event.kind for event in decision.events]


def text_of(decision: Decision, kind: EventKind) -> str:
    return next(event.text for event in decision.events if event.kind is kind)


def patches(actions: tuple[Action, ...]) -> list[PatchDeployment]:
    return [action for action in actions if isinstance(action, PatchDeployment)]


def with_stable(seen: Observation, **facts: object) -> Observation:
    assert seen.stable is not None
    return replace(seen, stable=replace(seen.stable, **facts))  # type: ignore[arg-type]


def value(seen: Observation, name: str, field: Field) -> object:
    item = deployment_named(seen, name)
    assert item is not None
    return field_value(item, field)


def scaled(replicas: int) -> Observation:
    return an_observation(claimed(a_deployment(replicas=replicas), cause=""))
