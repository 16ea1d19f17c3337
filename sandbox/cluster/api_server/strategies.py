"""Each kind's preparation of an object for storage (pkg/registry/*/strategy.go): status,
generation, allocated values."""

from __future__ import annotations

import itertools

from sandbox.cluster.api_server.failures import Cause, invalid, invalid_value
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.objects import Json, namespace_of, semantically_equal

# Kinds whose status is reset on create and kept on a write to the main resource.
_WITH_STATUS = frozenset(
    {
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("", "pods"),
        ("", "services"),
        ("", "namespaces"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("policy", "poddisruptionbudgets"),
        ("", "resourcequotas"),
        ("", "persistentvolumeclaims"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
    }
)
_SERVER_OWNED_METADATA = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def keeps_status(resource: Resource) -> bool:
    return resource.key in _WITH_STATUS or (
        resource.is_custom and "status" in resource.subresources
    )


class Addresses:
    """Cluster IPs and node ports of Services."""

    def __init__(self) -> None:
        self._next_address = itertools.count(10)
        self._next_port = itertools.count(30000)
        self._taken: set[str] = set()

    def cluster_ip(self) -> str:
        while True:
            number = next(self._next_address) * 7919 % 65000 + 256
            address = f"10.96.{number // 256}.{number % 256}"
            if address not in self._taken:
                self._taken.add(address)
                return address

    def node_port(self) -> int:
        return 30000 + (next(self._next_port) - 30000) * 7 % 2767


def prepare_create(resource: Resource, obj: Json, addresses: Addresses) -> None:
    if keeps_status(resource):
        obj.pop("status", None)
    if resource.has_generation or resource.is_custom:
        obj["metadata"]["generation"] = 1
    match resource.key:
        case ("", "pods"):
            obj["status"] = {"phase": "Pending", "qosClass": _qos_class(obj["spec"])}
            if not obj["spec"].get("nodeName"):
                obj["spec"].setdefault("tolerations", _default_tolerations())
        case ("", "services"):
            obj["status"] = {"loadBalancer": {}}
            _allocate(obj, None, addresses)
        case ("", "namespaces"):
            obj["spec"].setdefault("finalizers", ["kubernetes"])
            obj["status"] = {"phase": "Active"}
        case key:
            if key in _FIRST_STATUS:
                obj["status"] = dict(_FIRST_STATUS[key])


_FIRST_STATUS: dict[tuple[str, str], Json] = {
    ("apps", "deployments"): {},
    ("", "resourcequotas"): {},
    ("apps", "replicasets"): {"replicas": 0},
    ("autoscaling", "horizontalpodautoscalers"): {"currentMetrics": None, "desiredReplicas": 0},
    ("policy", "poddisruptionbudgets"): {
        "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0
    },
    ("", "persistentvolumeclaims"): {"phase": "Pending"},
}  # fmt: skip


def prepare_update(resource: Resource, obj: Json, before: Json, addresses: Addresses) -> None:
    for field in _SERVER_OWNED_METADATA:
        if field in before["metadata"]:
            obj["metadata"][field] = before["metadata"][field]
        else:
            obj["metadata"].pop(field, None)
    if keeps_status(resource):
        if "status" in before:
            obj["status"] = before["status"]
        else:
            obj.pop("status", None)
    match resource.key:
        case ("", "services"):
            _allocate(obj, before, addresses)
        case ("", "namespaces"):
            obj["spec"] = before["spec"]
        case _:
            pass
    if "generation" in before["metadata"] and _calls_for_new_generation(resource, obj, before):
        obj["metadata"]["generation"] = before["metadata"]["generation"] + 1


def prepare_status(resource: Resource, obj: Json, before: Json) -> Json:
    """A write to `status` changes only status and metadata; Deployments keep their labels as
    well."""
    metadata = {**obj["metadata"]}
    for field in _SERVER_OWNED_METADATA:
        if field in before["metadata"]:
            metadata[field] = before["metadata"][field]
    if resource.is_custom:
        metadata = {**before["metadata"], "managedFields": obj["metadata"].get("managedFields", [])}
    elif resource.key == ("apps", "deployments"):
        metadata.pop("labels", None)
        if "labels" in before["metadata"]:
            metadata["labels"] = before["metadata"]["labels"]
    if resource.key == ("", "pods"):
        metadata["ownerReferences"] = before["metadata"].get("ownerReferences", [])
        metadata = {
            key: value for key, value in metadata.items() if key != "ownerReferences" or value
        }
    result = {**before, "metadata": metadata}
    if "status" in obj:
        result["status"] = obj["status"]
    else:
        result.pop("status", None)
    return result


def _calls_for_new_generation(resource: Resource, obj: Json, before: Json) -> bool:
    if resource.is_custom:
        ignored = {"metadata", "status"} if keeps_status(resource) else {"metadata"}
        return not semantically_equal(
            {key: value for key, value in obj.items() if key not in ignored},
            {key: value for key, value in before.items() if key not in ignored},
        )
    if not semantically_equal(obj.get("spec"), before.get("spec")):
        return True
    if resource.key == ("discovery.k8s.io", "endpointslices"):
        return not semantically_equal(obj.get("endpoints"), before.get("endpoints"))
    if resource.key == (
        "apps",
        "deployments",
    ):  # a changed annotation counts as well (deployment/strategy.go)
        return not semantically_equal(
            obj["metadata"].get("annotations"), before["metadata"].get("annotations")
        )
    return False


def _default_tolerations() -> list[Json]:
    return [
        {
            "key": f"node.kubernetes.io/{key}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for key in ("not-ready", "unreachable")
    ]


def _qos_class(spec: Json) -> str:
    guaranteed, burstable = True, False
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        burstable = burstable or bool(requests or limits)
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if guaranteed and burstable:
        return "Guaranteed"
    return "Burstable" if burstable else "BestEffort"


def _allocate(obj: Json, before: Json | None, addresses: Addresses) -> None:
    spec = obj["spec"]
    old = (before or {}).get("spec", {})
    if spec["type"] == "ExternalName":
        for field in ("clusterIP", "clusterIPs"):
            spec.pop(field, None)
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = old.get("clusterIP") or addresses.cluster_ip()
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in _WITH_NODE_PORTS:
        _allocate_node_ports(spec, old, addresses)
    elif old.get("type") in _WITH_NODE_PORTS:
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        for field in (
            "externalTrafficPolicy",
            "allocateLoadBalancerNodePorts",
            "healthCheckNodePort",
        ):
            spec.pop(field, None)
    if old.get("type") == "LoadBalancer" and spec["type"] != "LoadBalancer":
        obj["status"] = {"loadBalancer": {}}


_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


def _allocate_node_ports(spec: Json, old: Json, addresses: Addresses) -> None:
    taken = {
        (port.get("name"), port["port"]): port.get("nodePort") for port in old.get("ports") or ()
    }
    for port in spec.get("ports") or ():
        if not port.get("nodePort"):
            kept = taken.get((port.get("name"), port["port"]))
            port["nodePort"] = kept or addresses.node_port()


def check_immutable_metadata(resource: Resource, obj: Json, before: Json) -> None:
    """Names and uids that a client sent must be the ones of the stored object."""
    causes: list[Cause] = []
    metadata, old = obj["metadata"], before["metadata"]
    if metadata.get("uid") and metadata["uid"] != old["uid"]:
        # The API server checks it twice and reports it once.
        causes += [invalid_value("metadata.uid", metadata["uid"], "field is immutable")] * 2
    if namespace_of(obj) != namespace_of(before):
        causes.append(invalid_value("metadata.namespace", namespace_of(obj), "field is immutable"))
    if causes:
        raise invalid(resource, old["name"], causes)
