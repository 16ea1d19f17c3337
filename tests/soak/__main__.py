"""`make soak`: random releases of many apps on the real control plane, or on real nodes; prints the
figures, exits 1 if an invariant broke."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml
from redis import Redis

from benchmarks.footprint import children, resident_mb
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase, Release
from bot.store import RedisReleaseStore, connect
from sandbox.control_plane import BinariesMissing, ControlPlane
from sandbox.control_plane.audit import WRITES, requests_in
from sandbox.control_plane.binaries import kubernetes_version
from sandbox.main import DEMO, Sandbox, run_sandbox, tail
from sandbox.real_node import MachineUnfit, RealNodes
from tests.faults.invariants import otherwise_than_found, started_twice, times_without_ready_pods
from tests.real_cluster import BOT_NAMESPACE, bot_credentials
from tests.soak.people import People
from tests.soak.spectator import Spectator
from tests.verification import record

CLUSTERS: dict[str, type[ControlPlane]] = {"control-plane": ControlPlane, "real-node": RealNodes}
REPLICAS = 3
QUIET_WITHIN_S = 180.0
LOOKS_EVERY_S = 0.5
MOST = 100_000
SHOWN_LINES = 12
Json = dict[str, Any]


@dataclass(frozen=True)
class Memory:
    """MB. The worker's is the largest of its processes, since each counts what the fork shares."""

    bot: float
    worker: float

    def __str__(self) -> str:
        return f"{self.bot:.0f} + {self.worker:.0f} MB"


