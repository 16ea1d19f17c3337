"""What a world begins with, drawn from its seed: apps and their rules, and the clusters that they
are in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.operations.context import App
from bot.policy.permissions import Access, Grant, Role
from bot.releases.facts.observation import AutoscalerSeen, Survey
from bot.releases.facts.rules import ProbeRules, Rules
from bot.releases.facts.target import Strategy
from tests.builders import (
    ADMIN,
    DEVELOPER,
    MANAGER,
    MINUTE,
    OTHER_DEVELOPER,
    REPOSITORY,
    SECOND,
    a_target,
    rules_with,
)
from tests.simulation.cluster import Namespace
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.scenes import a_blue

CHANNEL = "C0RELEASES"
CLUSTERS = (("eu",), ("eu",), ("eu", "us"))
BROKEN = frozenset({"3.0.0", "6.0.0", "9.0.0"})
"""Versions that do not start."""
SICK = frozenset({"4.0.0", "8.0.0"})
"""Versions that answer errors, where somebody asks."""


@dataclass(frozen=True)
class Setting:
    clusters: tuple[str, ...]
    apps: Mapping[str, App]
    namespaces: Mapping[str, Namespace]


def draw_setting(chance: random.Random) -> Setting:
    clusters = chance.choice(CLUSTERS)
    apps, namespaces = {}, {}
    for number in range(1, chance.choice((1, 1, 2, 3)) + 1):
        name = f"shop-{number}"
        model = _model(chance)
        namespaces[name] = Namespace(model)
        target = a_target(app=name, namespace=name, cluster=chance.choice(clusters))
        apps[name] = App(target, _rules(chance), CHANNEL, Strategy.ROLLING)
    return Setting(clusters, apps, namespaces)


def with_probes(setting: Setting, chance: random.Random, happens: Callable[[str], bool]) -> Setting:
    """Some apps have a probe, and some versions are ready and answer errors."""
    apps = dict(setting.apps)
    for name, app in setting.apps.items():
        has_probe = chance.random() < 0.3
        if has_probe and happens("probe"):
            apps[name] = replace(app, rules=replace(app.rules, probe=ProbeRules(requests=4)))
            sick = {f"{REPOSITORY}:{version}" for version in SICK}
            setting.namespaces[name].model.sick_images = sick
    return replace(setting, apps=apps)


def with_more(setting: Setting, chance: random.Random, happens: Callable[[str], bool]) -> Setting:
    """Some apps wait for two approvals that expire soon, and some have a preview Service. Drawn by
    a stream of its own, so that known seeds stay what they were."""
    apps = dict(setting.apps)
    for name in setting.apps:
        is_hasty, has_preview = chance.random() < 0.2, chance.random() < 0.4
        rules = apps[name].rules
        if is_hasty and happens("hasty approvals"):
            start, expires_ms = chance.choice((1, 2)), chance.choice((10, 20)) * SECOND
            approvals = replace(
                rules.approvals, start=start, expires_ms=expires_ms, on_expiry="abort"
            )
            rules = replace(rules, approvals=approvals)
        if has_preview and happens("preview"):
            rules = replace(rules, bluegreen=replace(rules.bluegreen, preview=True))
        apps[name] = replace(apps[name], rules=rules)
    return replace(setting, apps=apps)


def _model(chance: random.Random) -> ModelledCluster:
    replicas = chance.choice((1, 2, 3, 5))
    survey = Survey()
    if chance.random() < 0.2:
        survey = Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", replicas, 8),))
    blue = a_blue(replicas=replicas)
    webhook = _mark if chance.random() < 0.15 else None
    if webhook is not None:
        blue.template = webhook(blue.template)
    model = ModelledCluster(blue, services={"hello": {"app": "hello"}}, survey=survey)
    model.webhook = webhook
    model.faulty = True  # its own assertions are for walks; the judge counts here
    model.crashes = chance.random() < 0.5
    model.finalizers_hold = chance.choice((0, 0, 0, 20))
    model.broken_images = {f"{REPOSITORY}:{version}" for version in BROKEN}
    return model


def _mark(template: Any) -> Any:
    """A mutating webhook that adds to every template that is written."""
    annotations = {**(template["metadata"].get("annotations") or {}), "mesh/injected": "true"}
    return {**template, "metadata": {**template["metadata"], "annotations": annotations}}


def _rules(chance: random.Random) -> Rules:
    """Short holds: a simulated hour costs as much as its events."""
    hold = chance.choice((0, 5 * SECOND, 20 * SECOND))
    promote = chance.choice(("approval", "automatic"))
    return rules_with(
        canary={
            "hold_ms": hold,
            "promote": promote,
            "steps": chance.choice(((50,), (20, 50))),
            "mode": chance.choice(("add", "add", "shift")),
        },
        bluegreen={
            "rollback_window_ms": chance.choice((0, 20 * SECOND)),
            "promote": promote,
            "settle": chance.choice(("roll", "roll", "keep")),
        },
        approvals={
            "start": chance.choice((0, 0, 0, 1, 2)),
            "expires_ms": chance.choice((40 * SECOND, 60 * MINUTE)),
            "on_expiry": chance.choice(("hold", "abort")),
        },
        on_failure=chance.choice(("rollback", "rollback", "pause")),
        autoscaler_min_replicas=chance.choice(("leave", "raise")),
        ready_within_ms=30 * SECOND,
        crash_loop_for_ms=10 * SECOND,
        watch_after_ms=0,
    )


def access() -> Access:
    people = {DEVELOPER.user, OTHER_DEVELOPER.user, MANAGER.user}
    return Access(
        frozenset(),
        {
            Role.DEPLOYER: Grant(users=frozenset(people)),
            Role.ADMIN: Grant(users=frozenset({ADMIN.user})),
            Role.APPROVER: Grant(users=frozenset({MANAGER.user, ADMIN.user})),
            Role.VIEWER: Grant(everyone=True),
        },
    )


def command(chance: random.Random, apps: Mapping[str, App]) -> str:
    """What somebody types."""
    app = chance.choice([*apps])
    return chance.choice(COMMANDS)(chance, app)


def _deploy(chance: random.Random, app: str) -> str:
    strategy = chance.choice(("rolling", "canary", "bluegreen"))
    return f"deploy {app} {chance.randrange(1, 10)}.0.0 {strategy}"


def _scale(chance: random.Random, app: str) -> str:
    return f"scale {app} {chance.randrange(1, 6)}"


def _rollout(verb: str) -> Callable[[random.Random, str], str]:
    return lambda _chance, app: f"rollout {verb} {app}"


COMMANDS: tuple[Callable[[random.Random, str], str], ...] = (
    *(_deploy,) * 8,
    _scale,
    _scale,
    *map(_rollout, ("restart", "restart", "undo", "undo", "abort", "pause", "resume", "promote")),
    lambda _chance, app: f"freeze {app} reason=quiet until=1m",
    lambda _chance, app: f"unfreeze {app}",
)
