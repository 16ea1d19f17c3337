"""One of five clusters accepts connections and never answers: a release, the report of a bad image
and `/pods` in another cluster, beside the same without the hang, in one run.

In both phases people release and ask in the fifth cluster as well. The clusters beside the
sandbox's own are simulated in this process, and the fifth stands behind a proxy that can hold every
reply.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import yaml

from benchmarks.rolling import by_release, seconds_to_report_missing
from benchmarks.rows import Row, percentile
from benchmarks.waiting import CHANNEL, until
from sandbox.cluster.simulation import SimulatedCluster, kubeconfig_text
from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.faults.proxy import Proxy, connected

ROUNDS = 3
FAR = tuple(f"far{number}" for number in range(1, 5))
OTHERS = ("second", "third", "fourth")
FIFTH = "fifth"
LOAD_EVERY_S = 0.5
QUESTIONS = 15
WITHIN_S = 120.0
ASKER = "U0MANAGER"  # nobody else's replies are among theirs
GOAL = 1.2


@dataclass
class Measured:
    """Seconds of releases and of reports, milliseconds of questions."""

    release_s: list[float] = field(default_factory=list)
    bad_image_s: list[float] = field(default_factory=list)
    pods_ms: list[float] = field(default_factory=list)


def make_demo(to: Path, others: SimulatedCluster, proxy: Proxy) -> None:
    """The sandbox's demo on its own cluster, and four apps on the fifth."""
    shutil.copytree(DEMO, to)
    catalog = yaml.safe_load((to / "catalog.yaml").read_text(encoding="utf-8"))
    template = (to / "manifests" / "hello.yaml").read_text(encoding="utf-8")
    for name in OTHERS:
        others.kubeconfig(to / f"{name}.kubeconfig")
    fifth = kubeconfig_text(f"http://127.0.0.1:{proxy.port}")
    (to / f"{FIFTH}.kubeconfig").write_text(fifth, encoding="utf-8")
    catalog["clusters"] |= {
        name: {"kubeconfig": f"./{name}.kubeconfig", "context": "sandbox"}
        for name in (*OTHERS, FIFTH)
    }
    for name in FAR:
        rules = {**catalog["apps"]["hello"], "images": [f"pilothouse/{name}"], "manifests": []}
        catalog["apps"][name] = {**rules, "cluster": FIFTH, "probe": None}
        del catalog["apps"][name]["probe"]
        others.seed(yaml.safe_load_all(template.replace("hello", name)))
    (to / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")


@contextmanager
def people_in_the_fifth(sandbox: Sandbox, version: str) -> Iterator[None]:
    """They release every app there, and ask for its pods again and again."""
    over = threading.Event()

    def say(text: str) -> None:
        sandbox.slack.command("U0DEV2", CHANNEL, text)

    def keep_asking() -> None:
        while not over.wait(LOAD_EVERY_S):
            say(f"/pods {FAR[0]}")

    for name in FAR:
        say(f"/deploy {name} {version}")
    asking = threading.Thread(target=keep_asking, daemon=True)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()


def measure(sandbox: Sandbox, to: Measured, major: int) -> None:
    with people_in_the_fifth(sandbox, f"{major}.0.0"):
        to.release_s.append(by_release(sandbox, f"{major}.0.0", "hello in local").done_s)
        to.bad_image_s.append(seconds_to_report_missing(sandbox, f"{major}.1-missing"))
        to.pods_ms += [ms_of_pods(sandbox) for _ in range(QUESTIONS)]


def ms_of_pods(sandbox: Sandbox) -> float:
    """From the typed command until the person can read the reply."""

    def read() -> int:
        texts = (one.get("text", "") for one in sandbox.slack.messages(CHANNEL, ASKER))
        return sum(text.startswith("Pods of hello in local") for text in texts)

    before, began = read(), time.perf_counter()
    sandbox.slack.command(ASKER, CHANNEL, "/pods hello")
    until(lambda: read() > before, WITHIN_S, "the pods of hello", every_s=0.005)
    return (time.perf_counter() - began) * 1000


def run() -> list[Row]:
    apart, hanging, answers = Measured(), Measured(), threading.Event()
    answers.set()
    with tempfile.TemporaryDirectory() as folder, SimulatedCluster() as others:
        port = int(others.url.rpartition(":")[2])
        with Proxy(partial(connected, port), answers.wait) as proxy:
            demo = Path(folder) / "demo"
            make_demo(demo, others, proxy)
            with run_sandbox(demo=demo, rate_scale=0, worker=("bot", "worker")) as sandbox:
                # In turn, so that both meet the same machine.
                for number in range(ROUNDS):
                    measure(sandbox, apart, 2 + 2 * number)
                    answers.clear()
                    measure(sandbox, hanging, 3 + 2 * number)
                    answers.set()
    settings = f"{ROUNDS} rounds in turn; baseline: the fifth cluster answers"
    return [
        row(what, unit, percentile(ours, share), percentile(baseline, share), settings)
        for what, unit, share, ours, baseline in (
            ("release, 1 of 5 clusters hanging", "s", 0.5, hanging.release_s, apart.release_s),
            ("bad image, the same", "s", 0.5, hanging.bad_image_s, apart.bad_image_s),
            ("/pods p50, the same", "ms", 0.5, hanging.pods_ms, apart.pods_ms),
            ("/pods p95, the same", "ms", 0.95, hanging.pods_ms, apart.pods_ms),
        )
    ]


def row(what: str, unit: str, ours: float, baseline: float, settings: str) -> Row:
    return Row(what, unit, ours, f"<= {GOAL}x", ours <= GOAL * baseline, baseline, settings)
