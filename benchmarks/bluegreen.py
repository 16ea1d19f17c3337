"""The two clicks of blue/green: from "Switch" to the patched selector, and from "Roll back" to
endpoints that are all blue.

The baseline of the rollback is the same patch by the Python client on a pair of the same size,
watched in the same way, by three clients: one that is already connected; one created for it from
the kubeconfig in a running Python; and a process of its own, from its start, as a person would run
it. One goal applies to all three.
"""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, watch

from benchmarks.pressing import press_button
from benchmarks.rows import Row, percentile
from benchmarks.waiting import CHANNEL, until_posted
from sandbox.control_plane import BinariesMissing, ControlPlane, built_binaries
from sandbox.main import DEMO, Sandbox, run_sandbox

ROUNDS = 7
REPLICAS = 5
STARTER, APPROVER = "U0DEV1", "U0MANAGER"
WITHIN_S = 30.0
Json = dict[str, Any]


class Watched:
    """What the cluster reports of one Service: when its selector changed, and when which pods were
    ready."""

    def __init__(self, api: client.ApiClient, service: str) -> None:
        self._api, self._service = api, service
        self._ended = threading.Event()
        self.selected: list[tuple[float, Json]] = []
        self.ready: list[tuple[float, tuple[str, ...]]] = []

    @contextmanager
    def following(self) -> Iterator[Watched]:
        slices = client.DiscoveryV1Api(self._api).list_namespaced_endpoint_slice
        services = client.CoreV1Api(self._api).list_namespaced_service
        labelled = {"label_selector": f"kubernetes.io/service-name={self._service}"}
        named = {"field_selector": f"metadata.name={self._service}"}
        threads = [
            threading.Thread(target=self._follow, args=(slices, labelled, self._slice)),
            threading.Thread(target=self._follow, args=(services, named, self._select)),
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()

    def _follow(
        self, listing: Callable[..., Any], narrowed: dict[str, str], note: Callable[[Json], None]
    ) -> None:
        while not self._ended.is_set():
            for event in watch.Watch().stream(
                listing, "default", timeout_seconds=1, deserialize=False, **narrowed
            ):
                note(event["object"])

    def _slice(self, item: Json) -> None:
        ready = tuple(
            one["targetRef"]["name"]
            for one in item.get("endpoints") or ()
            if one["conditions"].get("ready")
        )
        self.ready.append((time.perf_counter(), ready))

    def _select(self, item: Json) -> None:
        self.selected.append((time.perf_counter(), item["spec"]["selector"]))

    def first(self, since: float, holds: Callable[[], float | None]) -> float:
        """Milliseconds from ``since`` until it held."""
        ends = time.monotonic() + WITHIN_S
        while (at := holds()) is None:
            if time.monotonic() > ends:
                raise TimeoutError(f"{self._service}: {self.ready[-1:]}, {self.selected[-1:]}")
            time.sleep(0.002)
        return (at - since) * 1000

    def patched(self, since: float, selector: Json) -> float:
        return self.first(
            since,
            lambda: next(
                (at for at, found in self.selected if at > since and found == selector), None
            ),
        )

    def all_ready_are(self, since: float, pods: frozenset[str]) -> float:
        return self.first(
            since,
            lambda: next(
                (at for at, found in self.ready if at > since and frozenset(found) == pods), None
            ),
        )


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as folder:
        demo = Path(shutil.copytree(DEMO, Path(folder) / "demo"))
        catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
        del catalog["apps"]["hello"]["probe"]
        (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
        with run_sandbox(demo=demo, ready_after=0.2, rate_scale=0) as sandbox:
            rows = measured(sandbox, "simulated cluster")
        try:
            built_binaries()
        except BinariesMissing:
            return rows
        with ControlPlane() as real:
            for path in sorted((demo / "manifests").glob("*.yaml")):
                real.kubectl("apply", "-f", str(path))
            with run_sandbox(demo=demo, rate_scale=0, kubeconfig=Path(real.kubeconfig)) as sandbox:
                return [*rows, *measured(sandbox, "real control plane")]


def measured(sandbox: Sandbox, where: str) -> list[Row]:
    with closing(config.new_client_from_config(str(sandbox.kubeconfig))) as api:
        to_switch, ours = by_release(sandbox, api)
        _a_pair_by_hand(api)
        clients = by_client(sandbox, api)
    switch, back = percentile(to_switch, 0.5), percentile(ours, 0.5)
    settings = f"{REPLICAS} + {REPLICAS} pods, {ROUNDS} rounds, median, {where}"
    rows = [
        Row(
            "approval click to selector patched p50",
            "ms",
            switch,
            "<= 150 ms",
            switch <= 150,
            None,
            settings,
        )
    ]
    for how, took in clients.items():
        theirs = percentile(took, 0.5)
        named = f"{settings}; client: {how}"
        rows.append(
            Row(
                "roll-back click to endpoints all blue p50",
                "ms",
                back,
                "<= 1.5x",
                back <= 1.5 * theirs,
                theirs,
                named,
            )
        )
    return rows


def by_release(sandbox: Sandbox, api: client.ApiClient) -> tuple[list[float], list[float]]:
    """(milliseconds of each switch, of each rollback)."""
    switches, backs = [], []
    with Watched(api, "hello").following() as seen:
        for number in range(ROUNDS):
            sandbox.slack.command(STARTER, CHANNEL, f"/deploy hello 2.{number}.0 bluegreen")
            blue = _pods(api, "hello")
            clicked = press_button(sandbox, APPROVER, "Switch").counter
            switches.append(seen.patched(clicked, {"app": "hello-green"}))
            clicked = press_button(sandbox, STARTER, "Roll back").counter
            backs.append(seen.all_ready_are(clicked, blue))
            until_posted(sandbox, f"2.{number}.0", "rolled back:", within_s=WITHIN_S)
    return switches, backs


def _pods(api: client.ApiClient, label: str) -> frozenset[str]:
    pods = client.CoreV1Api(api).list_namespaced_pod("default", label_selector=f"app={label}").items
    return frozenset(pod.metadata.name for pod in pods if pod.metadata.deletion_timestamp is None)


# --- the same patch by the client -----------------------------------------------------------------


def _a_pair_by_hand(api: client.ApiClient) -> None:
    """auth and auth-green, as large as hello and its green."""
    apps = client.AppsV1Api(api)
    blue = apps.read_namespaced_deployment("auth", "default")
    green = copy.deepcopy(blue)
    green.metadata = client.V1ObjectMeta(name="auth-green", labels={"app": "auth-green"})
    green.spec.selector.match_labels = {"app": "auth-green"}
    green.spec.template.metadata.labels = {"app": "auth-green"}
    green.spec.replicas = REPLICAS
    apps.create_namespaced_deployment("default", green)
    apps.patch_namespaced_deployment("auth", "default", {"spec": {"replicas": REPLICAS}})
    ends = time.monotonic() + WITHIN_S
    while any(
        apps.read_namespaced_deployment(name, "default").status.available_replicas != REPLICAS
        for name in ("auth", "auth-green")
    ):
        if time.monotonic() > ends:
            raise TimeoutError("the pair made by hand is not ready")
        time.sleep(0.02)


SCRIPT = """
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
selector = {"spec": {"selector": {"app": "auth"}}}
client.CoreV1Api().patch_namespaced_service("auth", "default", selector)
"""


def by_client(sandbox: Sandbox, api: client.ApiClient) -> dict[str, list[float]]:
    """By kind of client: milliseconds from the start of its work until all endpoints are blue."""
    blue, green = _pods(api, "auth"), _pods(api, "auth-green")
    back = {"spec": {"selector": {"app": "auth"}}}

    def connected() -> None:
        client.CoreV1Api(api).patch_namespaced_service("auth", "default", back)

    def made_for_it() -> None:
        with closing(config.new_client_from_config(str(sandbox.kubeconfig))) as fresh:
            client.CoreV1Api(fresh).patch_namespaced_service("auth", "default", back)

    def a_process() -> None:
        subprocess.run([sys.executable, "-c", SCRIPT, str(sandbox.kubeconfig)], check=True)

    ways = {
        "connected already": connected,
        "made from the kubeconfig": made_for_it,
        "a process": a_process,
    }
    took: dict[str, list[float]] = {how: [] for how in ways}
    with Watched(api, "auth").following() as seen:
        for _ in range(ROUNDS):
            for how, patch in ways.items():
                began = time.perf_counter()
                client.CoreV1Api(api).patch_namespaced_service(
                    "auth", "default", {"spec": {"selector": {"app": "auth-green"}}}
                )
                seen.all_ready_are(began, green)
                began = time.perf_counter()
                patch()
                took[how].append(seen.all_ready_are(began, blue))
    return took
