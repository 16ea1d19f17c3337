"""The soak's spectator notices a Service that loses its last pod on the real control plane."""

from __future__ import annotations

import pytest

from sandbox.control_plane import ControlPlane
from tests.conftest import eventually
from tests.faults.invariants import times_without_ready_pods
from tests.soak.spectator import Spectator

pytestmark = pytest.mark.control_plane

APP = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: watched}
spec:
  replicas: 1
  selector: {matchLabels: {app: watched}}
  template:
    metadata: {labels: {app: watched}}
    spec: {containers: [{name: watched, image: "pilothouse/watched:1.0.0"}]}
---
apiVersion: v1
kind: Service
metadata: {name: watched}
spec: {selector: {app: watched}, ports: [{port: 80}]}
"""


def test_notices_a_service_that_briefly_had_no_pod(
    control_plane: ControlPlane,
) -> None:
    with Spectator(control_plane) as spectator:
        control_plane.kubectl("apply", "-f", "-", stdin=APP)
        try:
            assert eventually(lambda: _serves(spectator), within_s=30)
            assert list(times_without_ready_pods(["watched"], spectator.history())) == []
            control_plane.kubectl("scale", "deployment/watched", "--replicas=0")
            assert eventually(lambda: not _serves(spectator), within_s=30)
            control_plane.kubectl("scale", "deployment/watched", "--replicas=1")
            assert eventually(lambda: _serves(spectator), within_s=30)
            (told,) = times_without_ready_pods(["watched"], spectator.history())
            assert "Service watched selected no ready pod" in told
            assert spectator.gaps == []
        finally:
            control_plane.kubectl("delete", "-f", "-", "--wait=false", stdin=APP)


def _serves(spectator: Spectator) -> bool:
    slices = [
        write
        for write in spectator.history()
        if write["resource"].startswith("endpointslices") and write["name"].startswith("watched")
    ]
    return bool(slices) and any(
        one["conditions"].get("ready") for one in slices[-1]["object"].get("endpoints") or ()
    )
