"""Blue/green of unusual apps: two Services, an autoscaler, pairs made by hand; and apps that it
refuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from kubernetes import client

from tests.journeys.conftest import DEVELOPER, MANAGER, Journey, objects_of
from tests.journeys.endpoints import ready_versions
from tests.journeys.observer import observed
from tests.journeys.test_bluegreen import IN_THE_WINDOW, WAITS_FOR_SWITCH

_twos = itertools.count(1)
Json = dict[str, Any]


def app_of_two_services(journey: Journey) -> Journey:
    """3 pods behind a public Service of two ports and a headless internal one."""
    two = replace(journey, app=f"two{next(_twos)}")
    deployment, public = objects_of(two.app, 3)
    deployment["spec"]["template"]["metadata"]["labels"]["tier"] = "web"
    public["spec"]["ports"].append({"name": "metrics", "port": 9090, "targetPort": 9090})
    internal = {
        "metadata": {"name": f"{two.app}-internal"},
        "spec": {**public["spec"], "selector": {"app": two.app, "tier": "web"}},
    }
    internal["spec"]["clusterIP"] = "None"
    two.deployments.create_namespaced_deployment("default", deployment)
    for service in (public, internal):
        two.core.create_namespaced_service("default", service)
    two.until(lambda: two.deployment().status.available_replicas == 3, "the pods")
    return two


@pytest.mark.slow
def test_two_services_switch_in_order_and_both_roll_back(journey: Journey) -> None:
    two = app_of_two_services(journey)
    with observed(two) as outside, observed(two, f"{two.app}-internal") as inside:
        two.say("/deploy {app} 2.0.0 bluegreen")
        two.sees(WAITS_FOR_SWITCH)
        preview = two.core.read_namespaced_service(f"{two.app}-preview", "default").spec
        assert preview.selector == {"app": f"{two.app}-green"}
        assert [port.port for port in preview.ports] == [80, 9090]
        two.click("Switch", user=MANAGER)
        two.sees(IN_THE_WINDOW)
        two.click("Roll back", user=DEVELOPER)
        two.sees(r"{app} is back on 1\.0\.0, rolled back")
    assert not any(
        service.metadata.name == f"{two.app}-preview"
        for service in two.core.list_namespaced_service("default").items
    )
    for seen in (outside, inside):
        seen.was_never_empty()
        seen.only("1.0.0", since=None, until=seen.selected(1))
        seen.only("2.0.0", since=seen.selected(1), until=seen.selected(2))
        assert seen.selected(2).selector == seen.selected(0).selector
    assert inside.selected(1).selector == {"app": f"{two.app}-green", "tier": "web"}
    assert outside.selected(1).revision < inside.selected(1).revision, "in the catalog's order"
    assert outside.selected(2).revision < inside.selected(2).revision


@pytest.mark.slow
def test_green_follows_the_autoscaler_of_blue_until_the_switch_and_never_shrinks(
    journey: Journey,
) -> None:
    reference = client.V2CrossVersionObjectReference(
        api_version="apps/v1", kind="Deployment", name=journey.app
    )
    spec = client.V2HorizontalPodAutoscalerSpec(
        min_replicas=2, max_replicas=9, scale_target_ref=reference
    )
    autoscaler = client.V2HorizontalPodAutoscaler(
        metadata=client.V1ObjectMeta(name=journey.app), spec=spec
    )
    client.AutoscalingV2Api(journey.api).create_namespaced_horizontal_pod_autoscaler(
        "default", autoscaler
    )
    green = f"{journey.app}-green"

    def scale(replicas: int) -> None:
        """As the autoscaler's controller does it."""
        journey.deployments.patch_namespaced_deployment_scale(
            journey.app,
            "default",
            {"spec": {"replicas": replicas}},
            field_manager="kube-controller-manager",
        )

    journey.say("/deploy {app} 2.0.0 bluegreen")
    journey.sees(WAITS_FOR_SWITCH)
    scale(7)
    journey.until(
        lambda: journey.deployment(green).spec.replicas == 7, "green as large as blue has become"
    )
    journey.click("Switch", user=MANAGER)
    journey.until(
        lambda: ready_versions(journey) == {"2.0.0": 7}, "all seven of green behind the Service"
    )
    journey.sees(IN_THE_WINDOW)
    scale(2)
    journey.until(
        lambda: journey.versions() == {"1.0.0": 2, "2.0.0": 7},
        "blue shrunk, since nobody asks it any more",
    )
    assert journey.deployment(green).spec.replicas == 7
    assert ready_versions(journey) == {"2.0.0": 7}
    journey.say("/rollout abort {app}")
    journey.sees(r"{app} is back on 1\.0\.0")
    assert ready_versions(journey) == {"1.0.0": 7}, "blue is raised before it takes over"


