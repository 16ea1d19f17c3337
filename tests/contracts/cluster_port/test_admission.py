"""A write that an admission webhook of a real API server judges: one that is dead, one that is
slow."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.connect import REQUEST_TIMEOUT_S
from bot.ports import ClusterUnreachable
from bot.releases.facts.actions import FieldChange, PatchDeployment
from bot.releases.facts.intent import Field
from sandbox.cluster.network.certificates import context_of, self_signed
from sandbox.control_plane import ControlPlane
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment

pytestmark = pytest.mark.control_plane
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
SLOW_S = 6.0


@contextmanager
def judged_lab(
    control_plane: ControlPlane, namespace: str, client: dict[str, str]
) -> Iterator[Lab]:
    """A namespace with the demo app, whose updates the webhook judges."""
    cluster = KubernetesCluster(kubeconfig=str(control_plane.kubeconfig))
    labels = {"app": namespace}
    cluster.connection.post(
        "/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}}
    )
    lab = Lab(cluster, namespace, Path(control_plane.kubeconfig))
    lab.create("deployments", deployment())
    rule = {
        "apiGroups": ["apps"],
        "apiVersions": ["v1"],
        "operations": ["UPDATE"],
        "resources": ["deployments"],
    }
    hook = {
        "name": "policy.example.com",
        "clientConfig": client,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": labels},
        "rules": [rule],
    }
    cluster.connection.post(HOOKS, {"metadata": {"name": namespace}, "webhooks": [hook]})
    try:
        yield lab
    finally:
        cluster.connection.send("DELETE", f"{HOOKS}/{namespace}")
        cluster.connection.send("DELETE", f"/api/v1/namespaces/{namespace}")


def scaled(lab: Lab) -> PatchDeployment:
    change = FieldChange(Field.REPLICAS, 2, 3)
    return PatchDeployment("hello", lab.stable().uid, "", (change,))


def test_a_dead_webhook_that_fails_closed_is_named(control_plane: ControlPlane) -> None:
    """The API server answers 500 in Kubernetes' own words: the write is tried again, nothing is
    rolled back for it."""
    dead = {"url": "https://127.0.0.1:1/validate"}
    with judged_lab(control_plane, "dead-webhook", dead) as lab:

        def is_in_force() -> bool:
            try:
                lab.edit("deployments", "hello", {"metadata": {"labels": {"app": "hello"}}})
            except ClusterUnreachable:
                return True
            return False

        assert eventually(is_in_force)
        with pytest.raises(ClusterUnreachable, match="failed calling webhook"):
            lab.cluster.apply(lab.target, scaled(lab))


class SlowPolicy:
    """Allows everything. ``judged``: replicas of each update by the bot, which alone is kept
    waiting."""

    def __init__(self) -> None:
        self.judged: list[int] = []
        self.reviews = 0

    def review(self, request: dict[str, Any]) -> dict[str, Any]:
        self.reviews += 1
        options = request.get("options") or {}
        if options.get("fieldManager") == "pilothouse":
            self.judged.append(request["object"]["spec"]["replicas"])
            threading.Event().wait(SLOW_S)
        response = {"uid": request["uid"], "allowed": True}
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        }


@contextmanager
def serving(policy: SlowPolicy) -> Iterator[dict[str, str]]:
    """The webhook's clientConfig."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(policy.review(review["request"])).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: Any) -> None:
            """Nothing."""

    certificate, key = self_signed()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context: ssl.SSLContext = context_of(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield {
            "url": f"https://127.0.0.1:{server.server_address[1]}/validate",
            "caBundle": base64.b64encode(certificate).decode(),
        }
    finally:
        server.shutdown()
        server.server_close()


def test_a_slow_webhook_that_allows_the_write_is_waited_for(control_plane: ControlPlane) -> None:
    """Longer than any read may take: the write succeeds, and is sent once."""
    policy = SlowPolicy()
    with (
        serving(policy) as client,
        judged_lab(control_plane, "slow-webhook", client) as lab,
    ):

        def is_in_force() -> bool:
            lab.edit(
                "deployments", "hello", {"metadata": {"labels": {"round": str(time.time_ns())}}}
            )
            return policy.reviews > 0

        def is_settled() -> bool:
            """The API server starts a patch, and its admission, again when the status changes
            under it."""
            found = lab.read("deployments", "hello")
            status = found.get("status") or {}
            is_observed = status.get("observedGeneration") == found["metadata"]["generation"]
            return is_observed and status.get("availableReplicas") == 2

        assert eventually(is_in_force) and eventually(is_settled)
        began = time.monotonic()
        written = lab.cluster.apply(lab.target, scaled(lab))
        assert time.monotonic() - began >= SLOW_S > REQUEST_TIMEOUT_S
        assert written is not None and written.deployment is not None
        assert written.deployment.replicas == 3 and policy.judged == [3]
