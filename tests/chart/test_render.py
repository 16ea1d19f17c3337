from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config.catalog import load_catalog
from config.settings import VARIABLES, read_settings
from sandbox.control_plane.binaries import kubernetes_version
from sandbox.redis_server import chart_rules
from tests.chart.conftest import (
    CATALOG,
    CHART,
    HelmRefused,
    Render,
    Rendered,
    environment,
    of_kind,
    only,
    pods,
    relocated,
)

pytestmark = pytest.mark.control_plane

WAYS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "socket mode": {"slack": {"socketMode": True}},
    "prefixed commands": {"slack": {"commands": "deploy,pods", "prefix": "ph-"}},
    "ingress": {
        "ingress": {
            "enabled": True,
            "host": "pilothouse.example.com",
            "className": "nginx",
            "tlsSecret": "tls",
        }
    },
    "external redis": {"redis": {"bundled": False, "existingSecret": "redis"}},
    "external redis with two users": {
        "redis": {
            "bundled": False,
            "existingSecret": "redis",
            "keys": {"botUrl": "bot-url", "workerUrl": "worker-url"},
        }
    },
    "own keys of the passwords": {
        "redis": {"keys": {"botPassword": "bot", "workerPassword": "worker"}}
    },
    "redis without a volume": {"redis": {"persistence": {"enabled": False}}},
    "cluster wide": {"rbac": {"clusterWide": True}},
    "two namespaces": {"rbac": {"namespaces": ["shop", "payments"]}},
    "own service account": {
        "serviceAccount": {"create": False, "name": "deployer"},
        "rbac": {"create": False},
    },
    "own catalog": {"existingCatalogConfigMap": "catalog", "catalog": {}},
    "placed": {
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "high",
        "affinity": {"nodeAffinity": {}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "platform"},
        "image": {"pullSecrets": ["registry"], "digest": "sha256:" + "0" * 64},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com"}],
        "extraVolumes": [{"name": "clusters", "secret": {"secretName": "clusters"}}],
        "extraVolumeMounts": [{"name": "clusters", "mountPath": "/etc/clusters"}],
    },
    "gated": {"gate": {"enabled": True}},
    "with machines": {
        "api": {"enabled": True, "existingSecret": "tokens"},
        "catalog": {**CATALOG, "api": {"port": 3001}},
    },
    "closed in": {
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
        "service": {"annotations": {"a": "b"}},
    },
    "open": {
        "networkPolicy": {"enabled": False},
        "bot": {"podDisruptionBudget": {"enabled": False}},
    },
}


def test_helm_finds_nothing_to_complain_about(
    helm: Callable[..., str], values_file: Callable[[dict[str, Any]], str]
) -> None:
    values = values_file({"redis": {"existingSecret": "redis-users"}})
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--values", values)


