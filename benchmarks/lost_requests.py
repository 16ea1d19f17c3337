"""Requests lost per 10,000 while an app is released on real nodes: clients send a steady stream
through kube-proxy, each request on a connection of its own, and none tries again.

Each strategy is measured with an app that closes its listener at once on SIGTERM and with one that
serves on for some seconds, both at the same time, and beside the same change by hand:

- by kubectl, as the well-known lab does it: `set image`; a canary Deployment that is created, then
  deleted; a green Deployment, a patched selector, and blue deleted at once;
- as Argo Rollouts does it, with kubectl in the controller's place: a canary that grows while stable
  shrinks, pod by pod; green, a patched selector, and blue removed 30 s later.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.rows import Row
from benchmarks.waiting import CHANNEL, until, until_posted
from sandbox.control_plane import BinariesMissing
from sandbox.images import Images
from sandbox.main import DEMO, Sandbox, run_sandbox
from sandbox.real_node import MachineUnfit, RealNodes
from tests.card_buttons import newest_offer, press
from tests.journeys.conftest import objects_of
from tests.real_cluster import bot_credentials
from tests.real_node.traffic import Traffic

APPS = 40
REPLICAS = 4
RATE = 60.0
DRAIN_S = 6
SCALE_DOWN_DELAY_S = 30.0
WITHIN_S = 180.0
STARTER, MANAGER = "U0DEV1", "U0MANAGER"
ON_ONE_VERSION = 100
"""Replies of one version in a row: the release has arrived at the proxies."""
_numbers = itertools.count(1)
Json = dict[str, Any]


@dataclass(frozen=True)
class Lost:
    lost: int
    sent: int

    @property
    def per_10000(self) -> float:
        return 10_000 * self.lost / self.sent if self.sent else 0.0

    def __str__(self) -> str:
        return f"{self.lost} of {self.sent:,}"


@dataclass(frozen=True)
class Subject:
    """An app with its Service on the real nodes."""

    name: str
    nodes: RealNodes
    sandbox: Sandbox

    # --- by release ---

    def type(self, text: str) -> None:
        self.sandbox.slack.command(STARTER, CHANNEL, text.format(app=self.name))

    def sees(self, *words: str) -> None:
        until_posted(
            self.sandbox, *(word.format(app=self.name) for word in words), within_s=WITHIN_S
        )

    # --- by hand ---

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.nodes.kubectl(*words, stdin=stdin)

    def set_image(self, deployment: str, version: str) -> None:
        name = f"deployment/{deployment}"
        self.kubectl("set", "image", name, f"{self.name}=pilothouse/{self.name}:{version}")
        self.wait_for(deployment)

    def scale(self, deployment: str, replicas: int) -> None:
        self.kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}")
        self.wait_for(deployment)

    def wait_for(self, deployment: str) -> None:
        self.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=110s")

    def delete(self, deployment: str) -> None:
        self.kubectl("delete", f"deployment/{deployment}", "--wait=false")

    def create_beside(self, mark: str, replicas: int, version: str = "2.0.0") -> str:
        """A second Deployment of the app, whose pods have `track` of that value."""
        body: Json = json.loads(self.kubectl("get", "deployment", self.name, "--output=json"))
        spec, name = copy.deepcopy(body["spec"]), f"{self.name}-{mark}"
        spec["replicas"] = replicas
        spec["selector"]["matchLabels"]["track"] = mark
        spec["template"]["metadata"]["labels"]["track"] = mark
        spec["template"]["spec"]["containers"][0]["image"] = f"pilothouse/{self.name}:{version}"
        made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
        self.kubectl("apply", "--filename=-", stdin=json.dumps({**made, "spec": spec}))
        self.wait_for(name)
        return name

    def select(self, mark: str) -> None:
        patch = {"spec": {"selector": {"app": self.name, "track": mark}}}
        self.kubectl("patch", "service", self.name, f"--patch={json.dumps(patch)}")


Way = Callable[[Subject], None]


def _roll(one: Subject) -> None:
    one.type("/deploy {app} 2.0.0")
    one.sees("{app} is on 2.0.0")


def _roll_by_hand(one: Subject) -> None:
    one.set_image(one.name, "2.0.0")


def _canary(one: Subject) -> None:
    one.type("/deploy {app} 2.0.0 canary")
    one.sees("{app} is on 2.0.0")


def _canary_by_hand(one: Subject) -> None:
    canary = one.create_beside("canary", 1)
    one.set_image(one.name, "2.0.0")
    one.delete(canary)


def _canary_as_argo(one: Subject) -> None:
    canary = one.create_beside("canary", 1)
    for replicas in range(1, REPLICAS + 1):
        one.scale(canary, replicas)
        one.scale(one.name, REPLICAS - replicas)


def _aborted_canary(one: Subject) -> None:
    one.type("/deploy {app} 2.0.0 canary steps=50 hold=1h")
    one.sees("{app} 1.0.0 → 2.0.0 canary", "holding")
    one.type("/rollout abort {app}")
    one.sees("{app} is back on 1.0.0")


def _aborted_canary_by_hand(one: Subject) -> None:
    one.delete(one.create_beside("canary", 2))


def _aborted_canary_as_argo(one: Subject) -> None:
    canary = one.create_beside("canary", 2)
    one.scale(one.name, REPLICAS - 2)
    one.scale(one.name, REPLICAS)
    one.scale(canary, 0)


def _blue_green(one: Subject) -> None:
    one.type("/deploy {app} 2.0.0 bluegreen")
    one.sees("{app} 1.0.0 → 2.0.0 blue/green", "waiting for approval")
    _press(one, "Switch")
    one.sees("{app} is on 2.0.0")


def _blue_green_by_hand(one: Subject) -> None:
    _switch_by_hand(one, 0.0)


def _blue_green_as_argo(one: Subject) -> None:
    _switch_by_hand(one, SCALE_DOWN_DELAY_S)


def _switch_by_hand(one: Subject, delay_s: float) -> None:
    one.select("stable")
    one.create_beside("green", REPLICAS)
    one.select("green")
    time.sleep(delay_s)
    one.delete(one.name)


def _aborted_blue_green(one: Subject) -> None:
    one.type("/deploy {app} 2.0.0 bluegreen")
    one.sees("{app} 1.0.0 → 2.0.0 blue/green", "waiting for approval")
    one.type("/rollout abort {app}")
    one.sees("{app} is back on 1.0.0")


def _aborted_blue_green_by_hand(one: Subject) -> None:
    one.select("stable")
    one.delete(one.create_beside("green", REPLICAS))


def _press(one: Subject, label: str) -> None:
    """The app's own button: another app asks at the same time."""

    def pressed() -> bool:
        of_app = re.compile(rf"\b{one.name}\b")
        found = one.sandbox.slack.messages(CHANNEL, MANAGER, about=one.name)
        offer = newest_offer([m for m in found if of_app.search(m.get("text", ""))], label)
        if offer is None:
            return False
        return bool(press(one.sandbox.slack, MANAGER, CHANNEL, offer).get("ok"))

    until(pressed, WITHIN_S, f"the button {label} of {one.name}")


