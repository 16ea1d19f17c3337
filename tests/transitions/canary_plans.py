"""Canary plans, their notes and the facts that tests vary."""

from __future__ import annotations

from typing import Any

from bot.releases.facts.observation import (
    DeploymentSeen,
    Observation,
    Survey,
)
from bot.releases.facts.plan import Plan
from bot.releases.facts.release import Release
from tests.builders import (
    a_canary,
    a_deployment,
    a_template,
    an_observation,
    rules_with,
)
from tests.transitions.ticks import planned


def plan_of(release: Release, seen: Observation | None = None) -> Plan:
    plan = planned(release, seen).plan
    assert plan is not None, "the plan was refused"
    return plan


def notes_of(release: Release, seen: Observation | None = None) -> str:
    return "\n".join(plan_of(release, seen).notes)


def a_leftover(version: str = "2.0.0", **facts: Any) -> DeploymentSeen:
    labels = {"app": "hello", "track": "canary"}
    return a_deployment("hello-canary", a_template(version, labels=labels), replicas=1, **facts)


def surveyed(**facts: Any) -> Observation:
    return an_observation(survey=Survey(**facts))


def a_shift(**options: Any) -> Release:
    return a_canary(rules=rules_with(canary={"mode": "shift"}), **options)