@dataclass
class Outcome:
    """The results of the run. Each line of ``broken`` is an invariant that did not hold."""

    releases: tuple[Release, ...] = ()
    requests: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    before: Memory = Memory(0, 0)
    after: Memory = Memory(0, 0)
    broken: list[str] = field(default_factory=list)
    changes: int = 0

    @property
    def done(self) -> int:
        return sum(release.phase.is_final for release in self.releases)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description="Release at random on the real Kubernetes and watch what must hold.",
    )
    parser.add_argument(
        "--cluster",
        choices=tuple(CLUSTERS),
        default="control-plane",
        help="real-node: with pods that run, on two nodes (needs root)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=600.0,
        help="how long releases are started (default 600; then all must end)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--apps", type=int, default=20)
    parser.add_argument(
        "--record", action="store_true", help="write the figures to docs/reference/verification.md"
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all processes end with it
    apps = tuple(f"app{number}" for number in range(1, options.apps + 1))
    try:
        with (
            CLUSTERS[options.cluster]() as cluster,
            tempfile.TemporaryDirectory(prefix="pilothouse-soak-") as folder,
        ):
            outcome, people = _soak(cluster, _demo(Path(folder), apps), apps, options)
    except (BinariesMissing, MachineUnfit) as missing:
        print(
            f"{'FAILED' if os.environ.get('CI') == 'true' else 'SKIPPED'}: {missing}",
            file=sys.stderr,
        )
        return int(os.environ.get("CI") == "true")
    _print(outcome, people)
    if options.record:
        columns, row = _figures(outcome)
        setting = (
            f"{options.seconds:.0f} s, {options.apps} apps of {REPLICAS} pods, seed {options.seed},"
            f" Kubernetes {kubernetes_version()}."
        )
        section = "soak" if options.cluster == "control-plane" else f"soak on {options.cluster}"
        record(section, columns, [row], setting, _commands(people), _why(outcome), _spread(outcome))
    return 1 if outcome.broken else 0


def _soak(
    cluster: ControlPlane, demo: Path, apps: tuple[str, ...], options: argparse.Namespace
) -> tuple[Outcome, People]:
    with Spectator(cluster) as spectator:
        cluster.kubectl("apply", "--filename", str(demo / "apps.yaml"))
        cluster.kubectl(
            "wait", "deployments", "--all", "--for=condition=Available", "--timeout=110s"
        )
        with run_sandbox(demo=demo, rate_scale=0, kubeconfig=bot_credentials(cluster)) as sandbox:
            store = RedisReleaseStore(connect(sandbox.redis.url))
            people = People(sandbox.slack, options.seed)
            outcome = Outcome(before=_memory(sandbox))
            _release_at_random(store, people, apps, options.seconds, sandbox)
            outcome.broken += _settle(store, people)
            outcome.after = _memory(sandbox)
            outcome.releases = store.recent(limit=MOST)
            _count(cluster, outcome)
            outcome.broken += _judge(spectator, store, sandbox, apps, outcome)
            if outcome.broken:
                for part in sandbox.parts:
                    print(f"--- {part.name}\n{tail(part.log, 25)}", file=sys.stderr)
    return outcome, people


def _demo(folder: Path, apps: Sequence[str]) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("manifests")))
    rules = {
        "canary": {"steps": [50], "hold": "1s"},
        "bluegreen": {"rollback_window": "30s"},
        "scale": {"min": 1, "max": 9},
    }
    entries = {app: {"cluster": "local", "images": [f"pilothouse/{app}"], **rules} for app in apps}
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    (demo / "catalog.yaml").write_text(
        yaml.safe_dump({**catalog, "apps": entries}), encoding="utf-8"
    )
    manifest = (DEMO / "manifests" / "hello.yaml").read_text(encoding="utf-8")
    objects = [one for app in apps for one in yaml.safe_load_all(manifest.replace("hello", app))]
    for one in objects:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = REPLICAS
    (demo / "apps.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return demo


def _release_at_random(
    store: RedisReleaseStore, people: People, apps: Sequence[str], seconds: float, sandbox: Sandbox
) -> None:
    """An app gets its next release when its last is over."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        active = store.active()
        busy = {release.target.app for release in active}
        for app in apps:
            if app not in busy:
                people.start(app)
        people.decide({release.id for release in active})
        for part in sandbox.parts:
            part.check()
        time.sleep(LOOKS_EVERY_S)


def _settle(store: RedisReleaseStore, people: People) -> Iterator[str]:
    """Start no more releases; decide on those that run until all end and all is delivered."""
    ends = time.monotonic() + QUIET_WITHIN_S
    while active := store.active():
        if time.monotonic() > ends:
            yield from (
                f"{one.id} is still {one.phase.value} at step {one.progress.at_step} of"
                f" {len(one.steps)}"
                for one in active
            )
            return
        people.decide({release.id for release in active})
        time.sleep(LOOKS_EVERY_S)
    while any(any(store.outbox(release.id)) for release in store.recent(limit=MOST)):
        if time.monotonic() > ends:
            yield "some events were never delivered"
            return
        time.sleep(LOOKS_EVERY_S)


def _judge(
    spectator: Spectator,
    store: RedisReleaseStore,
    sandbox: Sandbox,
    apps: Sequence[str],
    outcome: Outcome,
) -> Iterator[str]:
    yield from spectator.gaps
    history = spectator.history()
    outcome.changes = len(history)
    yield from times_without_ready_pods(apps, history)
    yield from started_twice(outcome.releases)
    by_name: dict[str, list[Json]] = {}
    for write in history:
        by_name.setdefault(write["name"], []).append(write)
    for release in outcome.releases:
        # Scale, restart and undo change more than the image on purpose; a release that did not
        # succeed must have left nothing.
        if isinstance(release.change, Deploy) or release.phase is not Phase.SUCCEEDED:
            yield from otherwise_than_found(release, by_name.get(release.target.deployment, []))
    for path in (
        "/apis/apps/v1/namespaces/default/deployments",
        "/api/v1/namespaces/default/services",
    ):
        for item in spectator.objects(path):
            name = item["metadata"]["name"]
            if name not in (*apps, "kubernetes"):
                yield f"{path.rpartition('/')[2]} {name} outlived its release"
            yield from (
                f"{name} still carries {key}"
                for key in item["metadata"].get("annotations") or {}
                if key.startswith("pilothouse.")
            )
    with contextlib.closing(Redis.from_url(sandbox.redis.url, decode_responses=True)) as client:
        held = cast(dict[str, str], client.hgetall("pilothouse:lock-owner"))
        yield from (f"{lock} is held by {owner}" for lock, owner in held.items())
    if forbidden := outcome.refusals["403"]:
        yield f"{forbidden} requests were forbidden: the chart grants too little"


def _count(cluster: ControlPlane, outcome: Outcome) -> None:
    bot = f"system:serviceaccount:{BOT_NAMESPACE}:pilothouse"
    for request in requests_in(cluster.audit):
        if request.user == bot:
            outcome.requests[f"{request.verb} {request.resource or 'other'}"] += 1
            if request.code >= 400:
                outcome.refusals[str(request.code)] += 1


def _memory(sandbox: Sandbox) -> Memory:
    worker = sandbox.part("worker").process.pid
    everyone = [worker, *children(worker)]
    return Memory(resident_mb(sandbox.part("bot").process.pid), max(map(resident_mb, everyone)))


def _figures(outcome: Outcome) -> tuple[list[str], list[str]]:
    done = max(outcome.done, 1)
    writes = sum(count for what, count in outcome.requests.items() if what.split()[0] in WRITES)
    phases = Counter(release.phase.value.replace("_", " ") for release in outcome.releases)
    cells = {
        "releases done": str(outcome.done),
        "how they ended": ", ".join(f"{count} {phase}" for phase, count in phases.most_common()),
        "API requests per release": f"{outcome.requests.total() / done:.1f}",
        "writes per release": f"{writes / done:.1f}",
        "bot + largest worker process at the start": str(outcome.before),
        "at the end": str(outcome.after),
        "changes watched": str(outcome.changes),
        "invariants broken": str(len(outcome.broken)),
    }
    return list(cells), list(cells.values())


def _commands(people: People) -> str:
    told = ", ".join(f"{count} `{what}`" for what, count in people.started.most_common())
    return f"Started: {told}; {len(people.unanswered)} commands gave no release."


def _spread(outcome: Outcome) -> str:
    spread = ", ".join(f"{what} {count}" for what, count in outcome.requests.most_common(12))
    refused = (
        ", ".join(f"{code} {count} times" for code, count in sorted(outcome.refusals.items()))
        or "none"
    )
    return f"Requests: {spread}. Refused: {refused}."


def _reasons(outcome: Outcome) -> Counter[str]:
    """Why releases did not succeed, without what differs between apps."""
    reasons: Counter[str] = Counter()
    for release in outcome.releases:
        if release.phase is not Phase.SUCCEEDED:
            why = release.cause.summary if release.cause else "no cause"
            reasons[
                f"{release.phase.value.replace('_', ' ')}: {re.sub('[0-9]+', 'N', why)[:120]}"
            ] += 1
    return reasons


def _why(outcome: Outcome) -> str:
    reasons = (f"{times}x {why}" for why, times in _reasons(outcome).most_common())
    return f"Not succeeded: {'; '.join(reasons) or 'none'}."


def _print(outcome: Outcome, people: People) -> None:
    for name, value in zip(*_figures(outcome), strict=True):
        print(f"{name:45} {value}")
    print(_commands(people))
    print(_spread(outcome))
    for line, times in _reasons(outcome).most_common(SHOWN_LINES):
        print(f"  {times}x {line}")
    for line in people.unanswered[:3]:
        print(f"  without a release: {line}")
    for line in outcome.broken[:SHOWN_LINES]:
        print(f"  BROKEN: {line}")
    if len(outcome.broken) > SHOWN_LINES:
        print(f"  and {len(outcome.broken) - SHOWN_LINES} more")


if __name__ == "__main__":
    sys.exit(main())
