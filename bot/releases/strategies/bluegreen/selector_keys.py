"""Which key of a Service's selector tells blue from green, and what else hangs on that key.

Green's pods carry another value for one key, so the Service does not see them before it is
switched. Whatever else selects by that key (a NetworkPolicy, a budget, another Service, an affinity
rule) would treat green differently from blue: such a key is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.releases.assess.selectors import matches
from bot.releases.facts.observation import Survey
from bot.releases.planning.refusals import PlanRefused

HASH_LABEL = "pod-template-hash"
_LABEL_VALUE = re.compile(r"\A(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?\Z", re.ASCII)


@dataclass(frozen=True)
class OtherValue:
    key: str
    value: str


def is_label_value(value: str) -> bool:
    """Kubernetes apimachinery/validation: IsValidLabelValue."""
    return _LABEL_VALUE.match(value) is not None


def rules_of_placement(template: Any) -> tuple[tuple[str, Any], ...]:
    """(what, label selector) of every affinity and topology-spread rule of a pod template."""
    spec = template.get("spec") or {}
    found: list[tuple[str, Any]] = []
    affinity = spec.get("affinity") or {}
    for kind, title in (("podAffinity", "pod affinity"), ("podAntiAffinity", "pod anti-affinity")):
        rules = affinity.get(kind) or {}
        terms = [
            *(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
            *(
                weighted.get("podAffinityTerm") or {}
                for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            ),
        ]
        found += [(f"its own {title} rule", term.get("labelSelector") or {}) for term in terms]
    found += [
        ("its own topology spread rule", constraint.get("labelSelector") or {})
        for constraint in spec.get("topologySpreadConstraints") or ()
    ]
    return tuple(found)


def dependents(
    other: OtherValue, labels: Mapping[str, str], template: Any, survey: Survey | None
) -> tuple[str, ...]:
    """What would see a pod with the other value differently: "NetworkPolicy allow-hello", "its own
    pod anti-affinity rule"."""
    green = {**labels, other.key: other.value}
    selecting = (
        [(f"{item.kind} {item.name}", item.selector) for item in survey.selecting] if survey else []
    )
    named = (*selecting, *rules_of_placement(template))
    return tuple(
        dict.fromkeys(name for name, rule in named if matches(rule, labels) != matches(rule, green))
    )


def choose_key(
    selectors: Sequence[Mapping[str, str]],
    labels: Mapping[str, str],
    template: Any,
    survey: Survey | None,
    *,
    version_label: str | None,
    suffix: str = "green",
) -> OtherValue:
    """The version label where every Service selects by it and the release changes it, else the
    first key of the first Service that every Service selects by and nothing else depends on. Raises
    PlanRefused.

    ``labels``: of stable's pods now; ``template``: the one that the release brings.
    """
    new_labels = template.get("metadata", {}).get("labels") or {}
    if any(HASH_LABEL in selector for selector in selectors):
        raise PlanRefused(
            f"the Service selects by {HASH_LABEL}, so any new pod template would empty it: remove"
            " that key from its selector"
        )
    shared = [key for key in selectors[0] if all(key in selector for selector in selectors)]
    choices = [
        OtherValue(key, f"{labels.get(key, '')}-{suffix}") for key in shared if key != version_label
    ]
    if version_label in shared and new_labels.get(version_label) != labels.get(version_label):
        choices.insert(0, OtherValue(str(version_label), str(new_labels[version_label])))
    taken: list[str] = []
    for other in choices:
        if not is_label_value(other.value):
            taken.append(f"{other.key} (`{other.value}` is not a label value)")
            continue
        found = dependents(other, labels, template, survey)
        if not found:
            return other
        taken.append(f"{other.key} (also selected by {', '.join(found)})")
    if not taken:
        raise PlanRefused(
            "its Services share no selector key: give pods and Services a label of their own, for"
            " instance `color: blue`"
        )
    raise PlanRefused(
        f"no key of the Service's selector can tell green from blue: {'; '.join(taken)}; "
        "give pods and Service one more label, for instance `color: blue`"
    )
