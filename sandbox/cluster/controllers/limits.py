"""ResourceQuotas (enforced on pods, `used` kept) and PodDisruptionBudgets (status, evictions)."""

from __future__ import annotations

import math
from fractions import Fraction

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, Caller
from sandbox.cluster.api_server.quantities import format_quantity, parse_quantity
from sandbox.cluster.api_server.resources import (
    BUDGETS,
    CLAIMS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)
from sandbox.cluster.api_server.selectors import selector_test
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import (
    Json,
    controller_of,
    copy_json,
    is_pod_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    semantically_equal,
)

Amounts = dict[str, Fraction]

_COUNTED: dict[str, Resource] = {
    "services": SERVICES,
    "configmaps": CONFIG_MAPS,
    "secrets": SECRETS,
    "persistentvolumeclaims": CLAIMS,
    "count/deployments.apps": DEPLOYMENTS,
    "count/replicasets.apps": REPLICA_SETS,
    "count/services": SERVICES,
    "count/pods": PODS,
}


def pod_usage(pod: Json) -> Amounts:
    """The usage of a pod that counts against a quota."""
    usage: Amounts = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for container in pod["spec"].get("containers") or ():
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        requests = {**limits, **(resources.get("requests") or {})}
        for name, amount in requests.items():
            for key in (f"requests.{name}", name):
                usage[key] = usage.get(key, Fraction(0)) + parse_quantity(amount)
        for name, amount in limits.items():
            usage[f"limits.{name}"] = usage.get(f"limits.{name}", Fraction(0)) + parse_quantity(
                amount
            )
    return usage


