"""A rolling release of 5 pods, from the typed command to "succeeded", beside the same change with
the Kubernetes client and a watch; how soon its card appears, and how soon an image that cannot be
pulled is reported."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config, watch

from benchmarks.rows import Row, percentile
from benchmarks.waiting import is_complete
from sandbox.main import Sandbox, run_sandbox

ROUNDS = 3
QUIET_S = 3.0  # a channel takes a message a second: the last release must have sent all of its own


def by_client(sandbox: Sandbox, version: str) -> float:
    """Seconds for patch and watch until `kubectl rollout status` would say that it is done."""
    api = client.AppsV1Api(config.new_client_from_config(str(sandbox.kubeconfig)))
    image = f"pilothouse/hello:{version}"
    body = {"spec": {"template": {"spec": {"containers": [{"name": "hello", "image": image}]}}}}
    began = time.perf_counter()
    api.patch_namespaced_deployment("hello", "default", body)
    for event in watch.Watch().stream(
        api.list_namespaced_deployment,
        "default",
        field_selector="metadata.name=hello",
        timeout_seconds=120,
    ):
        deployment = event["object"]
        if deployment.spec.template.spec.containers[0].image == image and is_complete(
            deployment, deployment.metadata.generation
        ):
            break
    return time.perf_counter() - began


@dataclass(frozen=True)
class Moments:
    """After the typed command: seconds until the card appears and until it reports success;
    milliseconds to the first write."""

    card_s: float
    done_s: float
    first_write_ms: float


def by_release(sandbox: Sandbox, version: str, label: str = "hello") -> Moments:
    """``label``: as titles name the app."""
    since = history(sandbox)[-1]["number"] if history(sandbox) else 0
    typed_at, began = time.time(), time.perf_counter()
    sandbox.slack.command("U0DEV1", "C0RELEASES", f"/deploy hello {version}")
    done = f"{label} is on {version}"

    sandbox.slack.wait_for(lambda: bool(_posts(sandbox, done)), seconds=120, what=done)
    took = time.perf_counter() - began
    ours = [
        write for write in history(sandbox, since) if "pilothouse" in str(write.get("agent", ""))
    ]
    return Moments(
        min(_posts(sandbox, f"→ {version} ")) - typed_at, took, (ours[0]["time"] - typed_at) * 1000
    )


def seconds_to_report_missing(sandbox: Sandbox, version: str) -> float:
    """Seconds from the first pod's report that its image cannot be pulled to the message that says
    so."""
    since = history(sandbox)[-1]["number"]
    sandbox.slack.command("U0DEV1", "C0RELEASES", f"/deploy hello {version}")
    failed = f"→ {version} rolling failed: image pilothouse/hello:{version} cannot be pulled"
    sandbox.slack.wait_for(lambda: bool(_posts(sandbox, failed)), seconds=60, what=failed)
    reported: float = next(
        write["time"]
        for write in history(sandbox, since)
        if write["resource"] == "pods" and "ErrImagePull" in json.dumps(write["object"])
    )
    back = f"→ {version} rolling · rolled back"
    sandbox.slack.wait_for(lambda: bool(_posts(sandbox, back)), seconds=60, what=back)
    return min(_posts(sandbox, failed)) - reported


def _posts(sandbox: Sandbox, words: str) -> list[float]:
    """When the messages with these words were posted, seconds since 1970: the local Slack's clock
    is this machine's."""
    return [
        float(message["ts"])
        for message in sandbox.slack.messages("C0RELEASES")
        if words in message.get("text", "")
    ]


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
            ours, baseline, missing = [], [], []
            for number in range(ROUNDS):
                time.sleep(QUIET_S)
                baseline.append(by_client(sandbox, f"1.{number}.1"))
                ours.append(by_release(sandbox, f"2.{number}.0"))
                time.sleep(QUIET_S)
                missing.append(seconds_to_report_missing(sandbox, f"2.{number}.0-missing"))
        mine, theirs = percentile([one.done_s for one in ours], 0.5), percentile(baseline, 0.5)
        settings = f"5 pods, ready after {ready_after} s, {ROUNDS} rounds, median"
        longest = settings.replace("median", "the longest")
        if ready_after > 1:
            rows.append(
                Row("rolling release", "s", mine, "<= 1.2x", mine <= 1.2 * theirs, theirs, settings)
            )
        else:
            rows.append(
                Row(
                    "rolling release",
                    "s",
                    mine,
                    "<= +0.5 s",
                    mine <= theirs + 0.5,
                    theirs,
                    settings,
                )
            )
        write = percentile([one.first_write_ms for one in ours], 0.5)
        rows.append(
            Row(
                "command to first write p50", "ms", write, "<= 150 ms", write <= 150, None, settings
            )
        )
        card = max(one.card_s for one in ours)
        rows.append(Row("command to card", "s", card, "<= 1 s", card <= 1, None, longest))
        reported = max(missing)
        rows.append(
            Row(
                "pod cannot pull its image to reported",
                "s",
                reported,
                "<= 3 s",
                reported <= 3,
                None,
                longest,
            )
        )
    return rows
