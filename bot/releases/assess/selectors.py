"""Which pods does a selector choose?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.releases.assess.rollout import ready_pods
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.facts.release import Release

_LABEL_VALUE = re.compile(r"\A(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?\Z", re.ASCII)


def is_label_value(value: str) -> bool:
    """Kubernetes apimachinery/validation: IsValidLabelValue."""
    return _LABEL_VALUE.match(value) is not None


def labels_of(template: Any) -> dict[str, str]:
    """The labels of a pod template."""
    return dict((template.get("metadata") or {}).get("labels") or {})


def selector_text(labels: Mapping[str, str]) -> str:
    """
    >>> selector_text({"track": "stable", "app": "hello"})
    'app=hello, track=stable'
    """
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """A Service's selector on labels; an empty one selects nothing."""
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


def selected_ready(
    selector: dict[str, str], deployment: DeploymentSeen | None
) -> tuple[PodSeen, ...]:
    """The ready pods of a Deployment that a Service's selector chooses."""
    return tuple(pod for pod in ready_pods(deployment) if selects(selector, pod.labels))


def serves_alone(release: Release, seen: Observation) -> bool:
    """Whether a Service, as something else left it, selects the candidate's pods and none that
    stable has or will have: to remove them would empty it."""
    candidate, found = seen.candidate, release.as_found
    if candidate is None or found is None or not ready_pods(candidate):
        return False
    stable = (
        labels_of(found.stable.template),
        *((labels_of(seen.stable.template),) if seen.stable else ()),
    )
    return any(
        selects(service.selector, labels_of(candidate.template))
        and not any(selects(service.selector, labels) for labels in stable)
        for service in seen.services
        if service.name in release.target.services
    )
