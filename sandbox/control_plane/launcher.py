"""`with ControlPlane() as cluster:` is a real control plane for the time of the block: API server,
controllers, scheduler, nodes."""

from __future__ import annotations

import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.control_plane.audit import POLICY
from sandbox.control_plane.binaries import MODULE, built_binaries
from sandbox.control_plane.processes import ProcessGroup
from sandbox.free_ports import free_ports

READY_WITHIN_S = 60.0
ATTEMPTS = 3
POLL_S = 0.05
CONTEXT = "sandbox"
# Node lifecycle is not run (no kubelet renews a lease), nor anything that needs a cloud or real
# volumes.
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "endpointslice-controller",
    "endpoints-controller",  # the Service proxy of the API server reads Endpoints
    "garbage-collector-controller",
    "namespace-controller",
    "horizontal-pod-autoscaler-controller",
    "disruption-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
)


class ControlPlaneFailed(Exception):
    """A process of the control plane ended or did not become ready; the message holds the end of
    its log."""


class ControlPlane:
    """The real Kubernetes, with `nodes` simulated nodes. Attributes are set once it is started.

    url, port      where the API server listens, on loopback
    kubeconfig     a file with an admin's credentials (context `sandbox`)
    audit          the API server's log of what service accounts asked of it (audit.py reads it)
    binaries       the folder with kubectl and helm

    Raises BinariesMissing where it was not built, ControlPlaneFailed where it does not start.
    """

    def __init__(self, folder: Path | None = None, *, nodes: int = 3) -> None:
        self._kept = folder
        self._node_count = nodes
        self._processes: ProcessGroup | None = None
        self._token = secrets.token_hex(16)
        self._previous: Callable[[int, FrameType | None], Any] | int | signal.Handlers | None = None
        self.binaries = Path()
        self.folder = Path()
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.log"

    @property
    def kubeconfig_of_parts(self) -> Path:
        """What the parts of the cluster reach the API server by."""
        return self.kubeconfig

    @property
    def authority(self) -> Path:
        """The certificate that the API server's is verified by. It signs its own while it starts:
        there is nothing to verify it by before that."""
        return self.folder / "certs" / "apiserver.crt"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        self.binaries = built_binaries()
        self._end_on_termination()
        try:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._start_once()
                    return
                except ControlPlaneFailed as failure:
                    # A port that was free a moment ago may be taken by now: try others.
                    if attempt == ATTEMPTS or "address already in use" not in str(failure):
                        raise
                    self._stop_processes()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._stop_processes()
        self._restore_termination()

    def check(self) -> None:
        """Raises ControlPlaneFailed, with the end of its log, where a process has ended by
        itself."""
        ended = self._processes.ended() if self._processes is not None else None
        if ended is not None:
            raise ControlPlaneFailed(f"{ended.name} ended:\n{ended.last_lines()}")

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """A kubeconfig that acts as the service account, by a token that the API server issued
        (TokenRequest)."""
        token = self.kubectl(
            "create", "token", service_account, "--namespace", namespace, "--duration", "24h"
        ).strip()
        path = self.folder / f"kubeconfig-{namespace}-{service_account}"
        self._write_kubeconfig(path, token, namespace)
        return path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Runs kubectl as admin and returns what it prints. Raises ControlPlaneFailed with
        kubectl's own words."""
        return self._run("kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """Runs helm as admin and returns what it prints. Raises ControlPlaneFailed with helm's own
        words."""
        return self._run("helm", f"--kubeconfig={self.kubeconfig}", *arguments)

    def _run(self, name: str, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [self.binaries / name, *arguments],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=120,
        )
        if done.returncode != 0:
            raise ControlPlaneFailed(f"{name} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _start_once(self) -> None:
        self._prepare("pilothouse-control-plane-")
        client, peer = free_ports(2)
        self._start_etcd(f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}")
        self._start_api_server(
            f"http://127.0.0.1:{client}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--cert-dir=certs",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            # TaintNodesByCondition taints every new node not-ready, and only the node-lifecycle
            # controller removes that again. The ServiceAccount admission would mount tokens, which
            # simulated pods do not need.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        )
        self._wait_until(self.authority.exists, "the API server's certificate")
        with self._ready_client() as api:
            self._start_controllers(
                f"--controllers={','.join(CONTROLLERS)}",
                "--horizontal-pod-autoscaler-sync-period=2s",
            )
            self._spawn(
                "kwok",
                f"--kubeconfig={self.kubeconfig}",
                "--manage-all-nodes=true",
                "--cidr=10.0.0.0/16",
                f"--config={MODULE / 'stages.yaml'}",
            )
            for number in range(1, self._node_count + 1):
                api.post("/api/v1/nodes", json=_node(number)).raise_for_status()
            self._wait_until(lambda: _nodes_joined(api) == self._node_count, "the nodes")
            self._wait_for_controllers(api)

    def _prepare(self, prefix: str, last: Sequence[str] = ()) -> None:
        """The folder with what the API server reads, and a group for the processes."""
        self.folder = self._kept or Path(tempfile.mkdtemp(prefix=prefix))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # holds the signing key and the admin's token
        self._processes = ProcessGroup(remove_folder=None if self._kept else self.folder, last=last)
        (self.port,) = free_ports(1)
        _write_signing_key(self.folder / "sa.key")
        (self.folder / "audit-policy.yaml").write_text(POLICY)
        (self.folder / "tokens.csv").write_text(f"{self._token},admin,admin,system:masters\n")
        self._write_kubeconfig(self.kubeconfig, self._token, "default")

    @contextmanager
    def _ready_client(self) -> Iterator[httpx.Client]:
        """An admin's client, once the API server is ready."""
        with self._client() as api:
            self._wait_until(lambda: answers(api, "/readyz"), "the API server")
            yield api

    def _wait_for_controllers(self, api: httpx.Client) -> None:
        """Pods can be made once a controller has made the default service account."""
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._wait_until(lambda: answers(api, account), "the controllers")

    def restart_api_server(self) -> None:
        """Simulates a crash: the server loses its watch cache, so every watch restarts. Returns
        once it serves again."""
        assert self._processes is not None
        self._processes.restart("kube-apiserver")
        with self._ready_client():
            pass

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(self.authority)),
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=5.0,
            trust_env=False,
        )

    def _start_etcd(self, client: str, peer: str) -> None:
        # No fsync: the state lives only as long as the block.
        self._spawn(
            "server",
            "--data-dir=etcd",
            "--unsafe-no-fsync",
            "--log-level=error",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def _start_api_server(self, etcd: str, *options: str) -> None:
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--token-auth-file=tokens.csv",
            "--audit-policy-file=audit-policy.yaml",
            f"--audit-log-path={self.audit}",
            *options,
        )

    def _start_controllers(self, *options: str) -> None:
        # The default client rate limits make the controllers crawl at a few hundred pods.
        shared = (
            f"--kubeconfig={self.kubeconfig_of_parts}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=2000",
            "--kube-api-burst=4000",
        )
        self._spawn("kube-controller-manager", *shared, *options)
        self._spawn("kube-scheduler", *shared)

    def _spawn(self, name: str, *arguments: str) -> None:
        assert self._processes is not None
        self._processes.start(name, [self.binaries / name, *arguments], self.folder)

    def _wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        assert self._processes is not None
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_so():
            ended = self._processes.ended()
            if ended is not None:
                raise ControlPlaneFailed(
                    f"{ended.name} ended while {what} was waited for:\n{ended.last_lines()}"
                )
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"{part.name}: {part.last_lines(2)}" for part in self._processes.components
                )
                raise ControlPlaneFailed(f"{what} not ready after {READY_WITHIN_S:.0f} s:\n{logs}")
            time.sleep(POLL_S)

    def _write_kubeconfig(
        self, path: Path, token: str, namespace: str, server: str | None = None
    ) -> None:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": CONTEXT,
                    "cluster": {
                        "server": server or self.url,
                        "certificate-authority": str(self.authority),
                    },
                }
            ],
            "users": [{"name": CONTEXT, "user": {"token": token}}],
            "contexts": [
                {
                    "name": CONTEXT,
                    "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace},
                }
            ],
            "current-context": CONTEXT,
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(document))

    def _stop_processes(self) -> None:
        processes, self._processes = self._processes, None
        if processes is not None:
            processes.stop()
            if self._kept is None:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _end_on_termination(self) -> None:
        # SIGTERM would end Python without leaving the block; SystemExit leaves it. Someone else's
        # handler stays.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            self._previous = signal.signal(signal.SIGTERM, _leave)

    def _restore_termination(self) -> None:
        if self._previous is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _write_signing_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


def answers(api: httpx.Client, path: str) -> bool:
    try:
        return api.get(path).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _node(number: int) -> dict[str, Any]:
    size = {"cpu": "32", "memory": "256Gi", "pods": "500"}
    return {
        "metadata": {
            "name": f"node-{number}",
            "labels": {"kubernetes.io/hostname": f"node-{number}"},
        },
        "status": {
            "allocatable": size,
            "capacity": size,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "InternalIP", "address": f"10.1.0.{number}"}],
        },
    }


def _nodes_joined(api: httpx.Client) -> int:
    """KWOK manages the pods of a node from the moment a stage has marked the node running."""
    nodes = api.get("/api/v1/nodes").raise_for_status().json()["items"]
    return sum(node["status"].get("phase") == "Running" for node in nodes)
