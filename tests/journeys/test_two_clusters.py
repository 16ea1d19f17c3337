"""One app in two clusters: a release and its undo in one leave the other alone, and one that hangs
delays nothing in the other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from sandbox.cluster.simulation import SimulatedCluster, kubeconfig_text
from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.faults.proxy import Proxy, connected

CHANNEL, DEVELOPER = "C0RELEASES", "U0DEV1"
WITHIN_S = 60.0


@dataclass
class TwoClusters:
    sandbox: Sandbox
    other: Path  # the kubeconfig of us, without the proxy
    answers: threading.Event

    def say(self, text: str) -> str:
        return str(self.sandbox.slack.command(DEVELOPER, CHANNEL, text).get("text") or "")

    def sees(self, text: str) -> None:
        slack = self.sandbox.slack

        def is_there() -> bool:
            return any(text in one.get("text", "") for one in slack.messages(CHANNEL, DEVELOPER))

        slack.wait_for(is_there, seconds=WITHIN_S, what=text)

    def image(self, kubeconfig: Path) -> str:
        with config.new_client_from_config(str(kubeconfig)) as api:
            found = client.AppsV1Api(api).read_namespaced_deployment("hello", "default")
        return str(found.spec.template.spec.containers[0].image).rpartition(":")[2]

    @property
    def images(self) -> tuple[str, str]:
        return self.image(self.sandbox.kubeconfig), self.image(self.other)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoClusters]:
    answers = threading.Event()
    answers.set()
    demo = tmp_path / "demo"
    shutil.copytree(DEMO, demo)
    with SimulatedCluster() as other:
        other.seed(yaml.safe_load_all((demo / "manifests" / "hello.yaml").read_text("utf-8")))
        direct = other.kubeconfig(tmp_path / "us")
        port = int(other.url.rpartition(":")[2])
        with Proxy(partial(connected, port), answers.wait) as proxy:
            behind = kubeconfig_text(f"http://127.0.0.1:{proxy.port}")
            (demo / "us.kubeconfig").write_text(behind, encoding="utf-8")
            catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
            catalog["clusters"]["us"] = {"kubeconfig": "./us.kubeconfig", "context": "sandbox"}
            hello = catalog["apps"]["hello"]
            del hello["cluster"]
            hello["clusters"] = ["local", "us"]
            (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
            worker = ("bot", "worker")
            with run_sandbox(demo=demo, rate_scale=0, worker=worker) as sandbox:
                yield TwoClusters(sandbox, direct, answers)
            answers.set()


@pytest.mark.slow
def test_what_is_asked_for_one_cluster_leaves_the_other_alone(two: TwoClusters) -> None:
    which = "hello is in local and us. Which one? Add `in=local` or `in=us`."
    assert which in two.say("/scale hello 5")
    two.say("/deploy hello 7.0.0 in=us")
    two.sees("hello in us is on 7.0.0")
    assert two.images == ("1.0.0", "7.0.0")
    assert which in two.say("/rollout undo hello")
    two.say("/rollout undo hello in=us")
    two.sees("hello in us is on 1.0.0")
    assert two.images == ("1.0.0", "1.0.0")
    two.answers.clear()
    for _ in range(8):  # as many questions as would have kept every worker busy
        two.say("/pods hello in=us")
    two.say("/deploy hello 2.0.0 in=local")
    two.sees("hello in local is on 2.0.0")
    two.say("/pods hello in=local")
    two.sees("Pods of hello in local")
