"""Pairs that an earlier release kept (``settle: keep``) or that were made by hand: which of the two
serves now?

Everything that is asked of the app is meant for the one that people reach, whatever its name. The
other is idle: it keeps the version before and its size, and the next blue/green release uses it.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.selectors import selects
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.target import Strategy, Target, default_candidate_name


def retarget_to_serving(target: Target, seen: Observation) -> Target:
    """The target as it serves now: with the green one as its Deployment, and the catalog's as the
    idle one, where the Services say so."""
    green = _beside(seen, default_candidate_name(target, Strategy.BLUEGREEN))
    services = [service for service in seen.services if service.name in target.services]
    if target.idle or green is None or not services:
        return target
    serves = all(selects(service.selector, _labels(green)) for service in services)
    is_idle = seen.stable is None or not any(
        selects(service.selector, _labels(seen.stable)) for service in services
    )
    return (
        replace(target, deployment=green.name, idle=target.deployment)
        if serves and is_idle
        else target
    )


def idle_of(target: Target, seen: Observation) -> DeploymentSeen | None:
    """The other one of the pair, whole and reached by nobody; ``target`` is one that faces the
    right way."""
    other = _beside(seen, target.idle or default_candidate_name(target, Strategy.BLUEGREEN))
    services = [service for service in seen.services if service.name in target.services]
    if other is None or other.terminating or other.claim or not services or other.replicas < 1:
        return None
    return None if any(selects(service.selector, _labels(other)) for service in services) else other


def _beside(seen: Observation, name: str) -> DeploymentSeen | None:
    nearby = (seen.candidate, *(seen.survey.leftovers if seen.survey else ()))
    return next((item for item in nearby if item is not None and item.name == name), None)


def _labels(deployment: DeploymentSeen) -> dict[str, str]:
    return dict(deployment.template.get("metadata", {}).get("labels") or {})
