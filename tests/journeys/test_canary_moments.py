"""Eventful canaries: several people, bad pods, restarts, autoscalers, and leftovers of earlier
work."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections import defaultdict
from typing import Any

import httpx
import pytest
from kubernetes import client

from tests.faults.stage import as_started, start_again
from tests.journeys.conftest import DEVELOPER, MANAGER, ON_CALL, VIEWER, Ground, Journey, objects_of
from tests.journeys.endpoints import newest, ready_versions, sees_privately
from tests.journeys.observer import observed
from tests.journeys.test_canary import WAITS_FOR_PEOPLE

pytestmark = pytest.mark.slow

_numbers: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
HOLDING = r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding"


def an_app(ground: Ground, kind: str, replicas: int = 3) -> Journey:
    """The next app of a kind of the catalog, with its pods ready."""
    return ground.running(f"{kind}{next(_numbers[kind])}", replicas)


def candidates(journey: Journey) -> list[Any]:
    pods: list[Any] = journey.core.list_namespaced_pod(
        "default", label_selector=f"app={journey.app},track=canary"
    ).items
    return [pod for pod in pods if pod.metadata.deletion_timestamp is None]


def is_evicted(journey: Journey, pod: str) -> bool:
    """Whether a drain may take this pod; a budget that is used up says no for now."""
    try:
        journey.core.create_namespaced_pod_eviction(
            pod, "default", {"metadata": {"name": pod, "namespace": "default"}}
        )
    except client.ApiException as refusal:
        if refusal.status != 429:
            raise
        return False
    return True


def is_as_found(journey: Journey, found: tuple[Any, Any]) -> None:
    assert not journey.exists(f"{journey.app}-canary")
    assert journey.as_found() == found


# --- approvals ------------------------------------------------------------------------------------


def test_a_quorum_of_two_needs_two_different_approvers(
    ground: Ground,
) -> None:
    journey = an_app(ground, "quorum")
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    before = newest(journey, VIEWER)
    journey.click("Promote", user=VIEWER)
    sees_privately(journey, "Approving needs the approver role.", VIEWER, before)
    journey.click("Promote", user=MANAGER)
    journey.sees(r"1 of 2 approved, until")
    before = newest(journey, MANAGER)
    journey.click("Promote", user=MANAGER)
    sees_privately(journey, "You have already approved this", MANAGER, before)
    assert journey.deployment().spec.template.spec.containers[0].image.endswith(":1.0.0")
    journey.click("Promote", user=ON_CALL)
    journey.sees(r"{app} is on 2\.0\.0")


def test_two_promotions_at_once_promote_once(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    together = threading.Barrier(2)

    def promote(person: str) -> None:
        together.wait()
        journey.say("/rollout promote {app}", user=person)

    people = [threading.Thread(target=promote, args=(person,)) for person in (MANAGER, ON_CALL)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    journey.sees(r"{app} is on 2\.0\.0")
    patches = [
        write
        for write in journey.writes()
        if write["verb"] == "patch" and write["name"] == journey.app
    ]
    assert len(patches) == 3, "the claim, the template, the letting go"


def test_an_expired_approval_follows_the_default_of_the_catalog(
    ground: Ground,
) -> None:
    journey = an_app(ground, "brief")
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(r"expired")
    assert "nobody approved within" in journey.sees(r"{app} is back on 1\.0\.0, expired")
    is_as_found(journey, found)


def test_a_scale_before_the_start_replans_and_voids_the_old_button(
    ground: Ground,
) -> None:
    journey = an_app(ground, "gated")
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(r"waiting for approval to start")
    journey.deployments.patch_namespaced_deployment_scale(
        journey.app, "default", {"spec": {"replicas": 4}}
    )
    journey.sees(r"changed outside this release")
    journey.click("Adopt", user=DEVELOPER)
    journey.click("Approve start", user=MANAGER)
    journey.until(
        lambda: ready_versions(journey) == {"1.0.0": 4, "2.0.0": 4}, "the steps of the new plan"
    )
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    assert journey.deployment().spec.replicas == 4, "what somebody else scaled is as found"


# --- judging --------------------------------------------------------------------------------------


def test_healthy_candidates_reach_the_next_step_after_their_hold(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=20,50 hold=1s")
    journey.sees(
        r"good, no restart and no readiness change of \d candidate pods? and 5 stable pods in"
    )
    journey.sees(WAITS_FOR_PEOPLE)
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


def test_candidates_moved_during_their_hold_need_a_person_to_decide(
    journey: Journey,
) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=20 hold=3s")
    journey.sees(HOLDING)
    (moved,) = candidates(journey)
    journey.core.delete_namespaced_pod(moved.metadata.name, "default", grace_period_seconds=0)
    journey.sees(
        r"[Tt]oo little to say whether it is good: no candidate pod was ready for the whole \d+ s"
    )
    assert journey.deployment().spec.template.spec.containers[0].image.endswith(":1.0.0")
    journey.click("Resume", user=DEVELOPER)
    journey.sees(WAITS_FOR_PEOPLE)
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")


@pytest.mark.usefixtures("only_simulated")  # KWOK writes a pod's readiness itself
def test_a_candidate_that_lost_readiness_fails_the_comparison_with_its_figures(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=20 hold=4s")
    journey.sees(HOLDING)
    (pod,) = candidates(journey)
    path = f"{journey.api.configuration.host}/_sandbox/pods/default/{pod.metadata.name}"
    httpx.put(path, json={"ready": False}).raise_for_status()
    told = journey.sees(r"[Tt]he candidate looks worse")
    assert (
        "1 readiness change of 1 candidate pod against 0 restarts and 0 readiness changes of 5"
        " stable pods" in told
    )
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    is_as_found(journey, found)


def test_a_failed_canary_is_scaled_to_zero_and_waits_where_the_catalog_asks(
    ground: Ground,
) -> None:
    journey = an_app(ground, "asking")
    found = journey.as_found()
    one, *_ = journey.core.list_namespaced_pod("default", label_selector=f"app={journey.app}").items
    budget = {
        "metadata": {"name": journey.app},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": journey.app}}},
    }
    client.PolicyV1Api(journey.api).create_namespaced_pod_disruption_budget("default", budget)
    journey.say("/deploy {app} missing canary steps=50")
    journey.sees(r"cannot be pulled: not found")
    journey.until(
        lambda: journey.deployment(f"{journey.app}-canary").spec.replicas == 0,
        "a canary without pods",
    )
    journey.sees(r"canary.*paused; needs a decision")
    journey.until(
        lambda: is_evicted(journey, one.metadata.name),
        "a drain that the shared budget lets through",
    )
    journey.click("Abort", user=DEVELOPER)
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    is_as_found(journey, found)


# --- the promotion, and ways out of it ------------------------------------------------------------


def test_candidates_serve_until_stable_is_fully_updated(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    with observed(journey) as seen:
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
    counts = [sum(count for _, count in state.versions) for state in seen.states]
    assert min(counts) >= 5, f"never fewer than before the release: {seen}"
    assert seen.states[-1].versions == (("2.0.0", 5),)


def test_an_abort_during_promotion_leaves_everything_as_found(
    journey: Journey,
) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    with observed(journey) as seen:
        journey.say("/rollout promote {app}", user=MANAGER)
        journey.until(
            lambda: journey.deployment().spec.template.spec.containers[0].image.endswith(":2.0.0"),
            "stable on its way",
        )
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
    seen.was_never_empty()
    is_as_found(journey, found)


def restart_everything(journey: Journey) -> None:
    """Bot, worker and Redis die at once, as with the power, and come back."""
    sandbox = journey.sandbox
    parts = [sandbox.part(name) for name in ("bot", "worker")]
    started = [as_started(part) for part in parts]
    for part in parts:
        os.kill(part.process.pid, signal.SIGKILL)
    sandbox.redis.kill()
    for part in parts:
        part.process.wait()
    sandbox.redis.restart()
    for part, (words, environment) in zip(parts, started, strict=True):
        part.process = start_again(words, environment, part.log)

    def answers() -> bool:
        try:
            return httpx.get(f"{sandbox.bot_url}/readyz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    journey.until(answers, "the bot again")


@pytest.mark.parametrize("by", ["button", "command"])
def test_promote_and_abort_work_after_every_process_died(journey: Journey, by: str) -> None:
    found = journey.as_found()
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(HOLDING)
    restart_everything(journey)
    if by == "button":
        journey.click("Continue now", user=MANAGER)
        journey.sees(WAITS_FOR_PEOPLE)
        restart_everything(journey)
        journey.click("Promote", user=MANAGER)
        journey.sees(r"{app} is on 2\.0\.0")
        assert journey.versions() == {"2.0.0": 5}
    else:
        journey.say("/rollout abort {app}")
        journey.sees(r"{app} is back on 1\.0\.0, aborted")
        is_as_found(journey, found)


# --- leftovers ------------------------------------------------------------------------------------


def begin_by_hand(journey: Journey, version: str) -> None:
    """As the lab's hello-canary.yaml: the same app label, `track: canary`, and a version of its
    own."""
    own = {"app": journey.app, "track": "canary"}
    pods = {
        "metadata": {"labels": {**own, "version": version}},
        "spec": objects_of(journey.app, 1)[0]["spec"]["template"]["spec"],
    }
    pods["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:{version}"
    body = {
        "metadata": {"name": f"{journey.app}-canary"},
        "spec": {"replicas": 1, "selector": {"matchLabels": own}, "template": pods},
    }
    journey.deployments.create_namespaced_deployment("default", body)
    journey.until(
        lambda: journey.deployment(f"{journey.app}-canary").status.available_replicas == 1,
        "the canary made by hand",
    )


def test_a_canary_begun_by_hand_is_adopted_and_aborted(journey: Journey) -> None:
    begin_by_hand(journey, "2.0.0")
    found, uid = journey.as_found(), journey.deployment(f"{journey.app}-canary").metadata.uid
    journey.say("/deploy {app} 2.0.0 canary steps=20 hold=10m")
    journey.click("Continue", user=DEVELOPER)
    journey.sees(HOLDING)
    assert journey.deployment(f"{journey.app}-canary").metadata.uid == uid, "adopted, not made anew"
    journey.click("Abort", user=DEVELOPER)
    journey.sees(r"{app} is back on 1\.0\.0, aborted")
    is_as_found(journey, found)


def test_undo_never_chooses_a_replica_set_left_by_an_orphaning_delete(
    journey: Journey,
) -> None:
    begin_by_hand(journey, "9.9.9")
    journey.deployments.delete_namespaced_deployment(
        f"{journey.app}-canary", "default", propagation_policy="Orphan"
    )

    def is_adopted() -> bool:
        sets = journey.deployments.list_namespaced_replica_set(
            "default", label_selector=f"app={journey.app},track=canary"
        ).items
        return any(
            owner.name == journey.app
            for one in sets
            for owner in one.metadata.owner_references or ()
        )

    journey.until(is_adopted, "the ReplicaSet taken in by stable")
    journey.until(lambda: journey.versions() == {"1.0.0": 5}, "its pods gone")
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=0s")
    journey.sees(WAITS_FOR_PEOPLE)
    journey.sees(r"belonged to an earlier canary: undo never chooses it")
    journey.click("Promote", user=MANAGER)
    journey.sees(r"{app} is on 2\.0\.0")
    journey.say("/rollout undo {app}")
    journey.sees(r"{app} is on 1\.0\.0")


# --- autoscalers ----------------------------------------------------------------------------------


def autoscale(journey: Journey, name: str, most: int) -> None:
    cpu = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": journey.app}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": most, "metrics": [cpu]}
    client.AutoscalingV2Api(journey.api).create_namespaced_horizontal_pod_autoscaler(
        "default", {"metadata": {"name": name}, "spec": spec}
    )


def test_two_autoscalers_and_one_without_room_are_refused_by_name(
    journey: Journey,
) -> None:
    autoscale(journey, f"{journey.app}-hpa", 5)
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(r"{app} has 5 pods, as many as HorizontalPodAutoscaler {app}-hpa allows")
    autoscale(journey, f"{journey.app}-other", 9)
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(
        r"Several HorizontalPodAutoscalers scale {app}: {app}-hpa, {app}-other. Keep one of them"
    )
    assert journey.untouched()
    for name in (f"{journey.app}-hpa", f"{journey.app}-other"):
        client.AutoscalingV2Api(journey.api).delete_namespaced_horizontal_pod_autoscaler(
            name, "default"
        )


def test_candidates_follow_an_autoscaler_that_shrinks_stable(journey: Journey) -> None:
    name = f"{journey.app}-hpa"
    autoscale(journey, name, 20)
    journey.say("/deploy {app} 2.0.0 canary steps=50 hold=10m")
    journey.sees(HOLDING)
    assert ready_versions(journey) == {"1.0.0": 5, "2.0.0": 5}
    api = client.AutoscalingV2Api(journey.api)
    api.patch_namespaced_horizontal_pod_autoscaler(name, "default", {"spec": {"maxReplicas": 3}})
    journey.until(
        lambda: ready_versions(journey) == {"1.0.0": 3, "2.0.0": 3},
        "the share that was asked for",
        within=60,
    )
    journey.say("/rollout abort {app}")
    # The autoscaler looks now and then: the way back may be over before it takes the raise back.
    took = f"HorizontalPodAutoscaler {name} took {{app}} back to 3 pods; 5 are needed"
    back = r"{app} is back on 1\.0\.0, aborted"
    if f"took {journey.app} back" in journey.sees(rf"{took}|{back}"):
        journey.say("/rollout abort {app}")
        journey.sees(back)
    api.delete_namespaced_horizontal_pod_autoscaler(name, "default")