@pytest.mark.slow
def test_a_pair_switches_by_its_version_label_and_keeps_the_rest(
    journey: Journey,
) -> None:
    """The Service's selector holds the version; green was made by hand with another version, which
    its own selector holds too."""
    labels = {"app": journey.app, "track": "stable", "version": "1.0.0"}
    template = {"spec": {"template": {"metadata": {"labels": labels}}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", template)
    journey.core.patch_namespaced_service(
        journey.app, "default", {"spec": {"selector": {"version": "1.0.0"}}}
    )
    green, _ = objects_of(journey.app, 3)
    newer = {**labels, "version": "2.0.0"}
    green["metadata"] = {"name": f"{journey.app}-green"}
    green["spec"]["selector"] = {"matchLabels": {"app": journey.app, "version": "2.0.0"}}
    green["spec"]["template"]["metadata"]["labels"] = newer
    green["spec"]["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{journey.app}:2.0.0"
    green["spec"]["replicas"] = 5
    journey.deployments.create_namespaced_deployment("default", green)
    journey.until(
        lambda: journey.deployment(f"{journey.app}-green").status.available_replicas == 5,
        "the pods of green",
    )
    journey.until(
        lambda: ready_versions(journey) == {"1.0.0": 5} and _is_complete(journey),
        "blue complete and alone behind the Service",
    )
    found = journey.as_found()
    with observed(journey) as seen:
        journey.say("/deploy {app} 2.0.0 bluegreen")
        journey.click("Continue", user=DEVELOPER)  # green is adopted
        journey.click("Switch", user=MANAGER)
        journey.sees(IN_THE_WINDOW)
        journey.click("Roll back", user=DEVELOPER)
        journey.sees(r"{app} is back on 1\.0\.0, rolled back")
    seen.was_never_empty()
    seen.only("2.0.0", since=seen.selected(1), until=seen.selected(2))
    assert seen.selected(1).selector == {"app": journey.app, "version": "2.0.0"}
    assert journey.as_found() == found
    assert journey.deployment(f"{journey.app}-green").spec.replicas == 5


def _is_complete(journey: Journey) -> bool:
    status = journey.deployment().status
    return bool(status.updated_replicas == status.replicas == status.available_replicas == 5)


# --- refusals -------------------------------------------------------------------------------------


def _recreate(journey: Journey) -> None:
    strategy = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    journey.deployments.patch_namespaced_deployment(journey.app, "default", strategy)


def _no_selector(journey: Journey) -> None:
    journey.core.patch_namespaced_service(journey.app, "default", {"spec": {"selector": None}})


def _another_apps_pods(journey: Journey) -> None:
    other, _ = objects_of(journey.app, 1)
    other["metadata"] = {"name": f"{journey.app}-worker"}
    labels = {"app": journey.app, "part": "worker"}
    other["spec"] |= {"selector": {"matchLabels": labels}}
    other["spec"]["template"]["metadata"]["labels"] = labels
    journey.deployments.create_namespaced_deployment("default", other)


def _a_roll_in_the_middle(journey: Journey) -> None:
    image = {"name": "hello", "image": f"pilothouse/{journey.app}:missing"}
    journey.deployments.patch_namespaced_deployment(
        journey.app, "default", {"spec": {"template": {"spec": {"containers": [image]}}}}
    )
    journey.until(
        lambda: (journey.deployment().status.unavailable_replicas or 0) > 0,
        "a pod that cannot start",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (
            _recreate,
            r"{app} has the strategy Recreate, so its pods must not run twice",
        ),
        (_no_selector, r"Service {app} has no selector, so there is nothing to switch"),
        (
            _another_apps_pods,
            r"Service {app} also selects pods of Deployment {app}-worker\. Narrow its selector",
        ),
        (_a_roll_in_the_middle, r"{app} is half-rolled \(\d of 5 available, \d updated\)"),
    ],
)
def test_unsupported_apps_are_refused_in_one_line(
    journey: Journey, spoil: Callable[[Journey], None], line: str
) -> None:
    spoil(journey)
    journey.say("/deploy {app} 2.0.0 bluegreen")
    told = journey.sees(line)
    assert "Traceback" not in told
    assert journey.untouched()
    assert not journey.exists(f"{journey.app}-green")
