from __future__ import annotations

import copy
from typing import Any

import pytest

from bot.ports import PreconditionFailed, Refused
from bot.releases.assess.intents import manager_of
from bot.releases.facts.actions import (
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    FieldChange,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import (
    Lab,
    an_autoscaler,
    candidate_of,
    deployment,
    service,
)

CLAIM = FieldChange(Field.CLAIM, "", "hello-1")


def with_image(template: Any, image: str) -> Any:
    changed = copy.deepcopy(template)
    changed["spec"]["containers"][0]["image"] = image
    return changed


def rolling(stable: DeploymentSeen, image: str = "kelseyhightower/hello:2.0.0") -> PatchDeployment:
    """Claim, template and cause in one patch."""
    changes = (
        CLAIM,
        FieldChange(Field.TEMPLATE, stable.template, with_image(stable.template, image)),
        FieldChange(
            Field.CHANGE_CAUSE,
            stable.annotations.get("kubernetes.io/change-cause", ""),
            "hello-1 brings 2.0.0",
        ),
    )
    return PatchDeployment(stable.name, stable.uid, "", changes)


def test_only_the_image_changes_and_the_cause_travels_with_it(lab: Lab) -> None:
    before = lab.stable()
    lab.cluster.apply(lab.target, rolling(before))
    after = lab.settled()
    assert after.template == with_image(before.template, "kelseyhightower/hello:2.0.0")
    assert after.claim == "hello-1"
    newest, oldest = after.replica_sets
    assert newest.change_cause == "hello-1 brings 2.0.0"
    assert oldest.change_cause == ""
    owners = {(manager, path) for manager, _, _, path in after.managers}
    assert ("pilothouse", "spec.template.spec.containers[name=hello].image") in owners
    assert ("pilothouse", "spec.template.spec.containers[name=sidecar].image") not in owners


def test_repeating_an_action_changes_nothing(lab: Lab) -> None:
    action = rolling(lab.stable())
    lab.cluster.apply(lab.target, action)
    generation = lab.stable().generation
    lab.cluster.apply(lab.target, action)
    assert lab.stable().generation == generation


def test_the_exact_saved_template_reuses_the_old_replica_set(lab: Lab) -> None:
    before = lab.stable()
    lab.cluster.apply(lab.target, rolling(before))
    rolled = lab.settled()
    back = FieldChange(Field.TEMPLATE, rolled.template, before.template)
    lab.cluster.apply(lab.target, PatchDeployment("hello", rolled.uid, "hello-1", (back,)))
    after = lab.settled()
    assert after.template == before.template
    assert after.replica_sets[0].uid == before.replica_sets[0].uid


def test_a_deployment_without_any_annotation_can_be_claimed(empty_lab: Lab) -> None:
    """A paused one gets no revision from the controller, so it has none at all."""
    empty_lab.create("deployments", deployment(paused=True))
    stable = empty_lab.stable()
    assert stable.annotations == {}
    empty_lab.cluster.apply(empty_lab.target, PatchDeployment("hello", stable.uid, "", (CLAIM,)))
    assert empty_lab.stable().claim == "hello-1"


def test_a_claim_is_taken_once_and_released(lab: Lab) -> None:
    uid = lab.stable().uid
    lab.cluster.apply(lab.target, PatchDeployment("hello", uid, "", (CLAIM,)))
    rival = FieldChange(Field.CLAIM, "", "hello-2")
    with pytest.raises(PreconditionFailed, match="claimed by hello-1"):
        lab.cluster.apply(lab.target, PatchDeployment("hello", uid, "", (rival,)))
    lab.cluster.apply(
        lab.target,
        PatchDeployment("hello", uid, "hello-1", (FieldChange(Field.CLAIM, "hello-1", ""),)),
    )
    assert "pilothouse.dev/release" not in lab.stable().annotations


def test_a_change_decided_on_stale_facts_is_refused_and_changes_nothing(lab: Lab) -> None:
    stable = lab.stable()
    lab.edit("deployments", "hello", {"spec": {"replicas": 3}})
    stale = PatchDeployment(
        "hello",
        stable.uid,
        "",
        (FieldChange(Field.REPLICAS, 2, 5), FieldChange(Field.PAUSED, False, True)),
    )
    with pytest.raises(PreconditionFailed, match="replicas"):
        lab.cluster.apply(lab.target, stale)
    after = lab.stable()
    assert (after.replicas, after.paused) == (3, False)


def test_a_recreated_deployment_of_the_same_name_is_a_different_one(lab: Lab) -> None:
    stable = lab.stable()
    lab.delete("deployments", "hello")
    assert eventually(lambda: lab.observe().stable is None)
    with pytest.raises(PreconditionFailed):
        lab.cluster.apply(lab.target, rolling(stable))
    lab.create("deployments", deployment())
    with pytest.raises(PreconditionFailed):
        lab.cluster.apply(lab.target, rolling(stable))
    assert lab.stable().claim == ""


def test_invalid_objects_are_refused_in_the_words_of_kubernetes(lab: Lab) -> None:
    change = FieldChange(Field.REPLICAS, 2, -4)
    with pytest.raises(
        Refused, match=r"spec\.replicas: Invalid value: -4: must be greater than or equal to 0"
    ):
        lab.cluster.apply(lab.target, PatchDeployment("hello", lab.stable().uid, "", (change,)))


def test_patches_hold_in_the_middle_of_a_roll(lab: Lab) -> None:
    """Status writes move the resourceVersion all the time; the tests are of fields, so none is
    refused for that."""
    lab.cluster.apply(lab.target, rolling(lab.stable()))
    uid = lab.stable().uid
    for number in range(20):
        before, after = (2, 3) if number % 2 == 0 else (3, 2)
        lab.cluster.apply(
            lab.target,
            PatchDeployment("hello", uid, "hello-1", (FieldChange(Field.REPLICAS, before, after),)),
        )
    assert lab.settled().replicas == 2


def test_pausing_and_resuming_with_the_template_are_one_patch(lab: Lab) -> None:
    stable = lab.stable()
    lab.cluster.apply(
        lab.target,
        PatchDeployment("hello", stable.uid, "", (FieldChange(Field.PAUSED, False, True),)),
    )
    assert lab.stable().paused
    template = with_image(stable.template, "kelseyhightower/hello:3.0.0")
    both = (
        FieldChange(Field.PAUSED, True, False),
        FieldChange(Field.TEMPLATE, stable.template, template),
    )
    lab.cluster.apply(lab.target, PatchDeployment("hello", stable.uid, "", both))
    after = lab.settled()
    assert (after.paused, after.template) == (False, template)


def test_the_first_template_annotation_can_come_and_go(lab: Lab) -> None:
    stable = lab.stable()
    template = copy.deepcopy(stable.template)
    template["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"
    }
    lab.cluster.apply(
        lab.target,
        PatchDeployment(
            "hello", stable.uid, "", (FieldChange(Field.TEMPLATE, stable.template, template),)
        ),
    )
    assert lab.stable().template == template
    lab.cluster.apply(
        lab.target,
        PatchDeployment(
            "hello", stable.uid, "", (FieldChange(Field.TEMPLATE, template, stable.template),)
        ),
    )
    assert lab.stable().template == stable.template


def test_a_candidate_is_created_once_and_only_ours_counts(lab: Lab) -> None:
    action = CreateDeployment("hello-canary", "hello-1", candidate_of(lab.stable(), "hello-1"))
    lab.cluster.apply(lab.target, action)
    lab.cluster.apply(lab.target, action)
    assert lab.observe("hello-canary").candidate is not None
    with pytest.raises(PreconditionFailed, match="does not belong to release hello-2"):
        lab.cluster.apply(lab.target, CreateDeployment("hello-canary", "hello-2", action.body))


def test_a_create_that_kubernetes_rejects_is_refused(lab: Lab) -> None:
    body = candidate_of(lab.stable(), "hello-1")
    body["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    with pytest.raises(Refused, match="selector"):
        lab.cluster.apply(lab.target, CreateDeployment("hello-canary", "hello-1", body))


def test_a_delete_removes_only_the_named_deployment_and_its_pods(lab: Lab) -> None:
    lab.cluster.apply(
        lab.target,
        CreateDeployment(
            "hello-canary", "hello-1", candidate_of(lab.stable(), "hello-1", replicas=1)
        ),
    )
    candidate = lab.observe("hello-canary").candidate
    assert candidate is not None
    with pytest.raises(PreconditionFailed):
        lab.cluster.apply(
            lab.target, DeleteDeployment("hello-canary", "00000000-0000-0000-0000-000000000000")
        )
    lab.cluster.apply(lab.target, DeleteDeployment("hello-canary", candidate.uid))
    assert eventually(lambda: lab.observe("hello-canary").candidate is None)
    lab.cluster.apply(lab.target, DeleteDeployment("hello-canary", candidate.uid))

    def pods_left() -> list[str]:
        pods = lab.cluster.connection.get(lab.path("pods"))["items"]
        return [
            one["metadata"]["name"]
            for one in pods
            if one["metadata"]["name"].startswith("hello-canary")
        ]

    assert eventually(lambda: not pods_left(), within_s=30)
    assert len(lab.stable().replica_sets) == 1


def test_a_service_switches_only_from_its_observed_state(lab: Lab) -> None:
    (seen,) = lab.observe().services
    switch = PatchService(
        "hello",
        seen.uid,
        seen.resource_version,
        (FieldChange(Field.SELECTOR, seen.selector, {"app": "hello-green"}),),
    )
    lab.cluster.apply(lab.target, switch)
    lab.cluster.apply(lab.target, switch)
    (after,) = lab.observe().services
    assert after.selector == {"app": "hello-green"}
    back = PatchService(
        "hello",
        seen.uid,
        seen.resource_version,
        (FieldChange(Field.SELECTOR, after.selector, {"app": "else"}),),
    )
    with pytest.raises(PreconditionFailed):
        lab.cluster.apply(lab.target, back)
    assert lab.observe().services[0].selector == {"app": "hello-green"}


def test_affinity_is_set_and_restored(lab: Lab) -> None:
    (seen,) = lab.observe().services
    sticky = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
    }
    to_sticky, to_found = (
        FieldChange(Field.AFFINITY, *values)
        for values in ((seen.affinity, sticky), (sticky, seen.affinity))
    )
    lab.cluster.apply(
        lab.target, PatchService("hello", seen.uid, seen.resource_version, (to_sticky,))
    )
    (after,) = lab.observe().services
    assert after.affinity == sticky
    lab.cluster.apply(
        lab.target, PatchService("hello", seen.uid, after.resource_version, (to_found,))
    )
    assert lab.observe().services[0].affinity == seen.affinity


def observed_autoscaler(lab: Lab) -> AutoscalerSeen:
    seen = lab.observe(autoscaler="hello-hpa").autoscaler
    assert seen is not None
    return seen


def a_raise(seen: AutoscalerSeen, to: int) -> PatchAutoscaler:
    changes = (
        FieldChange(Field.MIN_REPLICAS, seen.min_replicas, to),
        FieldChange(Field.CLAIM, "", "hello-1"),
        FieldChange(Field.MIN_AS_FOUND, "", str(seen.min_replicas)),
    )
    return PatchAutoscaler(seen.name, seen.uid, "", changes)


def test_an_autoscalers_minimum_is_raised_kept_and_restored(lab: Lab) -> None:
    lab.create("horizontalpodautoscalers", an_autoscaler())
    found = observed_autoscaler(lab)
    lab.cluster.apply(lab.target, a_raise(found, 3))
    lab.cluster.apply(lab.target, a_raise(found, 3))  # as after a lost reply
    raised = observed_autoscaler(lab)
    assert (raised.min_replicas, raised.claim, raised.min_as_found) == (3, "hello-1", 1)
    assert eventually(
        lambda: lab.read("deployments", "hello")["spec"]["replicas"] == 3, within_s=40
    )
    back = (
        FieldChange(Field.MIN_REPLICAS, 3, 1),
        FieldChange(Field.CLAIM, "hello-1", ""),
        FieldChange(Field.MIN_AS_FOUND, "1", ""),
    )
    lab.cluster.apply(lab.target, PatchAutoscaler(found.name, found.uid, "hello-1", back))
    restored = observed_autoscaler(lab)
    assert (restored.min_replicas, restored.annotations) == (1, found.annotations)


def test_an_autoscaler_that_something_else_changed_is_not_written(lab: Lab) -> None:
    lab.create("horizontalpodautoscalers", an_autoscaler())
    found = observed_autoscaler(lab)
    lab.edit("horizontalpodautoscalers", "hello-hpa", {"spec": {"minReplicas": 2}})
    with pytest.raises(PreconditionFailed, match="hello-hpa changed since this was decided"):
        lab.cluster.apply(lab.target, a_raise(found, 3))
    theirs = observed_autoscaler(lab)
    assert (theirs.min_replicas, theirs.claim) == (2, "")
    assert manager_of(theirs, Field.MIN_REPLICAS) == "kubectl-edit"


def test_a_preview_service_comes_and_goes(lab: Lab) -> None:
    body = service("hello-preview")
    body["metadata"]["annotations"] = {"pilothouse.dev/release": "hello-1"}
    action = CreateService("hello-preview", "hello-1", body)
    lab.cluster.apply(lab.target, action)
    lab.cluster.apply(lab.target, action)
    made = next(
        one
        for one in lab.observe(extra_services=("hello-preview",)).services
        if one.name == "hello-preview"
    )
    lab.cluster.apply(lab.target, DeleteService("hello-preview", made.uid))
    lab.cluster.apply(lab.target, DeleteService("hello-preview", made.uid))
    assert [one.name for one in lab.observe(extra_services=("hello-preview",)).services] == [
        "hello"
    ]


def test_a_container_inserted_before_ours_is_detected(lab: Lab) -> None:
    stable = lab.stable()
    containers = [
        {"name": "proxy", "image": "kelseyhightower/hello:1.0.0"},
        *stable.template["spec"]["containers"][1:],
    ]
    lab.edit("deployments", "hello", {"spec": {"template": {"spec": {"containers": containers}}}})
    with pytest.raises(PreconditionFailed, match="template"):
        lab.cluster.apply(lab.target, rolling(stable))
    assert lab.stable().template["spec"]["containers"][0]["image"] == "kelseyhightower/hello:1.0.0"
