"""Is there room in the namespace's ResourceQuotas for more pods of a template?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from bot.releases.facts.observation import QuotaScope, QuotaSeen

_QUANTITY = re.compile(r"\A([+-]?\d*\.?\d*)(?:([eE][+-]?\d+)|([A-Za-z]*))\Z")
_LONGEST = 40
_LARGEST_EXPONENT = 30  # the API server takes at most 2^63-1 of anything
_SUFFIXES: dict[str, Fraction] = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


def quantity(text: Any) -> Fraction:
    """A Kubernetes quantity as an exact number. Source: apimachinery/api/resource. Raises
    ValueError.

    >>> quantity("250m") == Fraction(1, 4) and quantity("1Ki") == 1024 and quantity("2e3") == 2000
    True
    """
    found = _QUANTITY.match(str(text).strip()[: _LONGEST + 1])
    if found is None or found[1] in ("", ".", "+", "-") or (found[3] or "") not in _SUFFIXES:
        raise ValueError(f"not a quantity: {str(text)[:_LONGEST]}")
    if len(found[0]) > _LONGEST or (found[2] and abs(int(found[2][1:])) > _LARGEST_EXPONENT):
        raise ValueError(f"not a quantity: {str(text)[:_LONGEST]}")
    exponent = Fraction(10) ** int(found[2][1:]) if found[2] else Fraction(1)
    return Fraction(found[1]) * exponent * _SUFFIXES[found[3] or ""]


def pod_needs(template: Any) -> dict[str, Fraction]:
    """What one pod uses of a quota, by the names that quotas use.

    A pod needs the larger of the sum of its containers and any one init container; sidecars (init
    containers that restart always) add to the sum. A request that is left out is its limit. Source:
    component-helpers resource.PodRequests, PodLimits.
    """
    spec = template.get("spec") or {}
    needs: dict[str, Fraction] = {"pods": Fraction(1), "count/pods": Fraction(1)}
    for side in ("requests", "limits"):
        running: dict[str, Fraction] = {}
        peaks: dict[str, Fraction] = {}
        for container in spec.get("containers") or ():
            for name, amount in _amounts(container, side).items():
                running[name] = running.get(name, Fraction(0)) + amount
        sidecars: dict[str, Fraction] = {}
        for container in spec.get("initContainers") or ():
            always = container.get("restartPolicy") == "Always"
            for name, amount in _amounts(container, side).items():
                if always:
                    running[name] = running.get(name, Fraction(0)) + amount
                    sidecars[name] = sidecars.get(name, Fraction(0)) + amount
                else:
                    peaks[name] = max(
                        peaks.get(name, Fraction(0)), amount + sidecars.get(name, Fraction(0))
                    )
        for name in {*running, *peaks}:
            most = max(running.get(name, Fraction(0)), peaks.get(name, Fraction(0)))
            needs[f"{side}.{name}"] = most + quantity((spec.get("overhead") or {}).get(name, 0))
            if side == "requests":
                needs[name] = needs[f"requests.{name}"]
    return needs


def _amounts(container: Mapping[str, Any], side: str) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    amounts = dict(resources.get(side) or {})
    if side == "requests":
        amounts = {**(resources.get("limits") or {}), **amounts}
    return {name: quantity(amount) for name, amount in amounts.items()}


def shortages(
    quotas: Iterable[QuotaSeen], template: Any, pods: int, **objects: int
) -> tuple[str, ...]:
    """One line for each quota entry with no room for ``pods`` more pods. ``objects``: other objects
    to be created ("deployments": 1).

    >>> shortages([QuotaSeen("compute", {"pods": "4"}, {"pods": "3"})], {"spec": {}}, 3)
    ('quota compute: pods 3 of 4 used, 3 more needed',)
    """
    of_pods = {name: amount * pods for name, amount in pod_needs(template).items()}
    needs: dict[str, Fraction] = {}
    for name, count in objects.items():
        group = ".apps" if name == "deployments" else ""
        needs[f"count/{name}{group}"] = Fraction(count)
        if name == "services":
            needs[name] = Fraction(count)
    lines = []
    for quota in quotas:
        applicable = (
            needs | of_pods if all(_is_in(scope, template) for scope in quota.scopes) else needs
        )
        for name, hard in quota.hard.items():
            needed, used = applicable.get(name), quota.used.get(name, "0")
            if needed and quantity(used) + needed > quantity(hard):
                lines.append(
                    f"quota {quota.name}: {name} {used} of {hard} used, {_plain(needed, name)} more"
                    " needed"
                )
    return tuple(lines)


def _is_in(scope: QuotaScope, template: Any) -> bool:
    """Whether a quota's scope holds the pods of a template. Source: kubernetes
    pkg/quota/v1/evaluator/core/pods.go, podMatchesScopeFunc."""
    spec = template.get("spec") or {}
    match scope.name:
        case "Terminating" | "NotTerminating":
            return (spec.get("activeDeadlineSeconds") is not None) == (scope.name == "Terminating")
        case "BestEffort" | "NotBestEffort":
            return _is_best_effort(spec) == (scope.name == "BestEffort")
        case "PriorityClass":
            wanted = spec.get("priorityClassName") or ""
            chosen = wanted in scope.values
            return {
                "In": chosen,
                "NotIn": not chosen,
                "Exists": bool(wanted),
                "DoesNotExist": not wanted,
            }.get(scope.operator, False)
        case "CrossNamespacePodAffinity":
            return any(
                term.get("namespaces") or term.get("namespaceSelector") is not None
                for term in _affinity_terms(spec)
            )
        case _:
            return False  # of other objects than pods


def _is_best_effort(spec: Mapping[str, Any]) -> bool:
    """No container asks for CPU or memory. Source: component-helpers qos.GetPodQOS."""
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    asked = (
        _amounts(container, side) for container in containers for side in ("requests", "limits")
    )
    return not any(amounts.get(name) for amounts in asked for name in ("cpu", "memory"))


def _affinity_terms(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = (spec.get("affinity") or {}).get(kind) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        yield from (
            one["podAffinityTerm"]
            for one in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        )


def _plain(amount: Fraction, name: str) -> str:
    """An amount as manifests write it.

    >>> _plain(Fraction(3, 5), "limits.cpu"), _plain(Fraction(30 * 2**20), "limits.memory")
    ('600m', '30Mi')
    >>> _plain(Fraction(3), "pods")
    '3'
    """
    if name.endswith("cpu") and amount.denominator != 1:
        return f"{float(amount * 1000):g}m"
    if name.endswith(("memory", "storage")):
        for suffix in ("Gi", "Mi", "Ki"):
            if amount % _SUFFIXES[suffix] == 0:
                return f"{amount / _SUFFIXES[suffix]}{suffix}"
    return str(amount) if amount.denominator == 1 else f"{float(amount):g}"
