from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sandbox.control_plane import ControlPlane, ControlPlaneFailed
from sandbox.control_plane.processes import ProcessGroup

HOLDS_ONE = """
import signal, sys
# A shell starts what it puts in the background deaf to SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from sandbox.control_plane import ControlPlane
with ControlPlane() as cluster:
    print(cluster.folder, flush=True)
    sys.stdin.read()
"""


def wait_until(is_so: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def processes_in(folder: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd").startswith(folder) and is_running(int(entry.name)):
                    found.append(entry.name)
            except OSError:
                continue
    return found


class TestProcessGroup:
    def test_stopping_ends_every_process_and_its_children(self, tmp_path: Path) -> None:
        group = ProcessGroup(remove_folder=None)
        component = group.start("parent", ["sh", "-c", "sleep 300 & echo $!; wait"], tmp_path)
        assert wait_until(lambda: component.log.read_text().strip().isdigit())
        child = int(component.log.read_text())
        group.stop()
        assert component.has_ended
        assert wait_until(lambda: not is_running(child))

    def test_a_process_that_ignores_the_request_is_killed(self, tmp_path: Path) -> None:
        group = ProcessGroup(remove_folder=None, end_within_s=0.3)
        component = group.start(
            "deaf", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], tmp_path
        )
        assert wait_until(lambda: "deaf" in component.log.read_text())
        group.stop()
        assert component.has_ended

    def test_the_last_output_of_a_process_is_kept(self, tmp_path: Path) -> None:
        group = ProcessGroup(remove_folder=None)
        component = group.start(
            "talker", ["sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 3"], tmp_path
        )
        assert wait_until(lambda: group.ended() is component)
        assert component.last_lines(2) == "line 2\nline 3"
        group.stop()

    def test_a_restarted_process_ends_with_the_group(self, tmp_path: Path) -> None:
        group = ProcessGroup(remove_folder=None)
        component = group.start("sleeper", ["sh", "-c", "echo started; exec sleep 300"], tmp_path)
        first = component.process.pid
        assert wait_until(lambda: component.log.read_text() == "started\n")
        group.restart("sleeper")
        assert wait_until(lambda: component.log.read_text() == "started\nstarted\n")
        assert not is_running(first)
        assert is_running(component.process.pid)
        group.stop()
        assert not is_running(component.process.pid)

    def test_the_guardian_cleans_up_when_the_owner_is_killed(self, tmp_path: Path) -> None:
        folder = tmp_path / "state"
        folder.mkdir()
        code = (
            "import sys, time; from pathlib import Path; from sandbox.control_plane.processes"
            " import ProcessGroup\ng ="
            f" ProcessGroup(remove_folder=Path({str(folder)!r}))\nprint(g.start('sleeper',"
            f" ['sleep', '300'], Path({str(folder)!r})).process.pid, flush=True)\ntime.sleep(300)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        ) as owner:
            assert owner.stdout is not None
            sleeper = int(owner.stdout.readline())
            owner.kill()
        assert wait_until(lambda: not is_running(sleeper))
        assert wait_until(lambda: not folder.exists())


@pytest.mark.control_plane
class TestControlPlane:
    def test_it_is_ready_with_three_nodes_and_the_version_of_its_modules(
        self, control_plane: ControlPlane
    ) -> None:
        nodes = control_plane.kubectl("get", "nodes", "--no-headers").splitlines()
        assert len(nodes) == 3
        assert all(" Ready " in line for line in nodes)
        assert "Server Version: v1.36" in control_plane.kubectl("version")

    def test_a_deployment_becomes_available_and_its_service_has_endpoints(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        kubectl = control_plane.kubectl
        kubectl(
            "-n",
            namespace,
            "create",
            "deployment",
            "hello",
            "--image=example.com/hello:1.0.0",
            "--replicas=2",
            "--port=80",
        )
        kubectl("-n", namespace, "expose", "deployment", "hello")
        kubectl("-n", namespace, "rollout", "status", "deployment/hello", "--timeout=30s")
        read = (
            "-n",
            namespace,
            "get",
            "endpointslices",
            "-o",
            "jsonpath={.items[*].endpoints[*].conditions.ready}",
        )
        assert wait_until(lambda: kubectl(*read) == "true true")

    @pytest.mark.parametrize(
        ("tag", "status"),
        [
            ("missing", "ImagePullBackOff"),
            ("denied", "ImagePullBackOff"),
            ("invalid-name", "InvalidImageName"),
            ("config-error", "CreateContainerConfigError"),
            ("crash", "CrashLoopBackOff"),
            ("oom", "CrashLoopBackOff"),
            ("unready", "Running"),
        ],
    )
    def test_a_word_in_the_tag_makes_a_pod_fail(
        self, control_plane: ControlPlane, namespace: str, tag: str, status: str
    ) -> None:
        control_plane.kubectl(
            "-n", namespace, "create", "deployment", "hello", f"--image=example.com/hello:{tag}"
        )
        read = ("-n", namespace, "get", "pods", "--no-headers")
        assert wait_until(lambda: f"0/1   {status} " in control_plane.kubectl(*read))

    def test_a_crashing_pod_restarts_three_times(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        control_plane.kubectl(
            "-n", namespace, "create", "deployment", "hello", "--image=example.com/hello:crash"
        )
        path = "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
        assert wait_until(
            lambda: control_plane.kubectl("-n", namespace, "get", "pods", "-o", path) == "3"
        )

    def test_a_service_account_may_do_only_what_its_role_allows(
        self, control_plane: ControlPlane, namespace: str
    ) -> None:
        kubectl = control_plane.kubectl
        kubectl("-n", namespace, "create", "serviceaccount", "reader")
        kubectl("-n", namespace, "create", "role", "reader", "--verb=get,list", "--resource=pods")
        kubectl(
            "-n",
            namespace,
            "create",
            "rolebinding",
            "reader",
            "--role=reader",
            f"--serviceaccount={namespace}:reader",
        )
        as_reader = f"--kubeconfig={control_plane.kubeconfig_for('reader', namespace)}"
        assert kubectl(as_reader, "auth", "can-i", "list", "pods").strip() == "yes"
        with pytest.raises(ControlPlaneFailed):
            kubectl(as_reader, "auth", "can-i", "delete", "pods")

    def test_kubeconfigs_are_for_their_owner_only_and_verify_the_server(
        self, control_plane: ControlPlane
    ) -> None:
        assert control_plane.kubeconfig.stat().st_mode & 0o077 == 0
        cluster = yaml.safe_load(control_plane.kubeconfig.read_text())["clusters"][0]["cluster"]
        assert "insecure-skip-tls-verify" not in cluster
        assert Path(cluster["certificate-authority"]).is_file()

    @pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_nothing_is_left_behind_when_the_owner_ends(
        self, control_plane_binaries: Path, ending: signal.Signals
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDS_ONE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as owner:
            assert owner.stdout is not None
            folder = owner.stdout.readline().strip()
            assert folder
            assert len(processes_in(folder)) == 5
            owner.send_signal(ending)
            assert wait_until(lambda: owner.poll() is not None)
        assert wait_until(lambda: processes_in(folder) == [])
        assert wait_until(lambda: not Path(folder).exists())
