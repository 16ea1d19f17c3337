"""The ReplicaSet controller (pkg/controller/replicaset)."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, DeleteOptions
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.resources import PODS, REPLICA_SETS
from sandbox.cluster.api_server.selectors import selector_test
from sandbox.cluster.controllers import conditions
from sandbox.cluster.controllers.claiming import claim
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.controllers.work_queue import Retry
from sandbox.cluster.objects import (
    Json,
    condition_of,
    controller_reference,
    copy_json,
    find_condition,
    is_pod_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    pod_available_in,
    seconds_of,
    semantically_equal,
)

_COMPONENT = "replicaset-controller"
_BURST = 500


class ReplicaSetController:
    """Reconciles one ReplicaSet at a time; key: (namespace, name)."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("replicaset", self.sync)

    def sync(self, key: tuple[str, str]) -> None:
        item = self._view.store.get(REPLICA_SETS, *key)
        if item is None:
            return
        matches = selector_test(item["spec"]["selector"])
        claimed = claim(self._view, item, PODS, matches)
        live = [
            pod
            for pod in claimed
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]
        active = [pod for pod in live if not is_terminating(pod)]
        failure = None if is_terminating(item) else self._manage(item, active)
        self._write_status(key, matches, failure)
        if failure is not None:
            raise Retry

    def _manage(self, item: Json, active: list[Json]) -> ApiFailure | None:
        difference = len(active) - int(item["spec"].get("replicas", 1))
        if difference < 0:
            for _ in range(min(-difference, _BURST)):
                failure = self._create_pod(item)
                if failure is not None:
                    return failure
        elif difference > 0:
            for pod in self._first_to_go(item, active)[: min(difference, _BURST)]:
                self._view.registry.delete(
                    PODS, namespace_of(pod), name_of(pod), CONTROLLER_MANAGER, DeleteOptions()
                )
                message = f"Deleted pod: {name_of(pod)}"
                self._view.record(item, "Normal", "SuccessfulDelete", message, _COMPONENT)
        return None

    def _create_pod(self, item: Json) -> ApiFailure | None:
        template: Json = copy_json(item["spec"]["template"])
        metadata = template.get("metadata") or {}
        pod: Json = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": f"{name_of(item)}-",
                "namespace": namespace_of(item),
                "labels": metadata.get("labels") or {},
                "ownerReferences": [controller_reference(item)],
            },
            "spec": template["spec"],
        }
        if metadata.get("annotations"):
            pod["metadata"]["annotations"] = metadata["annotations"]
        pod["spec"].setdefault("enableServiceLinks", True)
        pod["spec"].setdefault("serviceAccountName", "default")
        pod["spec"].setdefault("serviceAccount", pod["spec"]["serviceAccountName"])
        try:
            created = self._view.registry.create_directly(PODS, pod, CONTROLLER_MANAGER)
        except ApiFailure as failure:
            self._view.record(
                item, "Warning", "FailedCreate", f"Error creating: {failure.message}", _COMPONENT
            )
            return failure
        self._view.record(
            item, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}", _COMPONENT
        )
        return None

    def _first_to_go(self, item: Json, active: list[Json]) -> list[Json]:
        """ActivePodsWithRanks, the order of deletion: unassigned, pending, not ready, costly to
        keep, crowded, newly ready, restarting, young."""
        crowd: dict[str, int] = {}
        for pod in active:
            node = pod["spec"].get("nodeName", "")
            crowd[node] = crowd.get(node, 0) + 1

        def rank(pod: Json) -> tuple[object, ...]:
            status = pod.get("status", {})
            ready = condition_of(pod, "Ready")
            phases = {"Pending": 0, "Unknown": 1, "Running": 2}
            cost = (pod["metadata"].get("annotations") or {}).get(
                "controller.kubernetes.io/pod-deletion-cost", "0"
            )
            restarts = sum(
                found.get("restartCount", 0) for found in status.get("containerStatuses") or ()
            )
            since = (
                seconds_of(ready.get("lastTransitionTime"))
                if ready and ready["status"] == "True"
                else 0.0
            )
            return (
                bool(pod["spec"].get("nodeName")),
                phases.get(status.get("phase", "Pending"), 1),
                is_pod_ready(pod),
                int(cost) if cost.lstrip("-").isdigit() else 0,
                -crowd[pod["spec"].get("nodeName", "")],
                -since,
                -restarts,
                -seconds_of(pod["metadata"].get("creationTimestamp")),
                name_of(pod),
            )

        return sorted(active, key=rank)

    def _write_status(
        self, key: tuple[str, str], matches: object, failure: ApiFailure | None
    ) -> None:
        item = self._view.store.get(REPLICA_SETS, *key)
        if item is None:
            return
        owned = [
            pod
            for pod in self._owned(item)
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]
        active = [pod for pod in owned if not is_terminating(pod)]
        ready_seconds = int(item["spec"].get("minReadySeconds", 0))
        now = self._view.clock()
        waits = [pod_available_in(pod, ready_seconds, now) for pod in active]
        counts = _counts(item, active, sum(1 for wait in waits if wait == 0))
        before = item.get("status", {})
        status: Json = {
            name: count for name, count in counts.items() if count or name == "replicas"
        }
        status["terminatingReplicas"] = len(owned) - len(active)
        status["observedGeneration"] = item["metadata"]["generation"]
        if before.get("conditions"):
            status["conditions"] = copy_json(before["conditions"])
        self._note_failure(item, status, failure, len(active))
        pending = [wait for wait in waits if wait]
        if pending:
            self._view.queue.add_after("replicaset", key, min(pending))
        if not semantically_equal(before, status):
            self._view.write_status(REPLICA_SETS, {**item, "status": status}, CONTROLLER_MANAGER)

    def _owned(self, item: Json) -> list[Json]:
        found = (
            self._view.store.at(child)
            for child in self._view.store.children(item["metadata"]["uid"])
        )
        return [pod for pod in found if pod is not None and pod["kind"] == "Pod"]

    def _note_failure(
        self, item: Json, status: Json, failure: ApiFailure | None, active: int
    ) -> None:
        present = find_condition(status.get("conditions") or (), conditions.REPLICA_FAILURE)
        if failure is None:
            if present is not None:
                conditions.remove_condition(status, conditions.REPLICA_FAILURE)
        elif present is None:
            reason = (
                "FailedCreate" if active < int(item["spec"].get("replicas", 1)) else "FailedDelete"
            )
            condition = conditions.new_condition(
                conditions.REPLICA_FAILURE, "True", reason, failure.message, self._view.now()
            )
            del condition["lastUpdateTime"]
            status["conditions"] = [*(status.get("conditions") or []), condition]


def _counts(item: Json, active: list[Json], available: int) -> dict[str, int]:
    metadata = item["spec"]["template"].get("metadata") or {}
    labels = (metadata.get("labels") or {}).items()
    return {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(1 for pod in active if labels <= labels_of(pod).items()),
        "readyReplicas": sum(map(is_pod_ready, active)),
        "availableReplicas": available,
    }
