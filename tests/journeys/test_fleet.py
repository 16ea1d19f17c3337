"""One app in three clusters: a version goes through its waves, a failing cluster stops them, and
one that went away catches up. The order is that of the clusters' own histories."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from sandbox.cluster.simulation import SimulatedCluster, kubeconfig_text
from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.faults.proxy import Proxy, connected
from tests.faults.stage import as_started, start_again
from tests.journeys.test_evidence import administer

CHANNEL, DEVELOPER, MANAGER = "C0RELEASES", "U0DEV1", "U0MANAGER"
WITHIN_S = 90.0
WAVES = [
    {"clusters": ["local"]},
    {"clusters": ["us", "onprem"], "unreachable": "skip"},
]


@dataclass
class ThreeClusters:
    sandbox: Sandbox
    kubeconfigs: dict[str, Path]  # without the proxy
    answers: dict[str, threading.Event]

    def say(self, text: str, by: str = DEVELOPER) -> str:
        return str(self.sandbox.slack.command(by, CHANNEL, text).get("text") or "")

    def sees(self, text: str) -> None:
        slack = self.sandbox.slack

        def is_there() -> bool:
            return any(text in one.get("text", "") for one in slack.messages(CHANNEL, DEVELOPER))

        try:
            slack.wait_for(is_there, seconds=WITHIN_S, what=text)
        except TimeoutError as late:
            shown = [one.get("text", "") for one in slack.messages(CHANNEL, DEVELOPER)]
            raise TimeoutError("\n\n".join([str(late), *shown])) from late

    def crashes(self, cluster: str, version: str) -> None:
        """Pods of that version, in that cluster alone."""
        with config.new_client_from_config(str(self.kubeconfigs[cluster])) as api:
            administer(api, "timings", {"back_off": 0.3})
            image = f"pilothouse/hello:{version}"
            administer(api, "images", {"pattern": image, "behaviour": {"kind": "crash"}})

    def ready(self, version: str, *clusters: str, are: bool = True) -> None:
        """Pods of that version wait there until they are told to be ready: a wave stays what it is
        for as long as somebody looks at it."""
        behaviour = {"kind": "ready" if are else "unready"}
        for cluster in clusters:
            with config.new_client_from_config(str(self.kubeconfigs[cluster])) as api:
                image = f"pilothouse/hello:{version}"
                administer(api, "images", {"pattern": image, "behaviour": behaviour})

    def kill(self, name: str) -> None:
        """And start it again, as its supervisor would."""
        part = self.sandbox.part(name)
        words, environment = as_started(part)
        os.kill(part.process.pid, signal.SIGKILL)
        part.process.wait()
        part.process = start_again(words, environment, part.log)

    def image(self, cluster: str) -> str:
        with config.new_client_from_config(str(self.kubeconfigs[cluster])) as api:
            found = client.AppsV1Api(api).read_namespaced_deployment("hello", "default")
        return str(found.spec.template.spec.containers[0].image).rpartition(":")[2]

    def images(self) -> list[str]:
        return [self.image(one) for one in self.kubeconfigs]

    def since(self, cluster: str, version: str) -> str:
        """When the cluster made the ReplicaSet of that version."""
        with config.new_client_from_config(str(self.kubeconfigs[cluster])) as api:
            sets = client.AppsV1Api(api).list_namespaced_replica_set("default").items
        fitting = [
            one.metadata.creation_timestamp
            for one in sets
            if str(one.spec.template.spec.containers[0].image).endswith(f":{version}")
        ]
        return str(max(fitting))


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ThreeClusters]:
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo)
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    kubeconfigs, answers = {}, {}
    with ExitStack() as stack:
        for name in ("us", "onprem"):
            cluster = stack.enter_context(SimulatedCluster())
            hello = (demo / "manifests" / "hello.yaml").read_text("utf-8")
            cluster.seed(yaml.safe_load_all(hello))
            kubeconfigs[name] = cluster.kubeconfig(tmp_path / name)
            answers[name] = threading.Event()
            answers[name].set()
            port = int(cluster.url.rpartition(":")[2])
            proxy = stack.enter_context(Proxy(partial(connected, port), answers[name].wait))
            behind = kubeconfig_text(f"http://127.0.0.1:{proxy.port}")
            (demo / f"{name}.kubeconfig").write_text(behind, encoding="utf-8")
            catalog["clusters"][name] = {"kubeconfig": f"./{name}.kubeconfig", "context": "sandbox"}
        app = catalog["apps"]["hello"]
        del app["cluster"]
        app |= {"clusters": ["local", "us", "onprem"], "waves": WAVES}
        app["canary"] = {"steps": [50], "hold": "1s"}
        app["crash_loop"] = {"restarts": 1, "for": "1s"}
        (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
        sandbox = stack.enter_context(
            run_sandbox(demo=demo, rate_scale=0, worker=("bot", "worker"))
        )
        yield ThreeClusters(sandbox, {"local": sandbox.kubeconfig} | kubeconfigs, answers)
        for one in answers.values():
            one.set()


@pytest.mark.slow
def test_a_version_goes_through_the_waves_and_back_again(three: ThreeClusters) -> None:
    three.say("/deploy hello 2.0.0")
    three.sees("hello is on 2.0.0 in local, us, onprem")
    assert three.images() == ["2.0.0"] * 3
    assert three.since("local", "2.0.0") < min(
        three.since("us", "2.0.0"), three.since("onprem", "2.0.0")
    )
    three.say("/rollout undo hello")
    three.sees("hello is back on 1.0.0 in local, us, onprem")
    assert three.images() == ["1.0.0"] * 3


@pytest.mark.slow
def test_a_failing_cluster_stops_the_fleet_and_roll_back_all_takes_the_others_back(
    three: ThreeClusters,
) -> None:
    three.crashes("us", "2.0.0")
    three.say("/deploy hello 2.0.0")
    three.sees("2 of 3 clusters are on 2.0.0 (local, onprem), not us")
    assert three.images() == ["2.0.0", "1.0.0", "2.0.0"]
    three.say("/rollout abort hello")
    three.sees("hello is back on 1.0.0 in local, us, onprem")
    assert three.images() == ["1.0.0"] * 3


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_skipped_and_catches_up(three: ThreeClusters) -> None:
    three.answers["onprem"].clear()
    three.say("/deploy hello 2.0.0")
    three.sees("done but for onprem")
    assert three.images() == ["2.0.0", "2.0.0", "1.0.0"]
    three.say("/scale hello 4 in=us")  # nothing waits for the cluster that is away
    three.sees("hello in us has 4 pods")
    three.answers["onprem"].set()
    three.sees("hello is on 2.0.0 in local, us, onprem")
    assert three.images() == ["2.0.0"] * 3


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_bot_lose_no_wave(three: ThreeClusters) -> None:
    three.ready("2.0.0", "local", "us", "onprem", are=False)
    three.say("/deploy hello 2.0.0")
    three.sees("wave 1 of 2: local")
    three.kill("worker")
    three.kill("bot")
    three.ready("2.0.0", "local")
    three.sees("wave 2 of 2: us, onprem")
    three.kill("worker")
    three.ready("2.0.0", "us", "onprem")
    three.sees("hello is on 2.0.0 in local, us, onprem")
    assert three.images() == ["2.0.0"] * 3


@pytest.mark.slow
def test_a_part_of_the_fleet_leaves_the_rest_alone(three: ThreeClusters) -> None:
    three.say("/deploy hello 2.0.0 in=local,us")
    three.sees("hello is on 2.0.0 in local, us")
    assert three.images() == ["2.0.0", "2.0.0", "1.0.0"]


@pytest.mark.slow
def test_a_canary_is_approved_once_for_each_wave(three: ThreeClusters) -> None:
    three.say("/deploy hello 2.0.0 canary")
    three.sees("Needs approval: promote hello to 2.0.0 in local; 0 of 1 approved")
    three.say("/rollout promote hello", by=MANAGER)
    three.sees("Needs approval: promote hello to 2.0.0 in us, onprem; 0 of 1 approved")
    assert three.images() == ["2.0.0", "1.0.0", "1.0.0"]
    three.say("/rollout promote hello", by=MANAGER)
    three.sees("hello is on 2.0.0 in local, us, onprem")
    assert three.images() == ["2.0.0"] * 3


@pytest.mark.slow
def test_the_sandbox_has_as_many_clusters_as_it_is_asked_for() -> None:
    """Line by line what docs/how-to/a-region-at-a-time.md says to type."""
    with run_sandbox(clusters=3, ready_after=0.2, rate_scale=0) as sandbox:

        def sees(text: str) -> None:
            def is_there() -> bool:
                shown = sandbox.slack.messages(CHANNEL, DEVELOPER)
                return any(text in one.get("text", "") for one in shown)

            sandbox.slack.wait_for(is_there, seconds=WITHIN_S, what=text)

        def say(text: str) -> str:
            return str(sandbox.slack.command(DEVELOPER, CHANNEL, text).get("text") or "")

        planned = say("/deploy hello 2.0.0 dry-run")
        assert "wave 1: local" in planned
        assert "way back: onprem, then us, then local" in planned
        say("/deploy hello 2.0.0")
        sees("hello is on 2.0.0 in local, us, onprem")
        say("/rollout undo hello")
        sees("hello is back on 1.0.0 in local, us, onprem")
        say("/deploy hello 2.0.0 in=region:eu")
        sees("hello is on 2.0.0 in local, onprem")
        say("/pilothouse apps")
        sees("hello differs: 2.0.0 in local, onprem; 1.0.0 in us")
