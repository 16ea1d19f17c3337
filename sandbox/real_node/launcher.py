"""`with RealNodes() as cluster:` is a real cluster for the time of the block: the real control
plane, and nodes that run pods, in namespaces of their own.

The machine's network, mounts, processes and cgroups stay as they are: the cluster has its own, and
all of them end with its first process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from sandbox.control_plane.launcher import ControlPlane, answers
from sandbox.free_ports import free_ports
from sandbox.real_node import cgroups
from sandbox.real_node.binaries import APP, KUBE, RUNTIME
from sandbox.real_node.certificates import write_certificates
from sandbox.real_node.machine import check_machine

FOLDER = Path(__file__).parent
INSIDE = FOLDER / "inside"
# The addresses that inside/cluster.sh and inside/node.sh give.
API_ADDRESS = "10.240.0.1"
API_PORT = 6443
REGISTRY = f"{API_ADDRESS}:5000"
DNS = f"{API_ADDRESS}:53"
ETCD = ("http://127.0.0.1:2379", "http://127.0.0.1:2380")
# Three kubelet leases of 2 s are missed before a node counts as lost, and its pods are replaced
# soon: the defaults of 50 s and 300 s would make a test of it take six minutes.
NODE_LOST_AFTER = "8s"
PODS_REPLACED_AFTER_S = 2


class RealNodes(ControlPlane):
    """The real Kubernetes with `nodes` real nodes. Its pods pull from a registry of its own: the
    demo app, and what the OCI layout `images` holds.

    Raises BinariesMissing where it was not built, MachineUnfit where this machine cannot run it,
    ControlPlaneFailed where it does not start.
    """

    def __init__(
        self, folder: Path | None = None, *, nodes: int = 2, images: Path | None = None
    ) -> None:
        super().__init__(folder, nodes=nodes)
        self._images = images
        self._cgroup = ""
        self.pid = 0

    @property
    def authority(self) -> Path:
        return self.folder / "certs" / "ca.crt"

    @property
    def kubeconfig_of_parts(self) -> Path:
        return self.folder / "inside.kubeconfig"

    @property
    def cgroup(self) -> str:
        """The name of the cluster's cgroup in each of the machine's hierarchies."""
        return self._cgroup

    def start(self) -> None:
        for build in (KUBE, RUNTIME, APP):
            build.built()
        check_machine()
        super().start()

    def in_network(self, *command: str | Path) -> list[str | Path]:
        """The command for a process of this machine in the cluster's network: it reaches pods and
        Services."""
        return ["nsenter", "--target", str(self.pid), "--net", *command]

    def forward_in(self, target: str) -> int:
        """The port on this machine's loopback that leads to HOST:PORT in the cluster's network."""
        (port,) = free_ports(1)
        self._forward("in", f"127.0.0.1:{port}", target)
        return port

    def forward_out(self, inside_port: int, port: int) -> str:
        """The https URL that leads pods to a port on this machine's loopback; the cluster's
        authority has signed its certificate."""
        address = f"{API_ADDRESS}:{inside_port}"
        certificate = self.folder / "certs" / "apiserver"
        pair = (certificate.with_suffix(".crt"), certificate.with_suffix(".key"))
        self._forward("out", address, f"127.0.0.1:{port}", *pair)
        return f"https://{address}"

    def lose_node(self, number: int) -> None:
        """The loss of a machine: every process on it is gone at once, without a goodbye."""
        assert self._processes is not None
        lost = self._processes.kill(f"node-{number}")
        self._processes.components.remove(lost)

    def boot_node(self, number: int) -> None:
        """The machine is back. Returns once its node is ready."""
        # With its old containers' cgroups a kubelet takes minutes to become ready.
        cgroups.remove(f"{self._cgroup}/node-{number}")
        self._start_node(number)
        node = f"node/node-{number}"
        self.kubectl("wait", node, "--for=condition=Ready", "--timeout=240s")

    def _start_once(self) -> None:
        self._cgroup = f"pilothouse-{self._token[:12]}"
        remover = [sys.executable, "-I", str(FOLDER / "cgroups.py"), self._cgroup]
        self._prepare("pilothouse-real-node-", last=remover)
        write_certificates(self.folder / "certs", ["127.0.0.1", API_ADDRESS, "10.96.0.1"])
        inside = f"https://{API_ADDRESS}:{API_PORT}"
        self._write_kubeconfig(self.kubeconfig_of_parts, self._token, "default", inside)
        self._start_namespaces()
        self._start_etcd(*ETCD)
        self._start_real_api_server()
        self._start_program("registry", REGISTRY, APP.built(), *filter(None, [self._images]))
        self._start_program("dns", DNS, inside, self.authority, self.folder / "tokens.csv")
        # The API server, on this machine's loopback.
        self._forward("in", f"127.0.0.1:{self.port}", f"{API_ADDRESS}:{API_PORT}")
        with self._ready_client() as api:
            self._start_controllers(
                "--service-account-private-key-file=sa.key",
                f"--root-ca-file={self.authority}",
                f"--node-monitor-grace-period={NODE_LOST_AFTER}",
                "--node-monitor-period=1s",
            )
            for number in range(1, self._node_count + 1):
                self._start_node(number)
            self._wait_until(lambda: _nodes_ready(api) == self._node_count, "the nodes")
            self._wait_for_controllers(api)

    def _start_namespaces(self) -> None:
        assert self._processes is not None
        run = self.folder / "run"
        run.mkdir()
        script: list[str | Path] = [INSIDE / "apart.sh", self._cgroup, INSIDE / "cluster.sh"]
        self._processes.start("cluster", [*script, self.folder], self.folder)
        self._wait_until((run / "cluster").exists, "the namespaces")
        self.pid = int((run / "cluster").read_text())

    def _start_real_api_server(self) -> None:
        certs = self.folder / "certs"
        self._start_api_server(
            ETCD[0],
            f"--secure-port={API_PORT}",
            f"--advertise-address={API_ADDRESS}",
            f"--tls-cert-file={certs / 'apiserver.crt'}",
            f"--tls-private-key-file={certs / 'apiserver.key'}",
            f"--kubelet-client-certificate={certs / 'kubelet-client.crt'}",
            f"--kubelet-client-key={certs / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            f"--default-not-ready-toleration-seconds={PODS_REPLACED_AFTER_S}",
            f"--default-unreachable-toleration-seconds={PODS_REPLACED_AFTER_S}",
        )

    def _forward(self, direction: str, listen: str, target: str, *certificate: Path) -> None:
        assert self._processes is not None
        words: list[str | Path] = [direction, str(self.pid), listen, target, *certificate]
        started = self._processes.start(
            f"forward-{listen}", [sys.executable, "-I", FOLDER / "forward.py", *words], self.folder
        )
        self._wait_until(lambda: started.log.stat().st_size > 0, f"the forward of {listen}")

    def _start_program(self, name: str, *words: str | Path) -> None:
        """One of this folder's, in the cluster's namespaces."""
        self._spawn_program(name, sys.executable, "-I", FOLDER / f"{name}.py", *words)

    def _start_node(self, number: int) -> None:
        self._spawn_program(
            f"node-{number}", INSIDE / "join.sh", self.folder, str(self._node_count), str(number),
            RUNTIME.built(), KUBE.built(),
        )  # fmt: skip

    def _spawn(self, name: str, *arguments: str) -> None:
        self._spawn_program(name, self.binaries / name, *arguments)

    def _spawn_program(self, name: str, *command: str | Path) -> None:
        """Starts a part in the cluster's namespaces and cgroup."""
        assert self._processes is not None
        enter: list[str | Path] = [INSIDE / "enter.sh", self._cgroup, str(self.pid)]
        self._processes.start(name, [*enter, *command], self.folder)

    def _stop_processes(self) -> None:
        if self._processes is not None and self._processes.components:
            self._processes.kill("cluster")  # and with it everything in its namespaces
        if self._cgroup:
            cgroups.remove(self._cgroup)
        super()._stop_processes()


def _nodes_ready(api: httpx.Client) -> int:
    if not answers(api, "/readyz"):
        return 0
    nodes = api.get("/api/v1/nodes").raise_for_status().json()["items"]
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for node in nodes
        for condition in node["status"].get("conditions", ())
    )
