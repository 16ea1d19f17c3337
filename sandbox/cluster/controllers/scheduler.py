"""The scheduler: puts pods on the node with the most room, or reports why none fits."""

from __future__ import annotations

from fractions import Fraction

from sandbox.cluster.api_server.callers import SCHEDULER
from sandbox.cluster.api_server.quantities import parse_quantity
from sandbox.cluster.api_server.resources import NODES, PODS
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import Json, condition_of, copy_json, is_terminating, name_of

Amounts = dict[str, Fraction]


def pod_requests(pod: Json) -> Amounts:
    """The sum of requests of all containers, and the pod itself."""
    total: Amounts = {"pods": Fraction(1)}
    for container in pod["spec"].get("containers") or ():
        for resource, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[resource] = total.get(resource, Fraction(0)) + parse_quantity(amount)
    return total


class Scheduler:
    """Key: (namespace, name) of a pod. Pod changes keep the usage of nodes up to date."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._used: dict[str, Amounts] = {}
        self._waiting: set[tuple[str, str]] = set()
        view.queue.handle("schedule", self.schedule)

    def account(self, before: Json | None, after: Json | None) -> None:
        """Called for every change of a pod."""
        old = self._placed(before)
        new = self._placed(after)
        if old == new:
            return
        if old:
            self._add(old, pod_requests(before or {}), -1)
            for key in self._waiting:
                self._view.queue.add("schedule", key)
        if new:
            self._add(new, pod_requests(after or {}), 1)

    def nodes_changed(self) -> None:
        for key in self._waiting:
            self._view.queue.add("schedule", key)

    def _placed(self, pod: Json | None) -> str:
        if pod is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return ""
        return str(pod["spec"].get("nodeName", ""))

    def _add(self, node: str, amounts: Amounts, sign: int) -> None:
        used = self._used.setdefault(node, {})
        for resource, amount in amounts.items():
            used[resource] = used.get(resource, Fraction(0)) + sign * amount

    def schedule(self, key: tuple[str, str]) -> None:
        pod = self._view.store.get(PODS, *key)
        if pod is None or pod["spec"].get("nodeName") or is_terminating(pod):
            self._waiting.discard(key)
            return
        wanted = pod_requests(pod)
        candidates: list[tuple[Fraction, str]] = []
        refusals: dict[str, int] = {}
        nodes = self._view.store.list_all(NODES)
        for node in nodes:
            refusal = self._refusal(pod, node, wanted)
            if refusal:
                refusals[refusal] = refusals.get(refusal, 0) + 1
            else:
                candidates.append(
                    (self._used.get(name_of(node), {}).get("pods", Fraction(0)), name_of(node))
                )
        if candidates:
            self._waiting.discard(key)
            self._bind(pod, min(candidates)[1])
        else:
            self._waiting.add(key)
            self._refuse(pod, len(nodes), refusals)

    def _refusal(self, pod: Json, node: Json, wanted: Amounts) -> str:
        if node.get("spec", {}).get("unschedulable"):
            return "node(s) were unschedulable"
        ready = condition_of(node, "Ready")
        if ready is not None and ready["status"] != "True":
            return "node(s) had untolerated taint(s)"
        labels = node["metadata"].get("labels") or {}
        if any(
            labels.get(key) != value
            for key, value in (pod["spec"].get("nodeSelector") or {}).items()
        ):
            return "node(s) didn't match Pod's node affinity/selector"
        used = self._used.get(name_of(node), {})
        allocatable = node.get("status", {}).get("allocatable") or {}
        for resource, amount in wanted.items():
            if resource in allocatable:
                room = parse_quantity(str(allocatable[resource])) - used.get(resource, Fraction(0))
                if amount > room:
                    return "Too many pods" if resource == "pods" else f"Insufficient {resource}"
            elif resource not in ("pods", "cpu", "memory", "ephemeral-storage"):
                return f"Insufficient {resource}"
        return ""

    def _bind(self, pod: Json, node: str) -> None:
        bound: Json = copy_json(pod)
        bound["spec"]["nodeName"] = node
        conditions = [
            item
            for item in bound["status"].get("conditions") or ()
            if item["type"] != "PodScheduled"
        ]
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None,
                     "lastTransitionTime": self._view.now()}  # fmt: skip
        bound["status"]["conditions"] = [*conditions, scheduled]
        self._view.registry.write_directly(PODS, bound, SCHEDULER)
        where = f"{pod['metadata']['namespace']}/{name_of(pod)}"
        message = f"Successfully assigned {where} to {node}"
        self._view.record(pod, "Normal", "Scheduled", message, "default-scheduler")

    def _refuse(self, pod: Json, nodes: int, refusals: dict[str, int]) -> None:
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(refusals.items()))
        message = f"0/{nodes} nodes are available: {causes}."
        if nodes:
            message += (
                f" preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for"
                " scheduling."
            )
        else:
            message = "no nodes available to schedule pods"
        present = condition_of(pod, "PodScheduled")
        if present is not None and present.get("message") == message:
            return
        waiting: Json = copy_json(pod)
        since = present["lastTransitionTime"] if present else self._view.now()
        waiting["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastProbeTime": None,
                "lastTransitionTime": since,
            }
        ]
        self._view.registry.write_directly(PODS, waiting, SCHEDULER)
        self._view.record(pod, "Warning", "FailedScheduling", message, "default-scheduler")
