"""Which pods a selector chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.releases.assess.rollout import pods_of
from bot.releases.facts.observation import DeploymentSeen


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def matches(selector: Any, labels: Mapping[str, str]) -> bool:
    """A LabelSelector on labels; an empty one matches everything. Source: apimachinery meta/v1
    LabelSelectorAsSelector."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], rule.get("values") or ()
        match rule["operator"]:
            case "In":
                fits = key in labels and labels[key] in values
            case "NotIn":
                fits = labels.get(key) not in values
            case "Exists":
                fits = key in labels
            case "DoesNotExist":
                fits = key not in labels
            case _:
                fits = False
        if not fits:
            return False
    return True


def _selected_ready(selector: dict[str, str], deployment: DeploymentSeen | None) -> int:
    return sum(
        1
        for pod in pods_of(deployment)
        if pod.ready and not pod.terminating and selects(selector, pod.labels)
    )
