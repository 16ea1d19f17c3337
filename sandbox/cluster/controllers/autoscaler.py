"""The HorizontalPodAutoscaler controller: keeps the target within its bounds, or at a size set by a
test."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, WriteOptions
from sandbox.cluster.api_server.resources import AUTOSCALERS, DEPLOYMENTS
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import Json, copy_json, name_of, namespace_of, semantically_equal

WANTED = (  # replaces the metrics, which the simulation does not measure
    "sandbox.pilothouse.dev/wanted-replicas"
)


class Autoscaler:
    """Key: (namespace, name) of a HorizontalPodAutoscaler."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("autoscaler", self.sync)

    def deployment_changed(self, deployment: Json) -> None:
        namespace = namespace_of(deployment)
        for item in self._view.store.iterate(AUTOSCALERS, namespace):
            target = item["spec"]["scaleTargetRef"]
            if target.get("kind") == "Deployment" and target["name"] == name_of(deployment):
                self._view.queue.add("autoscaler", (namespace, name_of(item)))

    def sync(self, key: tuple[str, str]) -> None:
        item = self._view.store.get(AUTOSCALERS, *key)
        if item is None:
            return
        spec = item["spec"]
        target = self._view.store.get(DEPLOYMENTS, key[0], spec["scaleTargetRef"]["name"])
        if target is None:
            return
        present = int(target["spec"].get("replicas", 1))
        wanted = self._wanted(item, present)
        status: Json = {
            "currentReplicas": int(target.get("status", {}).get("replicas", 0)),
            "desiredReplicas": wanted,
        }
        if present != wanted and present != 0:
            status["lastScaleTime"] = self._view.now()
            changed: Json = copy_json(target)
            changed["spec"]["replicas"] = wanted
            self._view.registry.update(
                DEPLOYMENTS,
                key[0],
                name_of(target),
                changed,
                CONTROLLER_MANAGER,
                WriteOptions(),
                "scale",
            )
            message = f"New size: {wanted}; reason: All metrics below target"
            self._view.record(
                item, "Normal", "SuccessfulRescale", message, "horizontal-pod-autoscaler"
            )
        before = item.get("status") or {}
        status.setdefault("lastScaleTime", before.get("lastScaleTime"))
        status = {name: value for name, value in status.items() if value is not None}
        if not semantically_equal(before, status):
            self._view.write_status(AUTOSCALERS, {**item, "status": status}, CONTROLLER_MANAGER)

    def _wanted(self, item: Json, present: int) -> int:
        if present == 0:
            return 0
        asked = (item["metadata"].get("annotations") or {}).get(WANTED, "")
        wanted = int(asked) if asked.isdigit() else present
        return max(
            int(item["spec"].get("minReplicas", 1)), min(int(item["spec"]["maxReplicas"]), wanted)
        )