@pytest.mark.parametrize("way", WAYS)
def test_every_object_has_the_shape_that_kubernetes_asks_for(render: Render, way: str) -> None:
    rendered = render(**WAYS[way])
    minor = ".".join(kubernetes_version().split(".")[:2])
    for one in rendered:
        kubernetes_validate.validate(one, minor, strict=True)
    names = [
        (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("way", WAYS)
def test_every_pod_meets_the_restricted_security_standard(render: Render, way: str) -> None:
    for name, pod in pods(render(**WAYS[way])).items():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert container["readinessProbe"]
            assert container["livenessProbe"]


def test_the_catalog_is_one_that_the_product_reads(render: Render, tmp_path: Path) -> None:
    rendered = render()
    data = only(rendered, "ConfigMap")["data"]
    (volume,) = [
        one
        for one in pods(rendered)["pilothouse-bot"]["spec"]["volumes"]
        if one["name"] == "catalog"
    ]
    for item in volume["configMap"]["items"]:
        target = tmp_path / item["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(data[item["key"]])
    assert "hello" in load_catalog(tmp_path / "catalog.yaml").apps


@pytest.mark.parametrize(
    "way",
    ["as it comes", "socket mode", "prefixed commands", "external redis"],
)
@pytest.mark.parametrize("process", ["bot", "worker"])
def test_the_environment_is_complete_for_the_process_it_starts(
    render: Render, tmp_path: Path, way: str, process: str
) -> None:
    pod = pods(render(**WAYS[way]))[f"pilothouse-{process}"]
    container = pod["spec"]["containers"][0]
    assert container["args"][0] == process
    assert set(environment(pod)) <= set(VARIABLES)
    given = relocated(pod, tmp_path, redis_url="redis://:secret@redis:6379/0", password="pa55word")
    settings = read_settings(given, "bot" if process == "bot" else "worker")
    assert settings.host == "0.0.0.0"
    assert settings.uses_socket_mode == (process == "bot" and way == "socket mode")
    port = settings.port if process == "bot" else settings.metrics_port
    assert port == container["ports"][0]["containerPort"]


def test_every_object_names_its_namespace(
    render: Render,
) -> None:
    for one in render(rbac={"namespaces": ["shop", "payments"]}, **WAYS["ingress"]):
        expected = {"Role": {"shop", "payments"}, "RoleBinding": {"shop", "payments"}}.get(
            one["kind"], {"deploy"}
        )
        if not one["kind"].startswith("ClusterRole"):
            assert one["metadata"].get("namespace") in expected, one["kind"]


def test_no_secret_is_rendered(render: Render) -> None:
    for way in WAYS.values():
        rendered = render(**way)
        assert of_kind(rendered, "Secret") == []
        for pod in pods(rendered).values():
            for variable in pod["spec"]["containers"][0].get("env", []):
                assert "TOKEN" not in variable["name"] or variable["name"].endswith("_FILE")


def test_services_and_policies_and_budgets_select_the_pods_they_are_meant_for(
    render: Render,
) -> None:
    rendered = render()
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(rendered).items()}

    def chosen(selector: dict[str, str]) -> list[str]:
        return sorted(name for name, found in labels.items() if selector.items() <= found.items())

    assert chosen(only(rendered, "Service", "pilothouse")["spec"]["selector"]) == ["pilothouse-bot"]
    assert chosen(only(rendered, "Service", "-redis")["spec"]["selector"]) == ["pilothouse-redis"]
    for kind, field in product(
        ("PodDisruptionBudget", "NetworkPolicy"), ("selector", "podSelector")
    ):
        for one in of_kind(rendered, kind):
            if field in one["spec"]:
                assert chosen(one["spec"][field]["matchLabels"]) == [one["metadata"]["name"]]


def _egress(rendered: Rendered, component: str) -> list[tuple[set[int], bool]]:
    """The ports of each rule, and whether it names whom they may be of."""
    spec = only(rendered, "NetworkPolicy", f"-{component}")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    return [({one["port"] for one in rule["ports"]}, "to" in rule) for rule in spec["egress"]]


def test_bot_and_workers_reach_what_they_need_and_nothing_else(render: Render) -> None:
    rendered = render()
    of_bot = [({53}, False), ({6379}, True), ({443}, False)]
    assert _egress(rendered, "bot") == of_bot
    assert _egress(rendered, "worker") == [*of_bot, ({443, 6443}, False)]
    redis = only(rendered, "NetworkPolicy", "-bot")["spec"]["egress"][1]["to"]
    labels = pods(rendered)["pilothouse-redis"]["metadata"]["labels"]
    assert redis[0]["podSelector"]["matchLabels"].items() <= labels.items()


def test_what_else_they_reach_is_named_in_the_values(render: Render) -> None:
    proxy = {"ports": [{"port": 3128}], "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}]}
    egress = {"workerRules": [proxy], "dnsPorts": [5353], "apiServerPorts": [16443]}
    rendered = render(networkPolicy={"egress": egress}, **WAYS["external redis"])
    of_bot = [({5353}, False), ({6379, 6380, 26379}, False), ({443}, False)]
    assert _egress(rendered, "bot") == of_bot
    assert _egress(rendered, "worker") == [*of_bot, ({16443}, False), ({3128}, True)]


def test_egress_can_be_left_open(render: Render) -> None:
    for component in ("bot", "worker"):
        spec = only(
            render(networkPolicy={"egress": {"enabled": False}}), "NetworkPolicy", f"-{component}"
        )["spec"]
        assert spec["policyTypes"] == ["Ingress"] and "egress" not in spec


def test_redis_keeps_every_acknowledged_write_and_forgets_nothing_for_want_of_memory(
    render: Render,
) -> None:
    command = only(render(), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert "--appendonly yes" in command
    assert "--appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("user", ["bot", "worker"])
def test_each_process_has_the_password_of_its_own_user_alone(render: Render, user: str) -> None:
    pod = pods(render())[f"pilothouse-{user}"]
    assert environment(pod)["REDIS_URL"] == f"redis://{user}@pilothouse-redis:6379/0"
    (items,) = [
        volume["secret"]["items"] for volume in pod["spec"]["volumes"] if volume["name"] == "redis"
    ]
    assert items == [{"key": f"{user}-password", "path": "password"}]


@pytest.mark.parametrize("user", ["bot", "worker"])
def test_the_users_of_redis_have_the_rules_of_their_files(render: Render, user: str) -> None:
    rules = environment(pods(render())["pilothouse-redis"])[f"{user.upper()}_RULES"]
    assert tuple(rules.split()) == chart_rules(user)


def test_with_an_external_redis_nothing_of_the_bundled_one_is_left(render: Render) -> None:
    rendered = render(**WAYS["external redis"])
    assert [one["kind"] for one in rendered if one["metadata"]["name"].endswith("-redis")] == []


def test_a_changed_catalog_restarts_no_pod(render: Render) -> None:
    changed = {**CATALOG, "apps": {"other": {"namespace": "shop"}}}
    assert pods(render(files={})) == pods(render(catalog=changed, files={}))


API = {"enabled": True, "existingSecret": "tokens", "from": [{"podSelector": {}}]}


def test_the_door_for_machines_is_closed_until_it_is_opened(render: Render) -> None:
    closed = render()
    assert of_kind(closed, "Service", "-api") == []
    assert "api" not in str(pods(closed)["pilothouse-bot"]["spec"]["containers"][0]["ports"])
    values = {**CATALOG, "api": {"port": 3001}}
    opened = render(api=API, catalog=values)
    (port,) = only(opened, "Service", "-api")["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (80, "api")
    bot = pods(opened)["pilothouse-bot"]["spec"]
    assert {"name": "api", "containerPort": 3001} in bot["containers"][0]["ports"]
    (volume,) = [one for one in bot["volumes"] if one["name"] == "api"]
    assert volume["secret"]["secretName"] == "tokens"
    assert "tokens" not in str(pods(opened)["pilothouse-worker"])
    ingress = only(opened, "NetworkPolicy", "-bot")["spec"]["ingress"]
    assert {"ports": [{"port": "api"}], "from": [{"podSelector": {}}]} in ingress


def test_only_what_slack_calls_is_reachable_from_outside(render: Render) -> None:
    (rule,) = only(render(**WAYS["ingress"]), "Ingress")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/slack/events"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"catalog": {}}, "catalog is empty"),
        ({"catalog": {**CATALOG, "apps": {"hello": {"stratgy": "canary"}}}}, "stratgy"),
        ({"catalog": {**CATALOG, "apps": {"hello": {"canary": {"hold": 2}}}}}, "hold"),
        ({"bot": {"replcas": 3}}, "replcas"),
        ({"api": {"enabled": True}}, "api.existingSecret is empty"),
        ({"api": {"enabled": True, "existingSecret": "tokens"}}, "set both to the same"),
        ({"redis": {"bundled": False, "existingSecret": ""}}, "existingSecret"),
        ({"redis": {"existingSecret": ""}}, "create a Secret with the keys bot-password"),
        ({"ingress": {"enabled": True}}, "host"),
        ({"worker": {"processes": 0}}, "processes"),
        ({"files": {"../out.yaml": "x"}}, "../out.yaml"),
        ({"image": {"digest": "latest"}}, "digest"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(
    render: Render, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(HelmRefused, match=re.escape(told)):
        render(**values)


def test_the_example_of_the_chart_s_page_renders(helm: Callable[..., str], tmp_path: Path) -> None:
    page = (CHART / "README.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    values = tmp_path / "values.yaml"
    values.write_text(example)
    rendered = [
        one
        for one in yaml.safe_load_all(
            helm(
                *("template", "p", str(CHART), "--values", str(values)),
                *("--set", "redis.existingSecret=redis-users"),
            )
        )
        if one
    ]
    namespaces = {one["metadata"]["namespace"] for one in of_kind(rendered, "Role")}
    assert namespaces == {"shop", "payments"}
    (tmp_path / "catalog.yaml").write_text(only(rendered, "ConfigMap")["data"]["catalog.yaml"])
    assert "hello" in load_catalog(tmp_path / "catalog.yaml").apps
