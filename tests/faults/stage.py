"""A sandbox with many apps whose processes may be killed: each that dies is started again, as a container runtime would."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from bot.store import Leases, RedisReleaseStore, connect
from sandbox.main import DEMO, Part, Sandbox, run_sandbox
from tests.faults.lossy_redis import LossyRedis

CHANNEL = "C0RELEASES"
REPLICAS = 3
RESTART_AFTER_S = 0.3
SECOND = "worker-2"
SUPERVISED = ("bot", "worker", SECOND)
Json = dict[str, Any]


@dataclass
class Stage:
    """What the faults and the checks need of the sandbox. ``store`` and ``leases`` are read only."""

    sandbox: Sandbox
    apps: tuple[str, ...]
    api: httpx.Client
    store: RedisReleaseStore
    leases: Leases
    lossy: LossyRedis
    restarted: dict[str, int] = field(default_factory=dict)

    def pid(self, name: str) -> int:
        return self.sandbox.part(name).process.pid

    def children(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def cluster_fault(self, **fault: Any) -> None:
        self.api.post("/_sandbox/faults", json=fault).raise_for_status()

    def history(self) -> list[Json]:
        found: list[Json] = self.api.get("/_sandbox/history", timeout=60).raise_for_status().json()
        return found

    def objects(self, path: str) -> list[Json]:
        found: list[Json] = self.api.get(path).raise_for_status().json()["items"]
        return found

    def calm(self) -> None:
        """No fault is left planned anywhere."""
        self.api.delete("/_sandbox/faults").raise_for_status()
        self.sandbox.slack.clear_faults()


def _objects(app: str) -> list[Json]:
    text = (DEMO / "manifests" / "hello.yaml").read_text(encoding="utf-8").replace("hello", app)
    deployment, service = yaml.safe_load_all(text)
    deployment["spec"]["replicas"] = REPLICAS
    return [deployment, service]


def _demo(folder: Path, apps: Sequence[str]) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    for path in (demo / "manifests").glob("*.yaml"):
        path.unlink()
    entries = {
        app: {
            "cluster": "local",
            "images": [f"pilothouse/{app}"],
            "canary": {"steps": [50], "hold": "1s"},
            "bluegreen": {"rollback_window": "30s"},
        }
        for app in apps
    }
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    (demo / "catalog.yaml").write_text(yaml.safe_dump({**catalog, "apps": entries}), encoding="utf-8")
    (demo / "manifests" / "apps.yaml").write_text(yaml.safe_dump_all([one for app in apps for one in _objects(app)]), encoding="utf-8")
    return demo


@contextlib.contextmanager
def open_stage(apps: int) -> Iterator[Stage]:
    names = tuple(f"app{number}" for number in range(1, apps + 1))
    with tempfile.TemporaryDirectory(prefix="pilothouse-faults-") as folder:
        demo = _demo(Path(folder), names)
        with run_sandbox(demo=demo, ready_after=0.3, rate_scale=0) as sandbox, _cluster_client(sandbox) as api:
            client = connect(sandbox.redis.url)
            with LossyRedis(sandbox.redis.port) as lossy:
                stage = Stage(sandbox, names, api, RedisReleaseStore(client), Leases(client), lossy)
                _add_worker(stage)
                _wait_for_pods(stage)
                with _restarting(stage):
                    yield stage


def _cluster_client(sandbox: Sandbox) -> httpx.Client:
    config = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
    token = config["users"][0]["user"]["token"]
    server = config["clusters"][0]["cluster"]["server"]
    return httpx.Client(
        base_url=server, headers={"Authorization": f"Bearer {token}", "User-Agent": "spectator"}, timeout=10, trust_env=False
    )


def _wait_for_pods(stage: Stage) -> None:
    ends = time.monotonic() + 30
    while True:
        ready = [
            item.get("status", {}).get("availableReplicas", 0) for item in stage.objects("/apis/apps/v1/namespaces/default/deployments")
        ]
        if ready == [REPLICAS] * len(stage.apps):
            return
        if time.monotonic() > ends:
            raise TimeoutError(f"the apps' pods are not ready: {ready}")
        time.sleep(0.05)


@contextlib.contextmanager
def _restarting(stage: Stage) -> Iterator[None]:
    """Bot and worker come back by themselves until the stage is left; then the sandbox ends what runs."""
    ended = threading.Event()
    keepers = [threading.Thread(target=_keep, args=(stage, name, ended), name=f"keeper of {name}") for name in SUPERVISED]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        ended.set()
        for keeper in keepers:
            keeper.join()


def _as_started(part: Part) -> tuple[Any, dict[str, str]]:
    """The environment holds the sandbox's own made-up tokens; it is read from the process itself, which alone was given it."""
    pairs = Path(f"/proc/{part.process.pid}/environ").read_bytes().decode().split("\0")
    return part.process.args, dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _start(words: Any, environment: dict[str, str], file: Path) -> subprocess.Popen[bytes]:
    with file.open("ab") as log:
        return subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, env=environment
        )


def _add_worker(stage: Stage) -> None:
    """A second one, so that two work on every release; it reaches Redis through the proxy. The sandbox ends it with its parts."""
    words, environment = _as_started(stage.sandbox.part("worker"))
    log = stage.sandbox.folder / f"{SECOND}.log"
    process = _start(words, {**environment, "REDIS_URL": stage.lossy.url}, log)
    stage.sandbox.parts.append(Part(SECOND, process, log))


def _keep(stage: Stage, name: str, ended: threading.Event) -> None:
    part = stage.sandbox.part(name)
    words, environment = _as_started(part)
    while not ended.is_set():
        if part.process.poll() is None:
            ended.wait(0.05)
            continue
        if ended.wait(RESTART_AFTER_S):
            return
        stage.restarted[name] = stage.restarted.get(name, 0) + 1
        part.process = _start(words, environment, part.log)
