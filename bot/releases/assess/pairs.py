"""Pairs that an earlier release kept (``settle: keep``) or that were made by hand: which of the two
serves now?

Every command for the app means the one that serves, whatever its name. The other is idle: it keeps
the version before and its size, and the next blue/green release uses it.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.selectors import labels_of, selects
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.target import Strategy, Target, default_candidate_name


def retarget_to_serving(target: Target, seen: Observation) -> Target:
    """The target with the Deployment that serves now: the green one, where the Services select it
    and not the catalog's, which then is the idle one."""
    green = beside(seen, default_candidate_name(target, Strategy.BLUEGREEN))
    services = [service for service in seen.services if service.name in target.services]
    if target.idle or green is None or not services:
        return target
    serves = all(selects(service.selector, labels_of(green.template)) for service in services)
    is_idle = seen.stable is None or not any(
        selects(service.selector, labels_of(seen.stable.template)) for service in services
    )
    return (
        replace(target, deployment=green.name, idle=target.deployment)
        if serves and is_idle
        else target
    )


def idle_of(target: Target, seen: Observation) -> DeploymentSeen | None:
    """The other one of the pair, where no Service selects it and a release may use it. ``target``:
    as retarget_to_serving returns it."""
    other = beside(seen, target.idle or default_candidate_name(target, Strategy.BLUEGREEN))
    services = [service for service in seen.services if service.name in target.services]
    if other is None or other.terminating or other.claim or not services or other.replicas < 1:
        return None
    labels = labels_of(other.template)
    return None if any(selects(service.selector, labels) for service in services) else other


def beside(seen: Observation, name: str) -> DeploymentSeen | None:
    """A Deployment other than stable, whether observed as the candidate or found by the survey."""
    nearby = (seen.candidate, *(seen.survey.leftovers if seen.survey else ()))
    return next((item for item in nearby if item is not None and item.name == name), None)
