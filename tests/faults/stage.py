"""A sandbox with many apps whose processes may be killed: each that dies is restarted, as a
container runtime would do."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import httpx
import yaml
from redis import Redis
from redis.exceptions import RedisError

from bot.ports import StoreUnavailable
from bot.store import Leases, RedisReleaseStore, connect
from sandbox.free_ports import free_port
from sandbox.main import DEMO, Part, Sandbox, run_sandbox
from tests.faults.leftovers import waiting_work
from tests.faults.lossy_redis import LossyRedis
from tests.faults.turns import Turns

CHANNEL = "C0RELEASES"
REPLICAS = 3
RESTART_AFTER_S = 0.3
START_WITHIN_S = 120.0
"""Seven processes start at once, on two cores that another suite may have."""
SECOND = "worker-2"
CROWD = tuple(f"U0CROWD{number}" for number in range(50))
NONE: Mapping[str, str] = MappingProxyType({})
ARMED = ("tests.faults.armed_worker", "2")
Json = dict[str, Any]


@dataclass
class Stage:
    """What the faults and the checks need of the sandbox. ``store`` and ``leases`` are read
    only."""

    sandbox: Sandbox
    apps: tuple[str, ...]
    api: httpx.Client
    store: RedisReleaseStore
    leases: Leases
    redis: Redis
    lossy: LossyRedis
    clock_ahead_s: int = 0
    turns: Turns | None = None  # with several bots
    longest_s: float = 4.0  # long faults are cut to this
    restarted: dict[str, int] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """The processes of a kind: bot or worker."""
        return [part.name for part in self.sandbox.parts if part.name.partition("-")[0] == kind]

    def pid(self, name: str) -> int:
        return self.sandbox.part(name).process.pid

    def children(self, pid: int) -> list[int]:
        with contextlib.suppress(OSError):
            return [
                int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        return []

    def descendants(self, pid: int) -> list[int]:
        return [one for child in self.children(pid) for one in (child, *self.descendants(child))]

    def role(self, pid: int) -> str:
        """What a child of a worker does."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/comm").read_text().strip()
        return ""

    def release_of(self, pid: int) -> str:
        """The release that the job in this process works on, "" if there is none."""
        with contextlib.suppress(RedisError):
            for wake_id, runner in cast(
                dict[bytes, bytes], self.redis.hgetall("pilothouse:begun")
            ).items():
                if runner.split(b"|")[1] == str(pid).encode() and wake_id.startswith(b"release:"):
                    return wake_id.decode().partition(":")[2]
        return ""

    def cluster_fault(self, **fault: Any) -> None:
        self.api.post("/_sandbox/faults", json=fault).raise_for_status()

    def history(self) -> list[Json]:
        found: list[Json] = self.api.get("/_sandbox/history", timeout=60).raise_for_status().json()
        return found

    def objects(self, path: str) -> list[Json]:
        found: list[Json] = self.api.get(path).raise_for_status().json()["items"]
        return found

    def delete(self, path: str) -> None:
        """As kubectl would; a missing object is fine."""
        self.api.delete(path)

    def is_quiet(self) -> bool:
        """Whether every release is over, everything is delivered, and no work waits."""
        try:
            if self.store.active() or any(waiting_work(self.redis)):
                return False
            return not any(
                any(self.store.outbox(release.id)) for release in self.store.recent(limit=1_000)
            )
        except (StoreUnavailable, RedisError):
            return False

    def calm(self) -> None:
        """Clear every planned fault."""
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
    catalog["access"]["roles"]["deployer"]["users"] += CROWD
    (demo / "catalog.yaml").write_text(
        yaml.safe_dump({**catalog, "apps": entries}), encoding="utf-8"
    )
    (demo / "manifests" / "apps.yaml").write_text(
        yaml.safe_dump_all([one for app in apps for one in _objects(app)]), encoding="utf-8"
    )
    return demo


@contextlib.contextmanager
def open_stage(
    apps: int, *, workers: int = 2, bots: int = 1, clock_ahead_s: int = 0, redis_url: str = ""
) -> Iterator[Stage]:
    """``clock_ahead_s``: how far Redis' clock is ahead of all others. ``redis_url``: another server
    than the sandbox's own, which is then unused and loses no replies."""
    names = tuple(f"app{number}" for number in range(1, apps + 1))
    with tempfile.TemporaryDirectory(prefix="pilothouse-faults-") as folder:
        demo = _demo(Path(folder), names)
        variables = {"REDIS_URL": redis_url} if redis_url else {}
        with (
            run_sandbox(
                demo=demo,
                ready_after=0.3,
                rate_scale=0,
                worker=ARMED,
                variables=variables,
                slack_options={"crowd": len(CROWD)},
                redis_variables=_clock(clock_ahead_s),
                more_redis_rules=("~points:*",),  # of tests.faults.points
            ) as sandbox,  # fmt: skip
            _cluster_client(sandbox) as api,
        ):
            client = connect(redis_url or sandbox.redis.url)
            with LossyRedis(sandbox.redis.port) as lossy:
                stage = Stage(
                    sandbox,
                    names,
                    api,
                    RedisReleaseStore(client),
                    Leases(client),
                    client,
                    lossy,
                    clock_ahead_s,
                )
                for number in range(2, workers + 1):
                    add(
                        stage,
                        "worker",
                        number,
                        {"REDIS_URL": sandbox.redis.url_of("worker", lossy.port)}
                        if number == 2 and not redis_url
                        else {},
                    )
                more_bots = [
                    add(stage, "bot", number, {"PILOTHOUSE_PORT": str(free_port())})
                    for number in range(2, bots + 1)
                ]
                _wait_for_pods(stage)
                with _turns(stage, more_bots), _restarting(stage):
                    yield stage


