"""Which pods the Service of a journey's app reaches, and what one person alone was sent."""

from __future__ import annotations

import re
from typing import Any

from kubernetes import client

from tests.journeys.conftest import CHANNEL, Journey


def ready_versions(journey: Journey) -> dict[str, int]:
    """Ready endpoints of the app's Service by the version of their pods, from its
    EndpointSlices."""
    pods = {pod.metadata.name: pod for pod in journey.core.list_namespaced_pod("default").items}
    counts: dict[str, int] = {}
    slices = client.DiscoveryV1Api(journey.api).list_namespaced_endpoint_slice(
        "default", label_selector=f"kubernetes.io/service-name={journey.app}"
    )
    for endpoint in (endpoint for item in slices.items for endpoint in item.endpoints or ()):
        pod = pods.get(endpoint.target_ref.name)
        if pod is not None and endpoint.conditions.ready:
            version = pod.spec.containers[0].image.rpartition(":")[2]
            counts[version] = counts.get(version, 0) + 1
    return counts


def newest(journey: Journey, user: str) -> str:
    """The time stamp of the newest message this person sees."""
    seen: list[dict[str, Any]] = journey.sandbox.slack.messages(CHANNEL, user)
    return str(max((message["ts"] for message in seen), default="0"))


def sees_privately(journey: Journey, pattern: str, user: str, since: str) -> str:
    """Waits for a message that this person sees, newer than ``since``."""

    def look() -> str | None:
        seen: list[dict[str, Any]] = journey.sandbox.slack.messages(CHANNEL, user, after=since)
        return next((m["text"] for m in seen if re.search(pattern, m.get("text", ""))), None)

    return journey.until(look, f"an answer to {user} with `{pattern}`")