class QuotaController:
    """Keeps status.used; key: (namespace, name) of a ResourceQuota."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("quota", self.sync)

    def object_changed(self, namespace: str) -> None:
        for quota in self._view.store.iterate(RESOURCE_QUOTAS, namespace):
            self._view.queue.add("quota", (namespace, name_of(quota)))

    def sync(self, key: tuple[str, str]) -> None:
        quota = self._view.store.get(RESOURCE_QUOTAS, *key)
        if quota is None:
            return
        hard = quota["spec"].get("hard") or {}
        used = self._used(key[0], hard)
        shown = {
            name: format_quantity_like(hard[name], used.get(name, Fraction(0))) for name in hard
        }
        status = {"hard": dict(hard), "used": shown}
        if not semantically_equal(quota.get("status", {}), status):
            self._view.write_status(
                RESOURCE_QUOTAS, {**quota, "status": status}, CONTROLLER_MANAGER
            )

    def _used(self, namespace: str, hard: Json) -> Amounts:
        used: Amounts = {}
        for pod in self._view.store.iterate(PODS, namespace):
            if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                continue
            for name, amount in pod_usage(pod).items():
                used[name] = used.get(name, Fraction(0)) + amount
        for name in hard:
            if name in _COUNTED and name != "count/pods":
                used[name] = Fraction(len(self._view.store.list_all(_COUNTED[name], namespace)))
        return used

    def admit(self, resource: Resource, obj: Json, before: Json | None, caller: Caller) -> None:
        """The ResourceQuota admission plugin, for new pods."""
        del caller
        if before is not None or resource.key != PODS.key:
            return
        wanted = pod_usage(obj)
        namespace = namespace_of(obj)
        for quota in self._view.store.list_all(RESOURCE_QUOTAS, namespace):
            hard = quota["spec"].get("hard") or {}
            why = _missing(name_of(quota), hard, wanted, obj) or _exceeded(
                name_of(quota), hard, wanted, self._used(namespace, hard)
            )
            if why:
                raise failures.forbidden(resource, obj["metadata"].get("name", ""), why)


def _missing(quota: str, hard: Json, wanted: Amounts, pod: Json) -> str:
    """The reason to refuse a pod that omits a limited resource; "" when there is none."""
    missing = sorted(
        name for name in hard if name not in wanted and name not in _COUNTED and _is_compute(name)
    )
    if not missing:
        return ""
    container = pod["spec"]["containers"][0]["name"]
    return f"failed quota: {quota}: must specify {','.join(missing)} for: {container}"


def _exceeded(quota: str, hard: Json, wanted: Amounts, used: Amounts) -> str:
    """The reason to refuse a pod beyond the quota; "" when there is none."""
    none = Fraction(0)
    over = sorted(
        name
        for name, amount in wanted.items()
        if name in hard and used.get(name, none) + amount > parse_quantity(str(hard[name]))
    )
    if not over:
        return ""

    def listed(amounts: Amounts) -> str:
        return ",".join(
            f"{name}={format_quantity_like(str(hard[name]), amounts.get(name, none))}"
            for name in over
        )

    limited = ",".join(f"{name}={hard[name]}" for name in over)
    return (
        f"exceeded quota: {quota}, requested: {listed(wanted)}, used: {listed(used)},"
        f" limited: {limited}"
    )


def _is_compute(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith(("requests.", "limits."))


def format_quantity_like(model: str, value: Fraction) -> str:
    """A sum in the notation of the quantity it is compared with: binary suffixes stay binary."""
    if model.endswith("i") and value.denominator == 1 and value:
        for unit, size in (("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024)):
            if value % size == 0:
                return f"{value // size}{unit}"
    return format_quantity(value)


class BudgetController:
    """Status of PodDisruptionBudgets; key: (namespace, name)."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("budget", self.sync)

    def pod_changed(self, pod: Json) -> None:
        namespace = namespace_of(pod)
        for budget in self._view.store.iterate(BUDGETS, namespace):
            self._view.queue.add("budget", (namespace, name_of(budget)))

    def sync(self, key: tuple[str, str]) -> None:
        budget = self._view.store.get(BUDGETS, *key)
        if budget is None:
            return
        spec = budget.get("spec") or {}
        matches = selector_test(spec.get("selector"))
        pods = [pod for pod in self._view.store.iterate(PODS, key[0]) if matches(labels_of(pod))]
        expected, desired = self._expected(spec, pods)
        healthy = sum(1 for pod in pods if is_pod_ready(pod) and not is_terminating(pod))
        allowed = max(0, healthy - desired) if expected else 0
        verdict = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
        status: Json = {
            "observedGeneration": budget["metadata"].get("generation", 1),
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "conditions": [
                {
                    "type": "DisruptionAllowed",
                    "status": verdict[0],
                    "reason": verdict[1],
                    "message": "",
                    "observedGeneration": budget["metadata"].get("generation", 1),
                    "lastTransitionTime": self._view.now(),
                }
            ],
        }
        before = budget.get("status") or {}
        old = next(iter(before.get("conditions") or ()), None)
        if old is not None and old["status"] == verdict[0]:
            status["conditions"][0]["lastTransitionTime"] = old["lastTransitionTime"]
        if not semantically_equal(before, status):
            self._view.write_status(BUDGETS, {**budget, "status": status}, CONTROLLER_MANAGER)

    def _expected(self, spec: Json, pods: list[Json]) -> tuple[int, int]:
        """(expected pods, healthy pods wanted): percentages and maxUnavailable count the owners'
        replicas."""
        minimum = spec.get("minAvailable")
        if isinstance(minimum, int):
            return len(pods), minimum
        scales: dict[str, int] = {}
        for pod in pods:
            reference = controller_of(pod)
            owner = self._view.store.by_uid(reference["uid"]) if reference else None
            above = controller_of(owner) if owner is not None else None
            top = self._view.store.by_uid(above["uid"]) if above else owner
            if top is not None:
                scales[top["metadata"]["uid"]] = int(top["spec"].get("replicas", 1))
        expected = sum(scales.values())
        if minimum is not None:
            return expected, math.ceil(int(str(minimum).rstrip("%")) * expected / 100)
        maximum = spec.get("maxUnavailable", 0)
        if isinstance(maximum, str):
            maximum = math.ceil(int(maximum.rstrip("%")) * expected / 100)
        return expected, max(0, expected - int(maximum))

    def refusal(self, pod: Json) -> str:
        """The reason to refuse an eviction, or none; an allowed eviction is counted at once."""
        for budget in self._view.store.list_all(BUDGETS, namespace_of(pod)):
            if not selector_test((budget.get("spec") or {}).get("selector"))(labels_of(pod)):
                continue
            self.sync((namespace_of(pod), name_of(budget)))
            fresh = self._view.store.get(BUDGETS, namespace_of(pod), name_of(budget)) or budget
            status = fresh.get("status") or {}
            if status.get("disruptionsAllowed", 0) <= 0 and is_pod_ready(pod):
                return (
                    f"The disruption budget {name_of(budget)} needs"
                    f" {status.get('desiredHealthy', 0)} healthy pods and has"
                    f" {status.get('currentHealthy', 0)} currently"
                )
            counted: Json = copy_json(fresh)
            counted["status"]["disruptionsAllowed"] = max(
                0, status.get("disruptionsAllowed", 0) - 1
            )
            self._view.write_status(BUDGETS, counted, CONTROLLER_MANAGER)
        return ""
