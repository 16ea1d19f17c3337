"""How the benches wait: one rule for ours and for every baseline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

from kubernetes import client, config

from sandbox.main import Sandbox

CHANNEL = "C0RELEASES"
PODS_READY_WITHIN_S = 180.0


def until(
    reached: Callable[[], bool], within_s: float, what: str, *, every_s: float = 0.05
) -> None:
    """Raises TimeoutError."""
    ends = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what}: not within {within_s:.0f} s")
        time.sleep(every_s)


def until_posted(sandbox: Sandbox, *words: str, within_s: float) -> None:
    """A message of the channel holds all these words. Raises TimeoutError."""

    def posted() -> bool:
        texts = [message.get("text", "") for message in sandbox.slack.messages(CHANNEL)]
        return any(all(word in text for word in words) for text in texts)

    sandbox.slack.wait_for(posted, seconds=within_s, what=" ".join(words))


def until_pods_are_ready(sandbox: Sandbox, *, apps: int, replicas: int) -> None:
    """Releases of an app that is still starting are refused. Raises TimeoutError."""
    with config.new_client_from_config(str(sandbox.kubeconfig)) as api:
        deployments = client.AppsV1Api(api)

        def ready() -> bool:
            answer = cast(
                Any, deployments.list_namespaced_deployment("default", _preload_content=False)
            )
            statuses = [one.get("status") or {} for one in json.loads(answer.data)["items"]]
            return (
                len([one for one in statuses if one.get("availableReplicas") == replicas]) == apps
            )

        until(ready, PODS_READY_WITHIN_S, f"the {apps * replicas} pods", every_s=1.0)


def is_complete(deployment: Any, generation: int) -> bool:
    """Whether `kubectl rollout status` would call this generation complete (kubectl:
    DeploymentStatusViewer)."""
    status, wanted = deployment.status, deployment.spec.replicas
    updated = status.updated_replicas or 0
    counted = (
        updated >= wanted
        and (status.replicas or 0) <= updated
        and (status.available_replicas or 0) >= updated
    )
    return bool(counted and (status.observed_generation or 0) >= generation)
