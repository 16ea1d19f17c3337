"""The well-known lab from beginning to end on real nodes: its pods, its probes and its limits."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandbox.real_node import RealNodes
from tests.tour import lab
from tests.tour.conversation import Tour, running_sandbox

pytestmark = [pytest.mark.real_node, pytest.mark.slow]

EXTERNAL = "10.250.0.10"
OWN_NETWORK = 0x40000000  # CLONE_NEWNET
PATIENCE = 8.0


class RealFrontend:
    """An external address that the proxies of the nodes know. Giving one is a cloud's part; here
    it has a route to node 1."""

    address, is_real = EXTERNAL.replace(".", r"\."), True

    def __init__(self, nodes: RealNodes) -> None:
        self._nodes = nodes
        route = nodes.in_network("ip", "route", "replace", f"{EXTERNAL}/32", "via", "10.240.0.11")
        subprocess.run(route, check=True)
        # A thread has a network of its own; what it opens there stays there.
        self._inside = ThreadPoolExecutor(1, initializer=enter_network, initargs=(nodes.pid,))

    def close(self) -> None:
        self._inside.shutdown()

    def is_reachable(self, tour: Tour) -> bool:
        given = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": EXTERNAL}]}}})
        service = ("service", "frontend", "--subresource=status")
        self._nodes.kubectl("patch", *service, f"--patch={given}")
        return "message" in self.ask("/")

    def ask(self, path: str, client: int = 0) -> Any:
        asked = self._inside.submit(lab.ask_over_https, EXTERNAL, 443, path, "10.240.0.1")
        return asked.result()


def enter_network(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if libc.setns(network.fileno(), OWN_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def frontend(real_nodes: RealNodes) -> Iterator[RealFrontend]:
    made = RealFrontend(real_nodes)
    yield made
    made.close()
    for name in ("auth", "hello", "frontend"):
        real_nodes.kubectl("delete", f"deployment/{name}", f"service/{name}", "--wait=false")


def test_the_lab_is_told_from_beginning_to_end(real_node_bot: Path, frontend: RealFrontend) -> None:
    with (
        lab.sandbox() as arguments,
        running_sandbox(*arguments, "--kubeconfig", str(real_node_bot)) as tour,
    ):
        tour.patience = PATIENCE
        lab.tell(tour, frontend)
