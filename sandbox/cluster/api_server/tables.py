"""meta.k8s.io/v1 Table responses: the columns that `kubectl get` prints
(pkg/printers/internalversion)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.selectors import selector_text
from sandbox.cluster.objects import Json, is_terminating, name_of, seconds_of

Column = tuple[str, int]  # name, priority: 0 is always shown, 1 with -o wide
Cells = Callable[[Json, float], list[Any]]


def age(stamp: str | None, now: float) -> str:
    """duration.HumanDuration."""
    if not stamp:
        return "<unknown>"
    seconds = int(now - seconds_of(stamp))
    if seconds < 0:
        return "0s"
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d"


def _containers(spec: Json) -> tuple[str, str]:
    containers = spec.get("containers") or ()
    return ",".join(item["name"] for item in containers), ",".join(
        item.get("image", "") for item in containers
    )


def _deployment(obj: Json, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    names, images = _containers(spec["template"]["spec"])
    return [
        name_of(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 1)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        age(obj["metadata"].get("creationTimestamp"), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def _replica_set(obj: Json, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    names, images = _containers(spec["template"]["spec"])
    return [
        name_of(obj),
        spec.get("replicas", 1),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        age(obj["metadata"].get("creationTimestamp"), now),
        names,
        images,
        selector_text(spec.get("selector")),
    ]


def pod_reason(pod: Json) -> str:
    """The STATUS column of kubectl get pods."""
    status = pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "Unknown")
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    for item in reversed(status.get("containerStatuses") or ()):
        state = item.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif "terminated" in state:
            ended = state["terminated"]
            reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode', 0)}"
    if is_terminating(pod):
        reason = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _pod(obj: Json, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    statuses = status.get("containerStatuses") or ()
    ready = sum(1 for item in statuses if item.get("ready"))
    restarts = sum(item.get("restartCount", 0) for item in statuses)
    ends = [
        ((item.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        for item in statuses
        if item.get("restartCount")
    ]
    last = max((end for end in ends if end), default=None)
    shown = f"{restarts} ({age(last, now)} ago)" if restarts and last else str(restarts)
    return [
        name_of(obj), f"{ready}/{len(spec.get('containers') or ())}", pod_reason(obj), shown,
        age(obj["metadata"].get("creationTimestamp"), now), status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>", "<none>", "<none>",
    ]  # fmt: skip


def external_address(service: Json) -> str:
    spec = service["spec"]
    match spec.get("type"):
        case "LoadBalancer":
            ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
            found = ",".join(item.get("ip") or item.get("hostname", "") for item in ingress)
            return found or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case _:
            return ",".join(spec.get("externalIPs") or ()) or "<none>"


def _service(obj: Json, now: float) -> list[Any]:
    spec = obj["spec"]
    ports = []
    for port in spec.get("ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}")
    selector = ",".join(
        f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items())
    )
    return [
        name_of(obj),
        spec.get("type"),
        spec.get("clusterIP") or "<none>",
        external_address(obj),
        ",".join(ports) or "<none>",
        age(obj["metadata"].get("creationTimestamp"), now),
        selector or "<none>",
    ]


def _event(obj: Json, now: float) -> list[Any]:
    target = obj.get("involvedObject", {})
    last = (
        obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    )
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{target.get('kind', '').lower()}/{target.get('name', '')}",
        "",
        (obj.get("source") or {}).get("component", ""),
        obj.get("message", "").strip(),
        age(obj.get("firstTimestamp") or last, now),
        obj.get("count", 1),
        name_of(obj),
    ]


def _node(obj: Json, now: float) -> list[Any]:
    status = obj.get("status", {})
    ready = next(
        (item["status"] for item in status.get("conditions") or () if item["type"] == "Ready"),
        "Unknown",
    )
    shown = {"True": "Ready", "False": "NotReady"}.get(ready, "Unknown")
    if obj.get("spec", {}).get("unschedulable"):
        shown += ",SchedulingDisabled"
    info = status.get("nodeInfo") or {}
    address = next(
        (item["address"] for item in status.get("addresses") or () if item["type"] == "InternalIP"),
        "<none>",
    )
    return [
        name_of(obj),
        shown,
        "<none>",
        age(obj["metadata"].get("creationTimestamp"), now),
        info.get("kubeletVersion", ""),
        address,
        "<none>",
        info.get("osImage", ""),
        info.get("kernelVersion", ""),
        info.get("containerRuntimeVersion", ""),
    ]


def _autoscaler(obj: Json, now: float) -> list[Any]:
    spec, status = obj["spec"], obj.get("status", {})
    target = spec.get("scaleTargetRef", {})
    return [
        name_of(obj),
        f"{target.get('kind')}/{target.get('name')}",
        "<unknown>",
        str(spec.get("minReplicas", 1)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj["metadata"].get("creationTimestamp"), now),
    ]


def _budget(obj: Json, now: float) -> list[Any]:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        name_of(obj), str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A")),
        status.get("disruptionsAllowed", 0), age(obj["metadata"].get("creationTimestamp"), now),
    ]  # fmt: skip


def _namespace(obj: Json, now: float) -> list[Any]:
    phase = obj.get("status", {}).get("phase", "")
    return [name_of(obj), phase, age(obj["metadata"].get("creationTimestamp"), now)]


def _config_map(obj: Json, now: float) -> list[Any]:
    count = len(obj.get("data") or {}) + len(obj.get("binaryData") or {})
    return [name_of(obj), count, age(obj["metadata"].get("creationTimestamp"), now)]


def _secret(obj: Json, now: float) -> list[Any]:
    created = age(obj["metadata"].get("creationTimestamp"), now)
    return [name_of(obj), obj.get("type", ""), len(obj.get("data") or {}), created]


def _endpoint_slice(obj: Json, now: float) -> list[Any]:
    ports = ",".join(str(port.get("port")) for port in obj.get("ports") or ()) or "<unset>"
    addresses = [
        address for endpoint in obj.get("endpoints") or () for address in endpoint["addresses"]
    ]
    shown = ",".join(addresses[:3]) or "<unset>"
    if len(addresses) > 3:
        shown += f" + {len(addresses) - 3} more..."
    created = age(obj["metadata"].get("creationTimestamp"), now)
    return [name_of(obj), obj.get("addressType", ""), ports, shown, created]


def _plain(obj: Json, now: float) -> list[Any]:
    return [name_of(obj), age(obj["metadata"].get("creationTimestamp"), now)]


def _columns(shown: str, wide: str = "") -> Sequence[Column]:
    return [(name, 0) for name in shown.split("|")] + [
        (name, 1) for name in wide.split("|") if name
    ]


_TABLES: dict[tuple[str, str], tuple[Sequence[Column], Cells]] = {
    ("apps", "deployments"): (
        _columns("Name|Ready|Up-to-date|Available|Age", "Containers|Images|Selector"),
        _deployment,
    ),
    ("apps", "replicasets"): (
        _columns("Name|Desired|Current|Ready|Age", "Containers|Images|Selector"),
        _replica_set,
    ),
    ("", "pods"): (
        _columns("Name|Ready|Status|Restarts|Age", "IP|Node|Nominated Node|Readiness Gates"),
        _pod,
    ),
    ("", "services"): (
        _columns("Name|Type|Cluster-IP|External-IP|Port(s)|Age", "Selector"),
        _service,
    ),
    ("", "events"): (
        [
            ("Last Seen", 0),
            ("Type", 0),
            ("Reason", 0),
            ("Object", 0),
            ("Subobject", 1),
            ("Source", 1),
            ("Message", 0),
            ("First Seen", 1),
            ("Count", 1),
            ("Name", 1),
        ],
        _event,
    ),
    ("", "nodes"): (
        _columns(
            "Name|Status|Roles|Age|Version",
            "Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime",
        ),
        _node,
    ),
    ("autoscaling", "horizontalpodautoscalers"): (
        _columns("Name|Reference|Targets|MinPods|MaxPods|Replicas|Age"),
        _autoscaler,
    ),
    ("policy", "poddisruptionbudgets"): (
        _columns("Name|Min Available|Max Unavailable|Allowed Disruptions|Age"),
        _budget,
    ),
    ("", "namespaces"): (_columns("Name|Status|Age"), _namespace),
    ("", "configmaps"): (_columns("Name|Data|Age"), _config_map),
    ("", "secrets"): (_columns("Name|Type|Data|Age"), _secret),
    ("discovery.k8s.io", "endpointslices"): (
        _columns("Name|AddressType|Ports|Endpoints|Age"),
        _endpoint_slice,
    ),
}
_PLAIN: tuple[Sequence[Column], Cells] = (_columns("Name|Age"), _plain)


class TableWriter:
    """Turns objects of one resource into Tables; `include` is includeObject of the request."""

    def __init__(self, resource: Resource, include: str) -> None:
        self._resource = resource
        self._include = include or "Metadata"
        self._columns, self._cells = _TABLES.get(resource.key, _PLAIN)
        if resource.columns:
            self._columns = [
                ("Name", 0),
                *((name, 0) for name, _, _ in resource.columns),
                ("Age", 0),
            ]
            self._cells = self._custom_cells

    def many(self, objects: list[Json], metadata: Json) -> Json:
        now = time.time()
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": self._definitions(),
            "rows": [self._row(obj, now) for obj in objects],
        }

    def single(self, obj: Json) -> Json:
        return self.many([obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")})

    def bookmark(self, obj: Json) -> Json:
        row = {"cells": [], "object": obj}
        metadata = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "columnDefinitions": None,
            "rows": [row],
        }

    def _definitions(self) -> list[Json]:
        return [
            {
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": priority,
            }
            for name, priority in self._columns
        ]

    def _row(self, obj: Json, now: float) -> Json:
        row: Json = {"cells": self._cells(obj, now)}
        match self._include:
            case "Object":
                row["object"] = obj
            case "Metadata":
                row["object"] = {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": obj["metadata"],
                }
            case _:
                pass
        return row

    def _custom_cells(self, obj: Json, now: float) -> list[Any]:
        cells: list[Any] = [name_of(obj)]
        for _, _, path in self._resource.columns:
            value: Any = obj
            for key in path.strip(".").split("."):
                value = value.get(key) if isinstance(value, dict) else None
            cells.append("" if value is None else value)
        return [*cells, age(obj["metadata"].get("creationTimestamp"), now)]
