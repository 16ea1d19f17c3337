"""A canary of 5 pods, steps 20 and 50 without holds, beside the same scaling and rollout with the
Kubernetes client and watches; its requests to the API server; and how soon an abort takes the
candidate out of traffic."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, watch

from benchmarks.pressing import Pressed, find_button, press_button
from benchmarks.rows import Row, percentile
from benchmarks.waiting import CHANNEL, is_complete, until, until_posted
from bot.store import Leases, connect
from sandbox.main import DEMO, Sandbox, run_sandbox

ROUNDS = 3
STEPS = 4  # 20, 50, the promotion, and the canary pods go: each changes the cluster
ABORTS = 24
DEVELOPER, DEVELOPER_AND_APPROVER = "U0DEV1", "U0MANAGER"
WITHIN_S = 120


@contextmanager
def _sandbox(ready_after: float, **canary: object) -> Iterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(shutil.copytree(DEMO, Path(folder) / "demo"))
        catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
        catalog["apps"]["hello"]["canary"] = {"steps": [20, 50], **canary}
        (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
        with run_sandbox(demo=demo, ready_after=ready_after, rate_scale=0) as sandbox:
            yield sandbox


# --- the same, by hand ----------------------------------------------------------------------------


def by_client(sandbox: Sandbox, version: str) -> float:
    """Seconds to make hello-canary with 1 pod, scale it to 5, roll hello, and delete hello-canary;
    each when the one before is ready."""
    api = client.AppsV1Api(config.new_client_from_config(str(sandbox.kubeconfig)))
    image = {
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "hello", "image": f"pilothouse/hello:{version}"}]}
            }
        }
    }
    hello = api.read_namespaced_deployment("hello", "default")
    labels = {"app": "hello", "track": "canary"}
    template = client.ApiClient().sanitize_for_serialization(hello.spec.template)
    template["metadata"]["labels"] = labels
    template["spec"]["containers"][0]["image"] = f"pilothouse/hello:{version}"
    body = {
        "metadata": {"name": "hello-canary"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }
    began = time.perf_counter()
    made = api.create_namespaced_deployment("default", body)
    wait_until_complete(api, "hello-canary", made.metadata.generation)
    scaled = api.patch_namespaced_deployment("hello-canary", "default", {"spec": {"replicas": 5}})
    wait_until_complete(api, "hello-canary", scaled.metadata.generation)
    rolled = api.patch_namespaced_deployment("hello", "default", image)
    wait_until_complete(api, "hello", rolled.metadata.generation)
    api.delete_namespaced_deployment("hello-canary", "default", propagation_policy="Background")
    return time.perf_counter() - began


def wait_until_complete(api: client.AppsV1Api, name: str, generation: int) -> None:
    """Wait until `kubectl rollout status` would call this generation complete."""
    for event in watch.Watch().stream(
        api.list_namespaced_deployment,
        "default",
        field_selector=f"metadata.name={name}",
        timeout_seconds=WITHIN_S,
    ):
        if is_complete(event["object"], generation):
            return


# --- by a release ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """The requests of one release to the API server, and its ticks."""

    reads: int
    writes: int
    ticks: int


def by_release(sandbox: Sandbox, version: str) -> tuple[float, Asked]:
    before = _asked(sandbox)
    began = time.perf_counter()
    sandbox.slack.command(DEVELOPER, CHANNEL, f"/deploy hello {version} canary steps=20,50 hold=0s")
    until_posted(sandbox, f"hello is on {version}", within_s=WITHIN_S)
    took = time.perf_counter() - began
    time.sleep(0.3)  # the last tick ends its lease
    after = _asked(sandbox)
    return took, Asked(
        after.reads - before.reads, after.writes - before.writes, after.ticks - before.ticks
    )


def _asked(sandbox: Sandbox) -> Asked:
    """Reads of worker and watcher together; their long-lived watches do not count."""
    counts: dict[str, int] = _cluster(sandbox, "state")["requestsOf"].get("pilothouse", {})
    ticks = Leases(connect(sandbox.redis.url)).counters().get("jobs:release:done", 0)
    writes = sum(number for verb, number in counts.items() if verb not in ("GET", "WATCH"))
    return Asked(counts.get("GET", 0), writes, ticks)


def _cluster(sandbox: Sandbox, path: str) -> Any:
    url = client.Configuration()
    config.load_kube_config(str(sandbox.kubeconfig), client_configuration=url)
    with urllib.request.urlopen(f"{url.host}/_sandbox/{path}", timeout=10) as answer:
        return json.load(answer)


# --- aborts ---------------------------------------------------------------------------------------


def _wait(claim: Callable[[], bool], what: str) -> None:
    until(claim, WITHIN_S, what, every_s=0.01)


@dataclass(frozen=True)
class _Stage:
    sandbox: Sandbox
    api: client.ApiClient

    def deployment(self, name: str) -> Any:
        return client.AppsV1Api(self.api).read_namespaced_deployment(name, "default")

    def ready_candidates(self) -> int:
        slices = client.DiscoveryV1Api(self.api).list_namespaced_endpoint_slice(
            "default", label_selector="kubernetes.io/service-name=hello"
        )
        endpoints = [endpoint for item in slices.items for endpoint in item.endpoints or ()]
        return sum(
            1
            for one in endpoints
            if one.conditions.ready and one.target_ref.name.startswith("hello-canary-")
        )

    def first_hold(self) -> None:
        _wait(lambda: self.ready_candidates() == 1, "one candidate that serves")

    def rising(self) -> Pressed:
        """One candidate serves, four are starting."""
        self.first_hold()
        pressed = press_button(self.sandbox, DEVELOPER_AND_APPROVER, "Continue now")
        _wait(
            lambda: self.deployment("hello-canary").spec.replicas == 5, "hello-canary scaled to 5"
        )
        return pressed

    def second_hold(self) -> Pressed:
        pressed = self.rising()
        _wait(lambda: self.ready_candidates() == 5, "five candidates that serve")
        return pressed

    def waiting(self) -> None:
        press_button(
            self.sandbox, DEVELOPER_AND_APPROVER, "Continue now", unlike=self.second_hold().value
        )
        _wait(lambda: find_button(self.sandbox, "Promote") is not None, "the button Promote")

    def promoting(self) -> None:
        before = self.deployment("hello").metadata.generation
        self.waiting()
        press_button(self.sandbox, DEVELOPER_AND_APPROVER, "Promote")
        _wait(lambda: self.deployment("hello").metadata.generation > before, "hello on its way")


MOMENTS = ("first_hold", "rising", "second_hold", "waiting", "promoting")


def _abort(stage: _Stage, number: int) -> float:
    """Seconds from the click (or the typed command, every other time) until no ready endpoint is a
    candidate's."""
    moment, by_button = MOMENTS[number % len(MOMENTS)], number // len(MOMENTS) % 2 == 0
    stage.sandbox.slack.command(
        DEVELOPER, CHANNEL, f"/deploy hello 2.0.{number} canary steps=20,50 hold=10m"
    )
    getattr(stage, moment)()
    since = _cluster(stage.sandbox, "history")[-1]["number"]
    clicked_at = time.time()
    if by_button:
        clicked_at = press_button(stage.sandbox, DEVELOPER, "Abort").at
    else:
        stage.sandbox.slack.command(DEVELOPER, CHANNEL, "/rollout abort hello")
    _wait(lambda: stage.ready_candidates() == 0, "no candidate that serves")
    slices = f"history?since={since}&resource=endpointslices.discovery.k8s.io"
    empty = next(
        write["time"]
        for write in reversed(_cluster(stage.sandbox, slices))
        if _serves_candidates(write) is False
    )
    until_posted(stage.sandbox, f"2.0.{number} canary · aborted", within_s=WITHIN_S)
    return float(empty) - clicked_at


