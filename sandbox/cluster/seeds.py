"""The contents of a fresh cluster: namespaces, nodes, default service accounts, one custom
resource."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.cluster.objects import Json, timestamp

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service_account(name: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": name},
    }


def node(number: int, allocatable: Mapping[str, str], now: float) -> Json:
    since = timestamp(now)
    name = f"node-{number}"
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
        "lastHeartbeatTime": since,
        "lastTransitionTime": since,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"zone-{'abc'[(number - 1) % 3]}",
            },
        },
        "spec": {"podCIDR": f"10.0.{number}.0/24"},
        "status": {
            "allocatable": dict(allocatable),
            "capacity": dict(allocatable),
            "conditions": [condition],
            "addresses": [
                {"type": "InternalIP", "address": f"10.1.0.{number}"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.36.3",
                "kubeProxyVersion": "",
                "osImage": "Simulated Linux",
                "kernelVersion": "6.0.0",
                "containerRuntimeVersion": "containerd://2.0.0",
                "architecture": "amd64",
                "operatingSystem": "linux",
                "machineID": "",
                "systemUUID": "",
                "bootID": "",
            },
        },
    }


def sample_definition() -> Json:
    """A custom resource such as teams define: an app's dashboard."""
    properties = {
        "spec": {
            "type": "object",
            "description": "What the dashboard shows.",
            "required": ["title"],
            "properties": {
                "title": {"type": "string", "description": "The heading of the dashboard."},
                "refreshSeconds": {
                    "type": "integer",
                    "format": "int32",
                    "description": "Seconds between two refreshes.",
                    "minimum": 1,
                },
                "panels": {
                    "type": "array",
                    "description": "Panels from top to bottom.",
                    "items": {
                        "type": "object",
                        "required": ["query"],
                        "properties": {
                            "query": {"type": "string", "description": "What the panel asks for."},
                            "unit": {
                                "type": "string",
                                "description": "The unit of its axis.",
                                "enum": ["requests", "seconds", "bytes"],
                            },
                        },
                    },
                },
            },
        },
        "status": {
            "type": "object",
            "description": "Where the dashboard can be seen.",
            "properties": {"url": {"type": "string", "description": "Its address."}},
        },
    }
    schema = {"type": "object", "description": "Dashboard describes a dashboard of an application.",
              "properties": properties}  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "dashboards.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {
                "plural": "dashboards",
                "singular": "dashboard",
                "kind": "Dashboard",
                "listKind": "DashboardList",
                "shortNames": ["dash"],
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Title", "type": "string", "jsonPath": ".spec.title"}
                    ],
                }
            ],
        },
    }
