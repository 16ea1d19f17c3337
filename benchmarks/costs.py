"""What a release of five pods costs: its requests to the API server, and the processor time of all
processes of its worker, watcher included. Baseline: the same change with the Python client and its
watches, in a process that is already running. For each strategy."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml
from kubernetes import client, config

from benchmarks import bluegreen, canary, rolling
from benchmarks.footprint import children
from benchmarks.pressing import press_button
from benchmarks.rows import Row, percentile
from benchmarks.waiting import CHANNEL, until, until_posted
from sandbox.main import DEMO, Sandbox, run_sandbox

ROUNDS = {"rolling": 3, "canary": 3, "bluegreen": 1}  # its window lasts 30 s at least
DEVELOPER, APPROVER = "U0DEV1", "U0MANAGER"
WITHIN_S = 120.0
QUIET_S = 1.5  # the last cards are drawn
READY_AFTER_S = 1.0
MOST_REQUESTS, MOST_CPU_S = 60, 0.8
CLIENTS_AGENT = "OpenAPI-Generator"


@dataclass(frozen=True)
class Cost:
    requests: int
    cpu_s: float


def demo(folder: Path) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    hello = catalog["apps"]["hello"]
    hello["canary"] = {"steps": [20, 50], "promote": "automatic"}
    hello["bluegreen"] = {"rollback_window": "30s", "settle": "roll"}
    hello.pop("probe", None)
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    return demo


# --- counting -------------------------------------------------------------------------------------


def requests_of(sandbox: Sandbox, agent: str) -> int:
    """Without long-lived watches."""
    settings = client.Configuration()
    config.load_kube_config(str(sandbox.kubeconfig), client_configuration=settings)
    with urllib.request.urlopen(f"{settings.host}/_sandbox/state", timeout=10) as answer:
        counts = json.load(answer)["requestsOf"]
    return sum(
        number
        for name, verbs in counts.items()
        if name.startswith(agent)
        for verb, number in verbs.items()
        if verb != "WATCH"
    )


def cpu_s(pid: int) -> float:
    """Of a process and its children, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_s(child) for child in children(pid))


def measured(
    sandbox: Sandbox, agent: str, cpu: Callable[[], float], change: Callable[[], object]
) -> Cost:
    asked, used = requests_of(sandbox, agent), cpu()
    change()
    used = cpu() - used
    return Cost(requests_of(sandbox, agent) - asked, used)


# --- the changes ----------------------------------------------------------------------------------


def release(sandbox: Sandbox, version: str, words: str) -> None:
    sandbox.slack.command(DEVELOPER, CHANNEL, f"/deploy hello {version} {words}")
    if words == "bluegreen":
        press_button(sandbox, APPROVER, "Switch")
        press_button(sandbox, APPROVER, "Continue now")  # else connections drain for 30 s more
    until_posted(sandbox, f"hello is on {version}", within_s=WITHIN_S)
    time.sleep(QUIET_S)


def pair_by_client(sandbox: Sandbox, version: str) -> None:
    """hello-green beside hello, at full size; the Service to it and back; hello rolled; hello-green
    removed."""
    with closing(config.new_client_from_config(str(sandbox.kubeconfig))) as api:
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        hello = api.sanitize_for_serialization(apps.read_namespaced_deployment("hello", "default"))
        template = hello["spec"]["template"]
        template["metadata"]["labels"] = {"app": "hello-green"}
        template["spec"]["containers"][0]["image"] = f"pilothouse/hello:{version}"
        green = {
            "metadata": {"name": "hello-green"},
            "spec": {
                "replicas": bluegreen.REPLICAS,
                "selector": {"matchLabels": {"app": "hello-green"}},
                "template": template,
            },
        }
        made = apps.create_namespaced_deployment("default", green)
        canary.wait_until_complete(apps, "hello-green", made.metadata.generation)
        select = core.patch_namespaced_service
        select("hello", "default", {"spec": {"selector": {"app": "hello-green"}}})
        rolling.by_client(sandbox, version)
        select("hello", "default", {"spec": {"selector": {"app": "hello"}}})
        apps.delete_namespaced_deployment("hello-green", "default")
        until(lambda: _is_gone(apps, "hello-green"), WITHIN_S, "hello-green is gone")


def _is_gone(apps: client.AppsV1Api, name: str) -> bool:
    return all(
        one.metadata.name != name for one in apps.list_namespaced_deployment("default").items
    )


STRATEGIES: dict[str, tuple[str, Callable[[Sandbox, str], object]]] = {
    "rolling": ("rolling", rolling.by_client),
    "canary": ("canary steps=20,50 hold=0s", canary.by_client),
    "bluegreen": ("bluegreen", pair_by_client),
}


def run() -> list[Row]:
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sandbox(demo=demo(Path(folder)), ready_after=READY_AFTER_S, rate_scale=0) as sandbox,
    ):
        worker = sandbox.part("worker").process.pid
        release(sandbox, "1.9.0", "rolling")  # connections are open, code is loaded
        for number, (strategy, (words, by_client)) in enumerate(STRATEGIES.items()):
            ours, theirs = [], []
            for turn in range(ROUNDS[strategy]):
                by_hand, by_us = f"1.{number}.{turn + 1}", f"2.{number}.{turn}"
                by_hand_now = partial(by_client, sandbox, by_hand)
                theirs.append(measured(sandbox, CLIENTS_AGENT, time.process_time, by_hand_now))
                time.sleep(QUIET_S)  # its status still moves, and a change there costs us reads
                by_us_now = partial(release, sandbox, by_us, words)
                ours.append(measured(sandbox, "pilothouse", partial(cpu_s, worker), by_us_now))
            rows += _rows(strategy, ours, theirs)
    return rows


def _rows(strategy: str, ours: list[Cost], theirs: list[Cost]) -> list[Row]:
    settings = f"5 pods, ready after {READY_AFTER_S} s, median of {len(ours)}"
    asked = percentile([one.requests for one in ours], 0.5)
    used = percentile([one.cpu_s for one in ours], 0.5)
    return [
        Row(
            f"{strategy}: requests to the API server",
            "",
            asked,
            f"<= {MOST_REQUESTS}",
            asked <= MOST_REQUESTS,
            percentile([one.requests for one in theirs], 0.5),
            settings,
        ),
        Row(
            f"{strategy}: processor time of the worker",
            "s",
            used,
            f"<= {MOST_CPU_S} s",
            used <= MOST_CPU_S,
            percentile([one.cpu_s for one in theirs], 0.5),
            settings,
        ),
    ]