def _serves_candidates(write: dict[str, Any]) -> bool | None:
    """None for a slice of another Service."""
    found = write["object"]
    if found["metadata"]["labels"].get("kubernetes.io/service-name") != "hello":
        return None
    endpoints = found.get("endpoints") or ()
    return any(
        one["conditions"].get("ready") and one["targetRef"]["name"].startswith("hello-canary-")
        for one in endpoints
    )


# --- the rows -------------------------------------------------------------------------------------


def run() -> list[Row]:
    return [*_releases(3.0), *_releases(0.2), _aborts()]


def _releases(ready_after: float) -> Iterator[Row]:
    with _sandbox(ready_after, promote="automatic") as sandbox:
        ours, baseline, asked = [], [], []
        for number in range(ROUNDS):
            baseline.append(by_client(sandbox, f"1.{number}.1"))
            took, counts = by_release(sandbox, f"2.{number}.0")
            ours.append(took)
            asked.append(counts)
    mine, theirs = percentile(ours, 0.5), percentile(baseline, 0.5)
    settings = f"5 pods, steps 20 and 50, ready after {ready_after} s, {ROUNDS} rounds, median"
    if ready_after < 1:
        most = 0.3 * STEPS
        yield Row(
            "canary release",
            "s",
            mine,
            f"<= +{most:.1f} s (0.3 s a step)",
            mine <= theirs + most,
            theirs,
            settings,
        )
        return
    yield Row("canary release", "s", mine, "<= 1.3x", mine <= 1.3 * theirs, theirs, settings)
    reads = max(one.reads / one.ticks for one in asked)
    ticks = max(one.ticks for one in asked)
    writes = max(one.writes for one in asked)
    worst = f"5 pods, steps 20 and 50, ready after {ready_after} s, the most of {ROUNDS} rounds"
    yield Row("canary: reads a tick", "", reads, "<= 8", reads <= 8, None, worst)
    yield Row(
        "canary: ticks", "", ticks, f"<= {6 * STEPS} (6 a step)", ticks <= 6 * STEPS, None, worst
    )
    yield Row(
        "canary: writes",
        "",
        writes,
        f"<= {2 * STEPS + 6} (2 a step and 6)",
        writes <= 2 * STEPS + 6,
        None,
        worst,
    )


def _aborts() -> Row:
    with _sandbox(1.0) as sandbox:
        stage = _Stage(sandbox, config.new_client_from_config(str(sandbox.kubeconfig)))
        times = [_abort(stage, number) for number in range(ABORTS)]
    p95 = percentile(times, 0.95)
    settings = (
        f"{ABORTS} aborts in {len(MOMENTS)} moments, by button and command, from click to no ready"
        " endpoint of the candidate"
    )
    return Row("canary: abort p95", "s", p95, "<= 1 s", p95 <= 1.0, None, settings)
