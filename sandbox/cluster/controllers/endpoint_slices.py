"""The EndpointSlice controller: one slice per Service, following selector, readiness and
termination of pods."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, DeleteOptions
from sandbox.cluster.api_server.resources import ENDPOINT_SLICES, PODS, SERVICES
from sandbox.cluster.api_server.selectors import plain_selector_test
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import (
    Json,
    controller_reference,
    copy_json,
    is_controlled_by,
    is_pod_ready,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    semantically_equal,
    uid_of,
)

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"
_MOST = 100  # endpoints in one slice


class EndpointSliceController:
    """Key: (namespace, name) of a Service."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("endpoints", self.sync)

    def pod_changed(self, before: Json | None, after: Json) -> None:
        """Wakes the Services whose selector matches the pod now or matched it before."""
        namespace = namespace_of(after)
        for service in self._view.store.iterate(SERVICES, namespace):
            matches = plain_selector_test(service["spec"].get("selector"))
            if matches(labels_of(after)) or (before is not None and matches(labels_of(before))):
                self._view.queue.add("endpoints", (namespace, name_of(service)))

    def sync(self, key: tuple[str, str]) -> None:
        service = self._view.store.get(SERVICES, *key)
        if (
            service is None
            or not service["spec"].get("selector")
            or service["spec"].get("type") == "ExternalName"
        ):
            return
        groups = list(self._grouped(service, key[0]))
        wanted = [
            (ports, endpoints[at : at + _MOST])
            for ports, endpoints in groups
            for at in range(0, len(endpoints), _MOST)
        ]
        present = self._present(service)
        for at in range(max(len(wanted), len(present), 1)):
            ports, endpoints = wanted[at] if at < len(wanted) else ([], [])
            if at < len(present):
                self._update(service, present[at], ports, endpoints, last=at > 0)
            else:
                self._create(service, ports, endpoints)

    def _grouped(self, service: Json, namespace: str) -> Iterable[tuple[list[Json], list[Json]]]:
        """Endpoints by their ports, which differ where pods give a port name different numbers."""
        matches = plain_selector_test(service["spec"]["selector"])
        groups: dict[str, tuple[list[Json], list[Json]]] = {}
        for pod in self._view.store.iterate(PODS, namespace):
            status = pod.get("status", {})
            has_ended = status.get("phase") in ("Succeeded", "Failed")
            if not matches(labels_of(pod)) or not status.get("podIP") or has_ended:
                continue
            ports = slice_ports(service, pod)
            groups.setdefault(repr(ports), (ports, []))[1].append(endpoint(service, pod))
        for _, endpoints in groups.values():
            endpoints.sort(key=lambda item: item["targetRef"]["name"])
        return groups.values()

    def _present(self, service: Json) -> list[Json]:
        """The slices that this controller created for the Service."""
        return [
            item
            for item in self._view.store.list_all(ENDPOINT_SLICES, namespace_of(service))
            if labels_of(item).get(SERVICE_NAME) == name_of(service)
            and labels_of(item).get(MANAGED_BY)
            and is_controlled_by(item, service)
        ]

    def _update(
        self, service: Json, item: Json, ports: list[Json], endpoints: list[Json], *, last: bool
    ) -> None:
        if not endpoints and last:
            self._view.registry.delete(
                ENDPOINT_SLICES,
                namespace_of(item),
                name_of(item),
                CONTROLLER_MANAGER,
                DeleteOptions(),
            )
            return
        changed: Json = copy_json(item)
        changed["endpoints"] = endpoints
        changed["ports"] = ports
        changed["metadata"]["labels"] = self._labels(service)
        if not semantically_equal(item, changed):
            if (
                not semantically_equal(item.get("endpoints"), endpoints)
                or item.get("ports") != ports
            ):
                changed["metadata"]["generation"] = item["metadata"].get("generation", 1) + 1
            self._view.registry.write_directly(ENDPOINT_SLICES, changed, CONTROLLER_MANAGER)

    def _create(self, service: Json, ports: list[Json], endpoints: list[Json]) -> None:
        item: Json = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{name_of(service)}-",
                "namespace": namespace_of(service),
                "labels": self._labels(service),
                "ownerReferences": [controller_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": ports,
        }
        self._view.registry.create_directly(ENDPOINT_SLICES, item, CONTROLLER_MANAGER)

    def _labels(self, service: Json) -> dict[str, str]:
        labels = {
            **labels_of(service),
            MANAGED_BY: "endpointslice-controller.k8s.io",
            SERVICE_NAME: name_of(service),
        }
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        return labels


def target_port(port: Json, pod: Json) -> int | None:
    """The number behind a Service port's targetPort in this pod."""
    target: Any = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or ():
        for found in container.get("ports") or ():
            if found.get("name") == target and found.get("protocol", "TCP") == port.get(
                "protocol", "TCP"
            ):
                number: int = found["containerPort"]
                return number
    return None


def slice_ports(service: Json, pod: Json) -> list[Json]:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is None:
            continue
        found: Json = {
            "name": port.get("name", ""),
            "protocol": port.get("protocol", "TCP"),
            "port": number,
        }
        if port.get("appProtocol"):
            found["appProtocol"] = port["appProtocol"]
        ports.append(found)
    return ports


def endpoint(service: Json, pod: Json) -> Json:
    """One endpoint (endpointslice podToEndpoint): terminating pods serve while they are ready, but
    are not `ready`."""
    serving = is_pod_ready(pod)
    terminating = is_terminating(pod)
    publishes_all = bool(service["spec"].get("publishNotReadyAddresses"))
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": publishes_all or (serving and not terminating),
            "serving": serving,
            "terminating": terminating,
        },
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace_of(pod),
            "name": name_of(pod),
            "uid": uid_of(pod),
        },
    }
