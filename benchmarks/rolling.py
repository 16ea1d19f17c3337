"""A rolling release of 5 pods, from the typed command to "succeeded", against the same change with the kubernetes client and a watch."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from kubernetes import client, config, watch

from benchmarks.rows import Row, percentile
from sandbox.main import Sandbox, run_sandbox

ROUNDS = 3


def by_client(sandbox: Sandbox, version: str) -> float:
    """Seconds for patch and watch until `kubectl rollout status` would say that it is done."""
    api = client.AppsV1Api(config.new_client_from_config(str(sandbox.kubeconfig)))
    image = f"pilothouse/hello:{version}"
    body = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "image": image}]}}}}
    began = time.perf_counter()
    api.patch_namespaced_deployment("hello", "default", body)
    for event in watch.Watch().stream(api.list_namespaced_deployment, "default", field_selector="metadata.name=hello", timeout_seconds=120):
        deployment = event["object"]
        status, wanted = deployment.status, deployment.spec.replicas
        seen = (status.observed_generation or 0) >= deployment.metadata.generation
        updated = status.updated_replicas or 0
        complete = updated >= wanted and (status.replicas or 0) <= updated and (status.available_replicas or 0) >= updated
        if deployment.spec.template.spec.containers[0].image == image and seen and complete:
            break
    return time.perf_counter() - began


def by_release(sandbox: Sandbox, version: str) -> tuple[float, float]:
    """(seconds until the card says that it is done, milliseconds from the command to the first write at the cluster)."""
    since = history(sandbox)[-1]["number"] if history(sandbox) else 0
    typed_at, began = time.time(), time.perf_counter()
    sandbox.slack.command("U0DEV1", "C0RELEASES", f"/deploy hello {version}")
    done = f"hello is on {version}"

    def told() -> bool:
        return any(done in message.get("text", "") for message in sandbox.slack.messages("C0RELEASES"))

    sandbox.slack.wait_for(told, seconds=120, what=done)
    took = time.perf_counter() - began
    ours = [write for write in history(sandbox, since) if "pilothouse" in str(write.get("agent", ""))]
    return took, (ours[0]["time"] - typed_at) * 1000


def history(sandbox: Sandbox, since: int = 0) -> list[dict[str, Any]]:
    url = client.Configuration()
    config.load_kube_config(str(sandbox.kubeconfig), client_configuration=url)
    with urllib.request.urlopen(f"{url.host}/_sandbox/history?since={since}", timeout=10) as answer:
        found = json.load(answer)
    writes: list[dict[str, Any]] = found["writes"] if isinstance(found, dict) else found
    return writes


def run() -> list[Row]:
    rows: list[Row] = []
    for ready_after in (3.0, 0.2):
        with run_sandbox(ready_after=ready_after, rate_scale=0) as sandbox:
            ours, baseline, first = [], [], []
            for number in range(ROUNDS):
                baseline.append(by_client(sandbox, f"1.{number}.1"))
                took, first_write = by_release(sandbox, f"2.{number}.0")
                ours.append(took)
                first.append(first_write)
        mine, theirs = percentile(ours, 0.5), percentile(baseline, 0.5)
        settings = f"5 pods, ready after {ready_after} s, {ROUNDS} rounds, median"
        if ready_after > 1:
            rows.append(Row("rolling release", "s", mine, "<= 1.2x", mine <= 1.2 * theirs, theirs, settings))
        else:
            rows.append(Row("rolling release", "s", mine, "<= +0.5 s", mine <= theirs + 0.5, theirs, settings))
        write = percentile(first, 0.5)
        rows.append(Row("command to first write p50", "ms", write, "<= 150 ms", write <= 150, None, settings))
    return rows
