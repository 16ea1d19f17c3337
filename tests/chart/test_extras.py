"""What an installation may switch on: monitors, a route, the doctor, placement, further objects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.conftest import CATALOG, Render, of_kind, only, pods

pytestmark = pytest.mark.control_plane

TURNED_ON = {"enabled": True, "labels": {"release": "prometheus"}}


def test_there_is_no_monitor_by_default(render: Render) -> None:
    kinds = {one["kind"] for one in render()}
    assert not kinds & {"PodMonitor", "ServiceMonitor", "HTTPRoute", "Job"}


def test_a_pod_monitor_reads_the_metrics_of_bots_and_workers(render: Render) -> None:
    rendered = render(metrics={"podMonitor": TURNED_ON})
    monitor = only(rendered, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    (components,) = monitor["spec"]["selector"]["matchExpressions"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    chosen = [
        name
        for name, pod in pods(rendered).items()
        if pod["metadata"]["labels"][components["key"]] in components["values"]
        and endpoint["port"] in {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    ]
    assert sorted(chosen) == ["pilothouse-bot", "pilothouse-worker"]


def test_a_service_monitor_has_a_service_for_each_component(render: Render) -> None:
    rendered = render(metrics={"serviceMonitor": TURNED_ON})
    (components,) = only(rendered, "ServiceMonitor")["spec"]["selector"]["matchExpressions"]
    services = [
        one
        for one in of_kind(rendered, "Service")
        if one["metadata"]["labels"].get(components["key"]) in components["values"]
    ]
    assert len(services) == 2
    for service in services:
        assert service["spec"]["clusterIP"] == "None"
        selector = service["spec"]["selector"].items()
        (pod,) = [p for p in pods(rendered).values() if selector <= p["metadata"]["labels"].items()]
        ports = {one["name"] for one in pod["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_a_route_leads_to_what_slack_calls_and_nothing_else(render: Render) -> None:
    route = only(render(route={"enabled": True, "parentRefs": [{"name": "public"}]}), "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "Exact", "value": "/slack/events"}}]
    assert rule["backendRefs"] == [{"name": "pilothouse", "port": 80}]


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_the_doctor_has_what_the_workers_have(render: Render, kind: str) -> None:
    rendered = render(doctorJob={"enabled": True})
    found = only(rendered, kind)
    pod = found["spec"]["template"]["spec"] if kind == "Job" else found["spec"]
    worker = pods(rendered)["pilothouse-worker"]["spec"]
    container, of_worker = pod["containers"][0], worker["containers"][0]
    assert container["args"] == ["doctor"]
    own = [one for one in of_worker["env"] if one["name"] != "PILOTHOUSE_METRICS_PORT"]
    assert container["env"] == own
    assert pod["volumes"] == worker["volumes"]
    assert pod["serviceAccountName"] == worker["serviceAccountName"]
    assert container["securityContext"] == of_worker["securityContext"]
    (rule,) = only(rendered, "NetworkPolicy", "-redis")["spec"]["ingress"]
    (allowed,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert found["metadata"]["labels"][allowed["key"]] in allowed["values"]


def _catalog(**apps: dict[str, Any]) -> dict[str, Any]:
    return {
        **CATALOG,
        "clusters": {"here": {"in_cluster": True}, "there": {"kubeconfig": "/etc/there"}},
        "defaults": {"channel": "C0RELEASES", "cluster": "here", "namespace": "shop"},
        "apps": apps,
    }


@pytest.mark.parametrize(
    ("apps", "namespaces"),
    [
        ({"a": {}}, {"shop"}),
        ({"a": {}, "b": {"namespace": "payments"}}, {"shop", "payments"}),
        ({"a": {}, "b": {"namespace": "payments", "cluster": "there"}}, {"shop"}),
        ({"b": {"namespace": "payments", "clusters": ["there", "here"]}}, {"payments"}),
        ({"a": {"cluster": "there"}}, set()),
    ],
)
def test_the_workers_roles_are_where_the_catalog_has_apps_of_this_cluster(
    render: Render, apps: dict[str, Any], namespaces: set[str]
) -> None:
    rendered = render(catalog=_catalog(**apps), files={})
    assert {one["metadata"]["namespace"] for one in of_kind(rendered, "Role")} == namespaces


WATCHES = [
    ({"namespaces": ["shop", "tools"]}, {"shop", "tools"}, False),
    ({"namespaces": ["tools", "shop-*"]}, {"tools"}, True),
    ({"namespaces": ["tools", "shop-*"], "clusters": ["there"]}, set(), False),
    ({}, set(), False),
]


@pytest.mark.parametrize(("watch", "namespaces", "everywhere"), WATCHES)
def test_what_is_only_watched_is_only_read(
    render: Render, watch: dict[str, Any], namespaces: set[str], everywhere: bool
) -> None:
    catalog = {**_catalog(a={}), "watch": {**watch, "channel": "C0RELEASES"}}
    rendered = render(catalog=catalog, files={})
    ours = [
        one
        for kind in ("Role", "ClusterRole")
        for one in of_kind(rendered, kind)
        if one["metadata"]["name"].endswith("-watch")
    ]
    verbs = {verb for one in ours for rule in one["rules"] for verb in rule["verbs"]}
    assert verbs <= {"get", "list", "watch"}
    assert {one["metadata"].get("namespace") for one in ours} - {None} == namespaces
    assert any(one["kind"] == "ClusterRole" for one in ours) is everywhere


def test_each_component_may_have_a_place_of_its_own(render: Render) -> None:
    rendered = render(
        nodeSelector={"pool": "all"},
        worker={"nodeSelector": {"pool": "workers"}, "priorityClassName": "high"},
        redis={"nodeSelector": {"pool": "disks"}},
    )
    places = {name: pod["spec"]["nodeSelector"]["pool"] for name, pod in pods(rendered).items()}
    assert places == {
        "pilothouse-bot": "all",
        "pilothouse-worker": "workers",
        "pilothouse-redis": "disks",
    }
    assert pods(rendered)["pilothouse-worker"]["spec"]["priorityClassName"] == "high"


def test_further_objects_and_labels_are_rendered(render: Render) -> None:
    further = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "further"}}
    rendered = render(extraObjects=[further], labels={"team": "platform"})
    assert only(rendered, "ConfigMap", "further") == further
    assert all(
        one["metadata"]["labels"]["team"] == "platform" for one in rendered if one != further
    )
