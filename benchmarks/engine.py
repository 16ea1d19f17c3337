"""The engine under many releases: 1,000 that wait in a hold, and 50 rolling ones at once beside the
same 50 changes with the client."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, watch

from benchmarks.rows import Row, percentile
from benchmarks.waiting import is_complete, until, until_pods_are_ready
from bot.operations.bind_catalog import bind_catalog
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.store import Leases, RedisReleaseStore, connect
from config.catalog import load_catalog
from sandbox.main import DEMO, Sandbox, run_sandbox

HOLDS = int(os.environ.get("HOLDS", "1000"))
WINDOW_S = 60.0
ENDING = 60  # holds that end in the window, one after the other
HELD_WITHIN_S = 900.0
LAST_ONES_S = 60.0
ROLLS, REPLICAS, READY_AFTER_S = 50, 3, 3.0
BY = Person("T0LOCAL", "U0DEV1", "developer")


@contextmanager
def sandbox_of(
    apps: Sequence[str], *, replicas: int, ready_after: float, settings: dict[str, Any]
) -> Iterator[Sandbox]:
    """A sandbox whose catalog holds these apps."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as folder:
        demo = Path(shutil.copytree(DEMO, Path(folder) / "demo"))
        text = (demo / "manifests" / "hello.yaml").read_text(encoding="utf-8")
        for path in (demo / "manifests").glob("*.yaml"):
            path.unlink()
        objects = []
        for app in apps:
            deployment, service = yaml.safe_load_all(text.replace("hello", app))
            deployment["spec"]["replicas"] = replicas
            service["spec"]["type"] = "ClusterIP"
            objects += [deployment, service]
        (demo / "manifests" / "apps.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
        catalog["apps"] = {
            app: {"cluster": "local", "images": [f"pilothouse/{app}"], **settings} for app in apps
        }
        (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
        with run_sandbox(
            demo=demo, ready_after=ready_after, rate_scale=0, nodes=3 + len(apps) // 100
        ) as sandbox:
            until_pods_are_ready(sandbox, apps=len(apps), replicas=replicas)
            yield sandbox


def _api(sandbox: Sandbox) -> client.AppsV1Api:
    return client.AppsV1Api(config.new_client_from_config(str(sandbox.kubeconfig)))


def start(sandbox: Sandbox, store: RedisReleaseStore, app: str, change: Deploy) -> str:
    """As the bot does for a typed command."""
    entry = (
        bind_catalog(load_catalog(sandbox.catalog)).apps[app]
        if app not in _entries
        else _entries[app]
    )
    draft = Release(
        id="",
        target=entry.target,
        rules=entry.rules,
        change=change,
        requested_by=BY,
        channel="C0RELEASES",
        reason="",
        created_at=store.now(),
        command=f"/deploy {app} {change.version}",
        to_version=change.version,
    )
    return store.create(
        draft, dedup_key="", same_as="", operation=f"bench {app} {change.version}"
    ).release.id


_entries: dict[str, Any] = {}


# --- 1,000 in a hold ------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its children and the children they reaped."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0.0
    for one in (pid, *_descendants(pid)):
        try:
            fields = (
                Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            )
        except OSError:
            continue  # it ended meanwhile, and its parent has its time
        total += sum(map(int, fields[11:15])) / tick
    return total


def _descendants(pid: int) -> list[int]:
    try:
        children = [
            int(word)
            for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return []
    return [one for child in children for one in (child, *_descendants(child))]


@dataclass(frozen=True)
class Held:
    """``share``: percent of a core that the worker used while all waited; ``errors``: seconds."""

    ready_s: float
    memory_mb: float
    share: float
    errors: list[float]


def holds() -> list[Row]:
    apps = [f"app{number}" for number in range(1, HOLDS + 1)]
    canary = {"canary": {"steps": [50], "hold": "1h"}}
    with sandbox_of(apps, replicas=1, ready_after=0.1, settings=canary) as sandbox:
        held = _measure_holds(sandbox, apps)
    if not held.errors:
        raise RuntimeError("no hold ended while it was measured")
    settings = (
        f"{HOLDS} canaries, {len(held.errors)} holds ended in {WINDOW_S:.0f} s, one worker of 2"
        f" processes; all held after {held.ready_s:.0f} s"
    )
    p99, name = percentile(held.errors, 0.99), f"{HOLDS} in a hold:"
    share, memory = held.share, held.memory_mb
    return [
        Row(f"{name} CPU of a core", "%", share, "<= 25%", share <= 25, None, settings),
        Row(f"{name} wake-up error p99", "s", p99, "<= 1.5 s", p99 <= 1.5, None, settings),
        Row(f"{name} Redis memory", "MB", memory, "<= 20 MB", memory <= 20, None, settings),
    ]


def _measure_holds(sandbox: Sandbox, apps: Sequence[str]) -> Held:
    worker, redis = sandbox.part("worker").process.pid, connect(sandbox.redis.url)
    store, leases = RedisReleaseStore(redis), Leases(redis)
    _entries.clear()
    _entries.update(bind_catalog(load_catalog(sandbox.catalog)).apps)
    began = time.monotonic()
    for app in apps[ENDING:]:
        start(sandbox, store, app, Deploy("2.0.0", Strategy.CANARY, hold_ms=3_600_000))
    _until_held(store, len(apps) - ENDING, HELD_WITHIN_S)
    until(lambda: not leases.backlog().leased, HELD_WITHIN_S, "nothing to do", every_s=1.0)
    window_at = time.monotonic() + LAST_ONES_S
    _start_ending_holds(sandbox, store, apps[:ENDING], window_at)
    _until_held(store, len(apps), LAST_ONES_S)
    ready_s = time.monotonic() - began
    at_hold = {release.id: release for release in store.active()}
    time.sleep(max(0.0, window_at - time.monotonic()))
    memory_mb = int(redis.info("memory")["used_memory"]) / 2**20
    quiet_from, quiet_cpu = time.monotonic(), cpu_seconds(worker)
    time.sleep(WINDOW_S)
    share = (cpu_seconds(worker) - quiet_cpu) / (time.monotonic() - quiet_from) * 100
    return Held(ready_s, memory_mb, share, list(_wake_errors(store, at_hold)))


def _start_ending_holds(
    sandbox: Sandbox, store: RedisReleaseStore, apps: Sequence[str], window_at: float
) -> None:
    """Their holds end in the window, one after the other."""
    for number, app in enumerate(apps):
        ends_in_s = window_at + 5 + number * (WINDOW_S - 10) / ENDING - time.monotonic()
        hold = Deploy("2.0.0", Strategy.CANARY, hold_ms=round(1000 * ends_in_s))
        start(sandbox, store, app, hold)


def _until_held(store: RedisReleaseStore, number: int, within_s: float) -> None:
    until(lambda: _in_hold(store) == number, within_s, f"{number} releases in a hold", every_s=2.0)


def _in_hold(store: RedisReleaseStore) -> int:
    return sum(release.phase is Phase.HOLDING for release in store.active())


def _wake_errors(store: RedisReleaseStore, at_hold: dict[str, Release]) -> Iterator[float]:
    """Seconds between the planned end of a hold and the tick that acted on it."""
    for release in store.active():
        before = at_hold.get(release.id)
        if (
            before is None
            or before.progress.gate is None
            or not release.judgements
            or not isinstance(before.change, Deploy)
        ):
            continue
        yield (
            release.judgements[0].at
            - (before.progress.gate.opened_at + (before.change.hold_ms or 0))
        ) / 1000


# --- 50 at once -----------------------------------------------------------------------------------


def rolls() -> list[Row]:
    apps = [f"app{number}" for number in range(1, ROLLS + 1)]
    with sandbox_of(apps, replicas=REPLICAS, ready_after=READY_AFTER_S, settings={}) as sandbox:
        store = RedisReleaseStore(connect(sandbox.redis.url))
        theirs = by_client(sandbox, apps, "1.1.0")
        time.sleep(2)
        began = time.perf_counter()
        threads = [
            threading.Thread(
                target=sandbox.slack.command,
                args=("U0DEV1", "C0RELEASES", f"/deploy {app} 2.0.0 rolling"),
            )
            for app in apps
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: _all_over(store), 180, f"{ROLLS} releases over")
        ours = time.perf_counter() - began
        failed = [
            release.id
            for release in store.recent(limit=ROLLS)
            if release.phase is not Phase.SUCCEEDED
        ]
        if failed:
            raise RuntimeError(f"not succeeded: {failed}")
    settings = (
        f"{REPLICAS} pods each, ready after {READY_AFTER_S:.0f} s, one worker of 2 processes,"
        " cluster on the same cores"
    )
    return [
        Row(
            f"{ROLLS} rolling releases at once",
            "s",
            ours,
            "<= 1.5x",
            ours <= 1.5 * theirs,
            theirs,
            settings,
        )
    ]


def _all_over(store: RedisReleaseStore) -> bool:
    return len(store.recent(limit=ROLLS)) == ROLLS and not store.active()


def by_client(sandbox: Sandbox, apps: Sequence[str], version: str) -> float:
    """Seconds for 50 patches, with one watch until `kubectl rollout status` would call each
    complete."""
    api = _api(sandbox)
    began = time.perf_counter()
    for app in apps:
        body = {
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": app, "image": f"pilothouse/{app}:{version}"}]}
                }
            }
        }
        api.patch_namespaced_deployment(app, "default", body)
    left = set(apps)
    for event in watch.Watch().stream(
        api.list_namespaced_deployment, "default", timeout_seconds=180
    ):
        one = event["object"]
        if is_complete(one, one.metadata.generation) and one.spec.template.spec.containers[
            0
        ].image.endswith(version):
            left.discard(one.metadata.name)
        if not left:
            break
    return time.perf_counter() - began


def run() -> list[Row]:
    return [*rolls(), *holds()]
