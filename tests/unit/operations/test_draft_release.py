"""What the check observed serves the first tick: only for the same request, only for seconds, and
only while nothing that the release may write has changed."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.draft_release import USED_WITHIN_S, Draft
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase
from tests.builders import a_canary, a_release
from tests.unit.operations.test_advance_release import Scene, a_scene


def draft_of(scene: Scene, *, age_s: float = 0.0) -> Draft:
    release = scene.store.load(scene.id)
    seen = scene.port.model.observe(release, scene.store.now())
    asked = release.target
    now_s = scene.context.runtime.monotonic()
    return Draft(replace(release, id="dry-run"), seen, asked, now_s - age_s)


def observed(scene: Scene, draft: Draft) -> int:
    advance_release(scene.context, scene.id, draft)
    return scene.port.observed


def test_the_first_tick_plans_by_what_the_check_observed() -> None:
    scene = a_scene(a_canary())
    assert observed(scene, draft_of(scene)) == 0
    assert [action.kind for action in scene.port.sent] == [
        "patch_deployment",
        "create_deployment",
        "patch_deployment",
    ]


def test_a_change_after_the_check_is_planned_for() -> None:
    scene = a_scene(a_release())
    draft = draft_of(scene)
    scene.port.model.deployments["hello"].replicas = 7
    scene.port.model.deployments["hello"].generation += 1
    for _ in range(8):
        scene.port.model.beat()
    assert observed(scene, draft) == 1
    found = scene.store.load(scene.id).as_found
    assert found is not None and found.stable.replicas == 7


def test_an_old_draft_is_not_used() -> None:
    scene = a_scene(a_release())
    assert observed(scene, draft_of(scene, age_s=USED_WITHIN_S)) == 1


def test_a_draft_of_another_change_is_not_used() -> None:
    scene = a_scene(a_release())
    draft = draft_of(scene)
    other = replace(draft.release, change=Deploy("9.9.9"))
    assert observed(scene, replace(draft, release=other)) == 1


def test_a_draft_by_other_rules_of_the_catalog_is_not_used() -> None:
    scene = a_scene(a_release())
    draft = draft_of(scene)
    rules = replace(draft.release.rules, scale_min=draft.release.rules.scale_min + 1)
    other = replace(draft.release, rules=rules)
    assert observed(scene, replace(draft, release=other)) == 1


def test_a_release_in_front_is_waited_for_in_spite_of_a_draft() -> None:
    scene = a_scene(a_release())
    draft = draft_of(scene)
    first = replace(a_release(), id="", target=replace(draft.asked, app="other"))
    made = scene.store.create(first, dedup_key="", same_as="", operation="first").release
    scene.store.acquire(made, ("uid-cluster/default/Deployment/hello",))
    assert observed(scene, draft) == 0
    assert scene.store.load(scene.id).phase is Phase.QUEUED
    assert not scene.port.sent
