"""All controllers together, with the changes that wake each of them."""

from __future__ import annotations

from sandbox.cluster.api_server.resources import DEPLOYMENTS, REPLICA_SETS, Resource
from sandbox.cluster.api_server.selectors import selector_test
from sandbox.cluster.api_server.store import Change
from sandbox.cluster.controllers.autoscaler import Autoscaler
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.controllers.custom_resources import CustomResources
from sandbox.cluster.controllers.deployments import DeploymentController
from sandbox.cluster.controllers.endpoint_slices import EndpointSliceController
from sandbox.cluster.controllers.garbage import GarbageCollector, NamespaceController
from sandbox.cluster.controllers.images import ImageRules
from sandbox.cluster.controllers.kubelet import Kubelet, Timings
from sandbox.cluster.controllers.limits import BudgetController, QuotaController
from sandbox.cluster.controllers.replica_sets import ReplicaSetController
from sandbox.cluster.controllers.scheduler import Scheduler
from sandbox.cluster.objects import (
    Json,
    controller_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
)

_QUEUES = {
    ("", "services"): "endpoints",
    ("", "resourcequotas"): "quota",
    ("policy", "poddisruptionbudgets"): "budget",
    ("autoscaling", "horizontalpodautoscalers"): "autoscaler",
}
"""The queue of the one controller that a change of these wakes."""
_COUNTED_BY_QUOTAS = frozenset({"services", "configmaps", "secrets", "replicasets"})


class Controllers:
    """Listens to the store; everything else happens in the queue."""

    def __init__(self, view: ClusterView, images: ImageRules, timings: Timings) -> None:
        self._view = view
        self._queue = view.queue
        self.deployments = DeploymentController(view)
        self.replica_sets = ReplicaSetController(view)
        self.scheduler = Scheduler(view)
        self.kubelet = Kubelet(view, images, timings)
        self.endpoint_slices = EndpointSliceController(view)
        self.garbage = GarbageCollector(view)
        self.namespaces = NamespaceController(view)
        self.quotas = QuotaController(view)
        self.budgets = BudgetController(view)
        self.autoscaler = Autoscaler(view)
        self.custom_resources = CustomResources(view)
        view.store.listeners.append(self._changed)
        view.registry.admission.append(self.quotas.admit)

    def _changed(self, change: Change) -> None:
        obj, before, resource = change.after, change.before, change.resource
        is_gone = change.kind == "DELETED"
        self._wake(resource, before, obj, is_gone=is_gone)
        if resource.namespaced and resource.plural in _COUNTED_BY_QUOTAS:
            self.quotas.object_changed(namespace_of(obj))
        if is_gone:
            self.garbage.object_gone(before or obj)
        else:
            self.garbage.object_changed(resource, obj)

    def _wake(self, resource: Resource, before: Json | None, obj: Json, *, is_gone: bool) -> None:
        """Wakes the controllers of this resource."""
        key = (namespace_of(obj), name_of(obj))
        match resource.key:
            case ("apps", "deployments"):
                self._queue.add("deployment", key)
                self.autoscaler.deployment_changed(obj)
            case ("apps", "replicasets"):
                self._replica_set_changed(before, obj, is_gone=is_gone)
            case ("", "pods"):
                self._pod_changed(before, obj, is_gone=is_gone)
            case ("", "nodes"):
                self.scheduler.nodes_changed()
            case ("", "namespaces"):
                if is_terminating(obj) and not is_gone:
                    self._queue.add("namespace", name_of(obj))
            case ("apiextensions.k8s.io", "customresourcedefinitions"):
                self.custom_resources.definition_changed(obj, is_gone=is_gone)
            case other:
                if other in _QUEUES:
                    self._queue.add(_QUEUES[other], key)

    def _replica_set_changed(
        self, before: Json | None, replica_set: Json, *, is_gone: bool
    ) -> None:
        self._queue.add("replicaset", (namespace_of(replica_set), name_of(replica_set)))
        self._wake_owner(replica_set, "Deployment", "deployment")
        if before is not None and controller_of(before) != controller_of(replica_set):
            self._wake_owner(before, "Deployment", "deployment")
        if controller_of(replica_set) is None and not is_gone:
            self._wake_matching(replica_set, DEPLOYMENTS, "deployment")

    def _pod_changed(self, before: Json | None, pod: Json, *, is_gone: bool) -> None:
        key = (namespace_of(pod), name_of(pod))
        self.scheduler.account(before, None if is_gone else pod)
        self._wake_owner(pod, "ReplicaSet", "replicaset")
        if before is not None and controller_of(before) != controller_of(pod):
            self._wake_owner(before, "ReplicaSet", "replicaset")
        if is_gone:
            self.kubelet.pod_gone(pod)
            self._wake_grand_owner(pod)
        elif pod["spec"].get("nodeName"):
            self.kubelet.pod_changed(pod)
        else:
            self._queue.add("schedule", key)
        if controller_of(pod) is None and not is_gone:
            self._wake_matching(pod, REPLICA_SETS, "replicaset")
        self.endpoint_slices.pod_changed(before, pod)
        self.budgets.pod_changed(pod)
        self.quotas.object_changed(namespace_of(pod))

    def _wake_owner(self, obj: Json, kind: str, queue: str) -> None:
        reference = controller_of(obj)
        if reference is not None and reference["kind"] == kind:
            self._queue.add(queue, (namespace_of(obj), reference["name"]))

    def _wake_grand_owner(self, pod: Json) -> None:
        """A Recreate Deployment waits for the last old pod to be gone."""
        reference = controller_of(pod)
        owner = self._view.store.by_uid(reference["uid"]) if reference is not None else None
        if owner is not None:
            self._wake_owner(owner, "Deployment", "deployment")

    def _wake_matching(self, obj: Json, resource: Resource, queue: str) -> None:
        namespace = namespace_of(obj)
        for owner in self._view.store.iterate(resource, namespace):
            if selector_test(owner["spec"].get("selector"))(labels_of(obj)):
                self._queue.add(queue, (namespace, name_of(owner)))
