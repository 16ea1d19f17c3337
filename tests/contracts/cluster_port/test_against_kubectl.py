"""What people read, against what kubectl itself prints for the same cluster."""

from __future__ import annotations

import pytest

from bot.cluster import KubernetesCluster
from bot.releases.facts.target import Target
from sandbox.control_plane import ControlPlane
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment, service

pytestmark = pytest.mark.control_plane

EXPLAINED = (
    ("deploy", False),
    ("deployments", True),
    ("deploy.spec.replicas", False),
    ("deployment.spec.strategy", False),
    ("pod.spec.restartPolicy", False),
    ("po.spec.containers.ports", False),
    ("pods", True),
    ("deploy.metadata.labels", False),
    ("svc.spec.ports.targetPort", False),
    ("svc.spec.selector", True),
    ("hpa.spec.metrics", False),
    ("pvc.spec", False),
    ("netpol.spec.ingress.from", True),
    ("events", False),
    ("secret", False),
    ("csr.spec", False),
    ("crd.spec.versions.schema.openAPIV3Schema.properties", False),
    ("widgets", True),
    ("widgets.spec", False),
    ("widgets.spec.color", False),
    ("widgets.spec.port", False),
    ("widgets.spec.parts.name", False),
)

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, shortNames: [wd]}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        description: A widget.
        properties:
          spec:
            type: object
            description: What it shall be.
            required: [size]
            properties:
              size: {type: integer, description: How big.}
              color: {type: string, enum: [red, blue], description: Its color.}
              parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
              any: {x-kubernetes-preserve-unknown-fields: true}
              port: {x-kubernetes-int-or-string: true}
              labels: {type: object, additionalProperties: {type: string}}
"""


@pytest.fixture
def lab(control_plane: ControlPlane, namespace: str) -> Lab:
    found = Lab(
        KubernetesCluster(kubeconfig=str(control_plane.kubeconfig)),
        namespace,
        control_plane.kubeconfig,
    )
    found.create("deployments", deployment())
    found.create("services", service())
    found.settled()
    return found


def test_explain_matches_kubectl_exactly(control_plane: ControlPlane, lab: Lab) -> None:
    control_plane.kubectl("apply", "-f", "-", stdin=WIDGETS)
    assert eventually(
        lambda: (
            "widgets"
            in control_plane.kubectl("api-resources", "--api-group=example.com", "--cached=false")
        )
    )
    assert eventually(
        lambda: "example.com/v1" in str(lab.cluster.connection.get("/openapi/v3")["paths"])
    )
    for path, recursive in EXPLAINED:
        wanted = control_plane.kubectl("explain", path, *(("--recursive",) if recursive else ()))
        assert lab.cluster.explain(path, recursive=recursive) == wanted.rstrip("\n"), path


@pytest.mark.parametrize("kind", ["deployments", "replicasets", "pods", "services"])
@pytest.mark.parametrize("wide", [False, True])
def test_tables_match_kubectl_get(
    control_plane: ControlPlane, lab: Lab, kind: str, wide: bool
) -> None:
    def matches() -> bool:
        """Ages go on between the two looks, so they may have to be taken again."""
        table = lab.cluster.table(
            [Target("hello", "local", lab.namespace, "hello", None, ("hello",))], kind, wide=wide
        )
        ours = [" ".join(row).split() for row in (table.columns, *table.rows)]
        printed = control_plane.kubectl(
            "get", kind, "-n", lab.namespace, *(("-o", "wide") if wide else ())
        )
        return ours == [line.split() for line in printed.splitlines()]

    assert eventually(matches)
