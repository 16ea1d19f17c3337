"""The cluster of real nodes itself: it runs pods, it is shut in, and it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.real_node import RealNodes, cgroups
from tests.conftest import eventually

pytestmark = pytest.mark.real_node

ENDED_WITHIN_S = 120.0  # a busy disk

HOLDS_ONE = """
import signal, sys
# A shell starts what it puts in the background deaf to SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from sandbox.real_node import RealNodes
with RealNodes(nodes=1) as cluster:
    cluster.kubectl("run", "hello", "--image=pilothouse/hello:1.0.0")
    cluster.kubectl("wait", "pod/hello", "--for=condition=Ready", "--timeout=180s")
    print(cluster.folder, cluster.cgroup, cluster.pid, flush=True)
    sys.stdin.read()
"""


def _processes_of(folder: str) -> list[str]:
    """Those whose words name the folder, and those with a mount in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_text()
                if folder in words or folder in (entry / "mountinfo").read_text():
                    found.append(words)
            except OSError:
                continue
    return found


def _cgroups_of(name: str) -> list[Path]:
    return [top / name for top in cgroups.hierarchies() if (top / name).exists()]


def test_two_nodes_of_the_version_of_the_modules_are_ready(real_nodes: RealNodes) -> None:
    nodes = real_nodes.kubectl("get", "nodes", "--no-headers", "-o", "wide").splitlines()
    assert len(nodes) == 2
    assert all(" Ready " in line and "containerd://2." in line for line in nodes)
    assert all("v1.36." in line for line in nodes)


def test_a_pod_writes_logs_and_runs_commands_through_the_kubelet(real_nodes: RealNodes) -> None:
    real_nodes.kubectl("run", "talker", "--image=pilothouse/hello:1.0.0")
    real_nodes.kubectl("wait", "pod/talker", "--for=condition=Ready", "--timeout=180s")
    assert "hello 1.0.0 starts in talker" in real_nodes.kubectl("logs", "talker")
    real_nodes.kubectl("delete", "pod", "talker", "--wait=false")


def test_the_cluster_has_no_way_out_of_the_machine(real_nodes: RealNodes) -> None:
    routes = subprocess.run(
        real_nodes.in_network("ip", "route"), capture_output=True, text=True, check=True
    ).stdout
    assert "default" not in routes
    links = subprocess.run(
        real_nodes.in_network("ip", "-o", "link"), capture_output=True, text=True, check=True
    ).stdout
    names = {line.split(": ")[1].partition("@")[0] for line in links.splitlines()}
    assert names == {"lo", "br0", "veth-1", "veth-2"}


def test_the_machine_sees_nothing_of_the_cluster_but_one_port(real_nodes: RealNodes) -> None:
    assert str(real_nodes.folder) not in Path("/proc/self/mountinfo").read_text()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert "br0" not in links and "veth-" not in links


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_nothing_is_left_behind_when_the_owner_ends(
    real_nodes: RealNodes, ending: signal.Signals
) -> None:
    """Not a process, mount, namespace, cgroup or file. (The nodes of the suite go on.)"""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_ONE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder, cgroup, pid = owner.stdout.readline().split()
        network = os.readlink(f"/proc/{pid}/ns/net")
        assert len(_processes_of(folder)) > 8
        assert _cgroups_of(cgroup)
        owner.send_signal(ending)
        assert eventually(lambda: owner.poll() is not None, ENDED_WITHIN_S)
    assert eventually(lambda: _processes_of(folder) == [], ENDED_WITHIN_S)
    assert eventually(lambda: _cgroups_of(cgroup) == [], ENDED_WITHIN_S)
    assert eventually(lambda: not Path(folder).exists(), ENDED_WITHIN_S)
    assert network not in _networks()
    assert folder not in Path("/proc/mounts").read_text()


def _networks() -> set[str]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add(os.readlink(entry / "ns" / "net"))
            except OSError:
                continue
    return found