@contextlib.contextmanager
def _turns(stage: Stage, more_bots: Sequence[str]) -> Iterator[None]:
    """With several bots Slack reaches them in turn, as behind a Service."""
    if not more_bots:
        yield
        return
    urls = [stage.sandbox.bot_url, *more_bots]
    _wait_for_bots(stage, urls)
    with Turns([int(url.rpartition(":")[2]) for url in urls]) as turns:
        stage.sandbox.slack.connect(f"{turns.url}/slack/events")
        stage.turns = turns
        yield


def _cluster_client(sandbox: Sandbox) -> httpx.Client:
    config = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
    token = config["users"][0]["user"]["token"]
    server = config["clusters"][0]["cluster"]["server"]
    return httpx.Client(
        base_url=server,
        headers={"Authorization": f"Bearer {token}", "User-Agent": "spectator"},
        timeout=10,
        trust_env=False,
    )


def _wait_for_pods(stage: Stage) -> None:
    ends = time.monotonic() + START_WITHIN_S
    while True:
        ready = [
            item.get("status", {}).get("availableReplicas", 0)
            for item in stage.objects("/apis/apps/v1/namespaces/default/deployments")
        ]
        if ready == [REPLICAS] * len(stage.apps):
            return
        if time.monotonic() > ends:
            raise TimeoutError(f"the apps' pods are not ready: {ready}")
        time.sleep(0.05)


@contextlib.contextmanager
def _restarting(stage: Stage) -> Iterator[None]:
    """Bot and worker are restarted until the stage is left; then the sandbox ends what runs."""
    ended = threading.Event()
    names = [*stage.names("bot"), *stage.names("worker")]
    keepers = [
        threading.Thread(target=_keep, args=(stage, name, ended), name=f"keeper of {name}")
        for name in names
    ]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        ended.set()
        for keeper in keepers:
            keeper.join()


def as_started(part: Part) -> tuple[Any, dict[str, str]]:
    """Its words, and its environment with the sandbox's made-up tokens."""
    return part.process.args, dict(part.environment)


def start_again(
    words: Any, environment: dict[str, str], file: Path, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    with file.open("ab") as log:
        return subprocess.Popen(
            words,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )


def add(
    stage: Stage,
    kind: str,
    number: int,
    variables: Mapping[str, str] = NONE,
    *,
    folder: Path | None = None,
) -> str:
    """Start one more of a kind, as the first was started; the sandbox ends it with its parts.
    Returns its URL (a bot's). ``folder``: another copy of the code."""
    words, environment = as_started(stage.sandbox.part(kind))
    name = f"{kind}-{number}"
    log = stage.sandbox.folder / f"{name}.log"
    environment |= variables
    process = start_again(words, environment, log, folder)
    stage.sandbox.parts.append(Part(name, process, log, environment))
    return f"http://127.0.0.1:{variables.get('PILOTHOUSE_PORT', '0')}"


def upgrade_bot(stage: Stage, folder: Path) -> None:
    """Point Slack at a bot of another copy of the code."""
    url = add(stage, "bot", 2, {"PILOTHOUSE_PORT": str(free_port())}, folder=folder)
    _wait_for_bots(stage, [url])
    stage.sandbox.slack.connect(f"{url}/slack/events")


def _clock(seconds: int) -> dict[str, str]:
    """libfaketime: shifts the clock of a process, but not its monotonic time."""
    if not seconds:
        return {}
    return {
        "LD_PRELOAD": str(clock_library()),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def clock_library() -> Path | None:
    """Debian's libfaketime, None if it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def _wait_for_bots(stage: Stage, urls: Sequence[str]) -> None:
    ends = time.monotonic() + START_WITHIN_S
    for url in urls:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/readyz", timeout=1, trust_env=False).status_code == 200:
                    break
            if time.monotonic() > ends:
                raise TimeoutError(f"the bot at {url} is not ready; {_last_words(stage)}")
            time.sleep(0.05)


def _last_words(stage: Stage) -> str:
    """Which processes ended, and the end of each log."""
    return "\n".join(
        f"{part.name} (exit code {part.process.poll()}):\n{part.log.read_text()[-1_000:]}"
        for part in stage.sandbox.parts
    )


def _keep(stage: Stage, name: str, ended: threading.Event) -> None:
    part = stage.sandbox.part(name)
    words, environment = as_started(part)
    while not ended.is_set():
        if part.process.poll() is None:
            ended.wait(0.05)
            continue
        if ended.wait(RESTART_AFTER_S):
            return
        stage.restarted[name] = stage.restarted.get(name, 0) + 1
        part.process = start_again(words, environment, part.log)
