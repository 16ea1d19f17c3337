"""How soon a query is answered: on an idle bot and while 50 releases run, beside the same reads by
the Python client.

A query is timed from Slack's signed request until the answer reaches the response_url. Bot,
workers, cluster, asker and client are separate processes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.rows import Row, percentile
from sandbox.main import DEMO, Sandbox, run_sandbox

RELEASES = 50
# one after the other, ready after 8 s each: the releases run for longer than the questions are
# asked
REPLICAS = 8
READY_AFTER_S = 8.0
ROUNDS = 10


def make_demo(to: Path) -> None:
    """The sandbox's demo and 50 more apps, whose pods are replaced one at a time."""
    shutil.copytree(DEMO, to)
    catalog = yaml.safe_load((to / "catalog.yaml").read_text(encoding="utf-8"))
    template = (to / "manifests" / "hello.yaml").read_text(encoding="utf-8")
    objects = []
    for number in range(1, RELEASES + 1):
        name = f"load{number}"
        catalog["apps"][name] = {
            **catalog["apps"]["hello"],
            "images": [f"pilothouse/{name}"],
            "manifests": [],
        }
        deployment, service = yaml.safe_load_all(template.replace("hello", name))
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        deployment["spec"] |= {"replicas": REPLICAS, "strategy": rolling}
        objects += [deployment, service]
    (to / "manifests" / "load.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    (to / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")


def ask(sandbox: Sandbox) -> dict[str, list[float]]:
    """Milliseconds of each kind of question, asked by a process of its own."""
    found: dict[str, list[float]] = json.loads(
        _output(["benchmarks.asking", sandbox.slack.url, str(ROUNDS)])
    )
    return found


def read(sandbox: Sandbox) -> list[float]:
    """Milliseconds of the same reads by the Python client."""
    found: list[float] = json.loads(
        _output(["benchmarks.reading", str(sandbox.kubeconfig), str(ROUNDS * 4)])
    )
    return found


def _output(words: list[str]) -> str:
    return subprocess.run(
        [sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, check=True, timeout=200
    ).stdout


def wait_until_settled(sandbox: Sandbox) -> None:
    _output(
        ["benchmarks.reading", str(sandbox.kubeconfig), "--until-ready", str(RELEASES * REPLICAS)]
    )


def running(sandbox: Sandbox) -> int:
    """Running releases of the load: a release marks its Deployment until it ends."""
    return int(_output(["benchmarks.reading", str(sandbox.kubeconfig), "--claimed"]))


def start_releases(sandbox: Sandbox) -> None:
    for number in range(1, RELEASES + 1):
        sandbox.slack.command("U0DEV1", "C0RELEASES", f"/deploy load{number} 2.0.0")
    sandbox.slack.wait_for(
        lambda: running(sandbox) == RELEASES, seconds=90, what=f"{RELEASES} releases running"
    )


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        make_demo(demo)
        with run_sandbox(demo=demo, ready_after=READY_AFTER_S, rate_scale=0) as sandbox:
            wait_until_settled(sandbox)
            client_idle, idle = read(sandbox), ask(sandbox)
            start_releases(sandbox)
            busy, client_busy = ask(sandbox), read(sandbox)
            still = running(sandbox)
    every, every_busy = (
        [ms for one in idle.values() for ms in one],
        [ms for one in busy.values() for ms in one],
    )
    settings = f"{', '.join(idle)}: {ROUNDS} each; client: reads of /pods"
    slow = (
        f"{RELEASES} rolling releases of {REPLICAS} pods, {still} of them still running at the end;"
        " baseline: idle"
    )
    p95, p95_busy = percentile(every, 0.95), percentile(every_busy, 0.95)
    rows = [
        Row(
            "question answered p50, idle",
            "ms",
            percentile(every, 0.5),
            "-",
            True,
            percentile(client_idle, 0.5),
            settings,
        ),
        Row(
            "question answered p95, idle",
            "ms",
            p95,
            "<= 400 ms",
            p95 <= 400,
            percentile(client_idle, 0.95),
            settings,
        ),
        Row(
            "question answered p95, busy",
            "ms",
            p95_busy,
            "<= 2x of idle",
            p95_busy <= 2 * p95 and still >= 0.9 * RELEASES,
            p95,
            slow,
        ),
        Row(
            "the client's reads p95, busy",
            "ms",
            percentile(client_busy, 0.95),
            "-",
            True,
            percentile(client_idle, 0.95),
            slow,
        ),
    ]
    rows += [
        Row(
            f"{kind} p95, busy",
            "ms",
            percentile(times, 0.95),
            "-",
            True,
            percentile(idle[kind], 0.95),
            "baseline: idle",
        )
        for kind, times in busy.items()
    ]
    return rows
