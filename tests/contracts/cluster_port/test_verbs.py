"""Which verbs the adapter sends, recorded by the simulated cluster while every method of it is
called: no more and no fewer than what the chart grants and the doctor asks about."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.permissions import NEEDED
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
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, ServiceSeen
from bot.releases.facts.plan import Probe
from bot.releases.facts.target import Target
from sandbox.cluster import SimulatedCluster
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import an_autoscaler, candidate_of, deployment, service

AGENT = "pilothouse"
TARGET = Target("hello", "local", "default", "hello", "hello", ("hello",))
CLAIM = FieldChange(Field.CLAIM, "", "hello-1")
OF_THE_WHOLE_CLUSTER = {
    ("get", "", "namespaces"),
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
}
OF_RBAC_APPLY = {(verb, "", "configmaps") for verb in ("get", "create", "patch")}
"""As `rbac.apply` grants them; the test applies a ConfigMap."""
OF_WATCH = {("list", "", "namespaces")}
"""As the chart grants it where `watch` names namespaces by a pattern."""
OPENS_NOTHING = {"prepare", "server_time"}


@dataclass(frozen=True)
class Watched:
    """The adapter beside an app that the cluster was given, not the adapter."""

    simulation: SimulatedCluster
    cluster: KubernetesCluster

    def stable(self) -> DeploymentSeen:
        stable = self.cluster.observe(TARGET, candidate="").stable
        assert stable is not None
        return stable

    def service(self, name: str = "hello") -> ServiceSeen:
        seen = self.cluster.observe(TARGET, candidate="", extra_services=(name,))
        return next(one for one in seen.services if one.name == name)

    def autoscaler(self) -> AutoscalerSeen:
        scaler = self.cluster.observe(TARGET, candidate="", autoscaler="hello-hpa").autoscaler
        assert scaler is not None
        return scaler

    def asked(self) -> set[tuple[str, str, str]]:
        asked = self.simulation.run(lambda core: set(core.access.asked))
        return {tuple(one[1:]) for one in asked if one[0] == AGENT}  # type: ignore[misc]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with SimulatedCluster(ready_after=0.1, jitter=0.02, stop_after=0.05) as simulation:
        stable = deployment()
        claimed = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        stable["spec"]["template"]["spec"]["volumes"] = [claimed]
        simulation.seed([_in_default(one) for one in (stable, service(), an_autoscaler())])
        kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
        yield Watched(simulation, KubernetesCluster(kubeconfig=str(kubeconfig)))


def _in_default(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "metadata": {**item["metadata"], "namespace": "default"}}


def test_the_adapter_sends_exactly_the_verbs_that_the_chart_grants(watched: Watched) -> None:
    assert {one.kind for one in _write(watched)} == {_kind(one) for one in get_args(Action)}
    called = _read(watched) | {"apply"}
    assert called | OPENS_NOTHING == _methods(), "a method of the adapter is not called here"
    needed = {(verb, group, resource) for group, resource, verbs in NEEDED for verb in verbs}
    asked = watched.asked() - OF_THE_WHOLE_CLUSTER - OF_RBAC_APPLY - OF_WATCH
    assert asked - needed == set(), "bot/cluster/permissions.py and the chart lack this"
    assert needed - asked == set(), "nothing sends this: take it out of the chart"
    assert watched.asked() >= OF_THE_WHOLE_CLUSTER | OF_WATCH


def _methods() -> set[str]:
    found = inspect.getmembers(KubernetesCluster, inspect.isfunction)
    return {name for name, _ in found if not name.startswith("_")}


def _kind(action: Any) -> str:
    return str(action.kind)


def _write(watched: Watched) -> list[Action]:
    stable, canary = watched.stable(), candidate_of(watched.stable(), "hello-1")
    written: list[Action] = []

    def write(action: Action) -> None:
        watched.cluster.apply(TARGET, action)
        watched.cluster.apply(TARGET, action)  # as after a lost reply
        written.append(action)

    write(PatchDeployment("hello", stable.uid, "", (CLAIM,)))
    write(CreateDeployment("hello-canary", "hello-1", canary))
    made = watched.cluster.observe(TARGET, candidate="hello-canary").candidate
    assert made is not None
    write(DeleteDeployment("hello-canary", made.uid))
    preview = service("hello-preview")
    preview["metadata"]["annotations"] = canary["metadata"]["annotations"]
    write(CreateService("hello-preview", "hello-1", preview))
    shown, serves = watched.service("hello-preview"), watched.service()
    affinity = FieldChange(Field.AFFINITY, serves.affinity, {"sessionAffinity": "ClientIP"})
    bind = PatchService("hello", serves.uid, serves.resource_version, (affinity,))
    watched.cluster.apply(TARGET, bind)
    written.append(bind)
    write(DeleteService("hello-preview", shown.uid))
    scaler = watched.autoscaler()
    least = FieldChange(Field.MIN_REPLICAS, scaler.min_replicas, 2)
    write(PatchAutoscaler(scaler.name, scaler.uid, "", (least, CLAIM)))
    return written


def _read(watched: Watched) -> set[str]:
    cluster = watched.cluster
    with cluster.watch(["default"], lambda _change: None) as watcher:
        assert eventually(lambda: watcher.is_synced)
    seen = cluster.observe(TARGET, candidate="", survey=True, events=True)
    cluster.is_unchanged(TARGET, seen, candidate="")
    cluster.observe_apps([TARGET])
    pods = [pod.name for one in watched.stable().replica_sets for pod in one.pods]
    cluster.logs(TARGET, pods[0], container="hello", lines=3, previous=False)
    for kind in ("deployments", "pods", "services", "events"):
        cluster.table([TARGET], kind, wide=False)
    cluster.explain("deployment.spec", recursive=False)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hello"}}
    cluster.plan_manifests(TARGET, [settings])
    cluster.apply_manifests(
        TARGET, [settings], skip_template_of="hello", may_write=lambda _change: True
    )
    cluster.probe(TARGET, "hello", "/version", requests=1, sticky=False, url=None)
    cluster.ask_pods(TARGET, pods, Probe("/version", 80, 1))
    cluster.sample_pods(TARGET, pods, Probe("/version", 80, 1))
    cluster.missing_permissions("default")
    cluster.uid()
    cluster.namespaces()
    return {
        *("watch", "observe", "observe_apps", "is_unchanged", "logs", "table", "explain"),
        *(
            "plan_manifests",
            "apply_manifests",
            "probe",
            "ask_pods",
            "sample_pods",
            "missing_permissions",
            "uid",
            "namespaces",
        ),
    }