@dataclass(frozen=True)
class Compared:
    """``ends_on``: what replies at last. ``loses_none``: what a release promises, of any app."""

    what: str
    ours: Way
    by_hand: Way
    as_argo: Way | None = None
    ends_on: str = "2.0.0"
    loses_none: bool = False


COMPARED = (
    Compared("rolling", _roll, _roll_by_hand),
    Compared("canary, promoted", _canary, _canary_by_hand, _canary_as_argo),
    Compared(
        "canary, aborted",
        _aborted_canary,
        _aborted_canary_by_hand,
        _aborted_canary_as_argo,
        "1.0.0",
        loses_none=True,
    ),
    Compared("blue/green", _blue_green, _blue_green_by_hand, _blue_green_as_argo, loses_none=True),
    Compared(
        "blue/green, aborted before the switch",
        _aborted_blue_green,
        _aborted_blue_green_by_hand,
        ends_on="1.0.0",
        loses_none=True,
    ),
)


def run() -> list[Row]:
    try:
        with _running() as (nodes, sandbox):
            return [row for one in COMPARED for row in _rows(one, nodes, sandbox)]
    except (BinariesMissing, MachineUnfit) as reason:
        print(f"SKIPPED: a real node cannot run here: {reason}", flush=True)
        return []


@contextmanager
def _running() -> Iterator[tuple[RealNodes, Sandbox]]:
    layout = Images().layout
    with (
        RealNodes(images=layout if layout.exists() else None) as nodes,
        tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as folder,
        run_sandbox(
            demo=_demo(Path(folder)), rate_scale=0, kubeconfig=bot_credentials(nodes)
        ) as sandbox,
    ):
        yield nodes, sandbox


