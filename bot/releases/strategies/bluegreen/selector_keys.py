"""The Services' selectors: which key tells blue from green, and what each Service selects when.

Green's pods carry another value for one key, so the Service does not select them before it is
switched. Whatever else selects by that key (a NetworkPolicy, a budget, another Service, an affinity
rule) would treat green differently from blue: such a key is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.releases.assess.selectors import is_label_value, labels_of, matches, selector_text
from bot.releases.facts.observation import ServiceSeen, Survey
from bot.releases.planning.refusals import PlanRefused

HASH_LABEL = "pod-template-hash"


@dataclass(frozen=True)
class OtherValue:
    key: str
    value: str


def placement_rules(template: Any) -> tuple[tuple[str, Any], ...]:
    """(name, label selector) of every affinity and topology-spread rule of a pod template."""
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
    """What would treat a pod with the other value differently: "NetworkPolicy allow-hello", "its
    own pod anti-affinity rule"."""
    green = {**labels, other.key: other.value}
    selecting = (
        [(f"{item.kind} {item.name}", item.selector) for item in survey.selecting] if survey else []
    )
    named = (*selecting, *placement_rules(template))
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
    """The first usable key that every Service selects by, with the candidate's value for it.

    The version label comes first, where the release changes it; then the keys in the order of the
    first Service. ``labels``: of stable's pods now; ``template``: the one that the release brings.
    Raises PlanRefused.
    """
    if any(HASH_LABEL in selector for selector in selectors):
        raise PlanRefused(
            f"The Service selects by {HASH_LABEL}, so any new pod template would empty it. Remove"
            " that key from its selector."
        )
    rejected: list[str] = []
    for other in _choices(selectors, labels, labels_of(template), version_label, suffix):
        if not is_label_value(other.value):
            rejected.append(f"{other.key} (`{other.value}` is not a label value)")
            continue
        found = dependents(other, labels, template, survey)
        if not found:
            return other
        rejected.append(f"{other.key} (also selected by {', '.join(found)})")
    if not rejected:
        raise PlanRefused(
            "The app's Services share no selector key. Give pods and Services a label of their own,"
            " for instance `color: blue`."
        )
    raise PlanRefused(
        f"No key of the Service's selector can tell green from blue: {'; '.join(rejected)}. Give"
        " pods and Service one more label, for instance `color: blue`."
    )


def _choices(
    selectors: Sequence[Mapping[str, str]],
    labels: Mapping[str, str],
    new_labels: Mapping[str, str],
    version_label: str | None,
    suffix: str,
) -> list[OtherValue]:
    shared = [key for key in selectors[0] if all(key in selector for selector in selectors)]
    choices = [
        OtherValue(key, f"{labels.get(key, '')}-{suffix}") for key in shared if key != version_label
    ]
    if version_label in shared and new_labels.get(version_label) != labels.get(version_label):
        choices.insert(0, OtherValue(str(version_label), str(new_labels[version_label])))
    return choices


def candidate_selector(service: ServiceSeen, labels: dict[str, str], name: str) -> dict[str, str]:
    """The Service's selector with the candidate's values: its pods and not stable's.

    ``labels``: of the candidate's pods; ``name``: of its Deployment. Raises PlanRefused.
    """
    missing = [key for key in service.selector if key not in labels]
    if missing:
        raise PlanRefused(
            f"Pods of {name} have no label {missing[0]}, by which Service {service.name} selects."
            " Add it to them."
        )
    target = {key: labels[key] for key in service.selector}
    if target == dict(service.selector):
        raise PlanRefused(
            f"Service {service.name} selects pods of {name} already ({selector_text(target)}). Add"
            f" a key to its selector that tells the two apart, or remove {name}."
        )
    return target


def final_selector(service: ServiceSeen, template: Any) -> dict[str, str]:
    """The Service's selector with the values of the template that stable runs at the end."""
    labels = labels_of(template)
    return {key: labels.get(key, value) for key, value in service.selector.items()}
