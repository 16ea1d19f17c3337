"""Warning events beside what they are about. Pure: JSON in, facts out.

A kubelet's event may quote what a probe of the app answered, so each is redacted and bounded like
the app's own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.cluster import errors, reading
from bot.releases.facts.observation import DeploymentSeen

MOST_KEPT = 20
_COMBINED = "(combined from similar events): "


def event_lines(
    items: Sequence[Mapping[str, Any]], deployments: Sequence[DeploymentSeen]
) -> tuple[str, ...]:
    uids = {
        uid
        for one in deployments
        for replica_set in one.replica_sets
        for uid in (one.uid, replica_set.uid, *(pod.uid for pod in replica_set.pods))
    } | {one.uid for one in deployments}
    ours = [one for one in items if one.get("type") == "Warning" and _about(one) in uids]
    ours.sort(key=last_seen, reverse=True)
    images = {image for one in deployments for image in _images(one)}
    lines = (
        errors.one_line(f"{one.get('reason', '')}: {one.get('message', '')}", images=images)
        for one in ours
    )
    return tuple(dict.fromkeys(lines))[:MOST_KEPT]


def with_events(
    deployment: DeploymentSeen,
    warnings: Sequence[Mapping[str, Any]],
    scale_ups: Sequence[Mapping[str, Any]],
) -> DeploymentSeen:
    """Each pod with its own Warning events, newest first: what keeps its sandbox or volumes from
    it stands nowhere else."""
    if not warnings and not scale_ups:
        return deployment
    images = _images(deployment)
    of_pod: dict[str, list[tuple[str, str]]] = {}
    for one in sorted(warnings, key=last_seen, reverse=True):
        text = reading.told(str(one.get("message") or "").removeprefix(_COMBINED), images)
        of_pod.setdefault(_about(one), []).append((str(one.get("reason") or ""), text))
    growing = {_about(one) for one in scale_ups}
    sets = tuple(
        replace(
            replica_set,
            pods=tuple(
                replace(
                    pod,
                    warnings=tuple(dict.fromkeys(of_pod.get(pod.uid, ())))[:MOST_KEPT],
                    scale_up=pod.uid in growing,
                )
                for pod in replica_set.pods
            ),
        )
        for replica_set in deployment.replica_sets
    )
    return replace(deployment, replica_sets=sets)


def _images(deployment: DeploymentSeen) -> frozenset[str]:
    return frozenset(
        container.image
        for replica_set in deployment.replica_sets
        for pod in replica_set.pods
        for container in pod.containers
    )


def _about(event: Mapping[str, Any]) -> str:
    return str((event.get("involvedObject") or {}).get("uid") or "")


def last_seen(event: Mapping[str, Any]) -> int:
    """When an event last happened, milliseconds (kubectl: translateTimestampSince of series, last,
    event time)."""
    series = event.get("series") or {}
    return reading.milliseconds(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