def _demo(folder: Path) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo", ignore=shutil.ignore_patterns("manifests")))
    rules = {
        "canary": {"steps": [50], "hold": "1s", "promote": "automatic"},
        "bluegreen": {"rollback_window": "30s"},
    }
    names = [f"app{number}" for number in range(1, APPS + 1)]
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["apps"] = {
        name: {"cluster": "local", "images": [f"pilothouse/{name}"], **rules} for name in names
    }
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    return demo


def _rows(compared: Compared, nodes: RealNodes, sandbox: Sandbox) -> Iterator[Row]:
    ours = _measured(compared.ours, compared.ends_on, nodes, sandbox)
    theirs = {"kubectl": _measured(compared.by_hand, compared.ends_on, nodes, sandbox)}
    if compared.as_argo is not None:
        theirs["Argo's way"] = _measured(compared.as_argo, compared.ends_on, nodes, sandbox)
    for whose, lost in theirs.items():
        for drains, mine, base in zip((False, True), ours, lost, strict=True):
            none = drains or compared.loses_none
            app = f"serves {DRAIN_S} s after SIGTERM" if drains else "closes at once on SIGTERM"
            yield Row(
                f"lost: {compared.what}; the app {app}",
                "",
                mine.per_10000,
                "none" if none else f"<= {whose}",
                mine.lost == 0 if none else _no_more_than(mine, base),
                base.per_10000,
                f"ours {mine}, {whose} {base}; {REPLICAS} pods, {RATE:.0f} requests/s",
            )


def _no_more_than(ours: Lost, theirs: Lost) -> bool:
    """Chance differs; twice as many, and 20 more, would be another way of rolling."""
    return ours.lost <= 2 * theirs.lost + 20


def _measured(way: Way, ends_on: str, nodes: RealNodes, sandbox: Sandbox) -> tuple[Lost, Lost]:
    """Of an app that closes at once, and of one that drains, at the same time."""
    with ThreadPoolExecutor(2) as pool:
        at_once, draining = (
            pool.submit(_lost, way, ends_on, nodes, sandbox, drain_s) for drain_s in (0, DRAIN_S)
        )
        return at_once.result(), draining.result()


def _lost(way: Way, ends_on: str, nodes: RealNodes, sandbox: Sandbox, drain_s: int) -> Lost:
    one = Subject(f"app{next(_numbers)}", nodes, sandbox)
    for body in _objects(one.name, drain_s):
        one.kubectl("apply", "--filename=-", stdin=json.dumps(body))
    one.wait_for(one.name)
    address = one.kubectl("get", "service", one.name, "--output=jsonpath={.spec.clusterIP}")
    with Traffic(nodes, f"http://{address}/who", RATE) as traffic:
        until(lambda: len(traffic.requests()) > ON_ONE_VERSION, WITHIN_S, "requests")
        way(one)
        until(
            lambda: traffic.newest(ON_ONE_VERSION) == {ends_on: ON_ONE_VERSION},
            WITHIN_S,
            f"only {ends_on} replies for {one.name}",
        )
    one.kubectl("delete", "service", one.name, "--wait=false")
    for name in ("", "-canary", "-green"):
        one.kubectl("delete", f"deployment/{one.name}{name}", "--ignore-not-found", "--wait=false")
    return Lost(len(traffic.lost()), len(traffic.requests()))


def _objects(name: str, drain_s: int) -> Iterator[Json]:
    """`track` tells the Deployments of a hand-made blue/green apart."""
    deployment, service = objects_of(name, REPLICAS)
    pod = deployment["spec"]["template"]
    pod["metadata"]["labels"]["track"] = "stable"
    pod["spec"]["containers"][0]["readinessProbe"]["periodSeconds"] = 1
    pod["spec"]["containers"][0]["env"] = [{"name": "DRAIN", "value": str(drain_s)}]
    yield deployment
    yield service
