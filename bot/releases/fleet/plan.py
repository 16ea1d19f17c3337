"""The plan of a fleet release: a step for each wave, with the gates that the fleet asks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.releases.facts.ages import duration
from bot.releases.facts.changes import Deploy
from bot.releases.facts.counts import some_of
from bot.releases.facts.fleet import SHOWN, Fleet, Wave
from bot.releases.facts.plan import ApprovalGate, Gate, HoldGate, Plan, Step, plan_hash
from bot.releases.facts.release import Release
from bot.releases.facts.target import Strategy
from bot.releases.planning.draft import start_gates

SOAK, NEXT_WAVE = "soak", "wave"


def with_fleet_plan(release: Release, fleet: Fleet) -> Release:
    """Its hash names version, strategy, steps and waves: an approval is for these."""
    waves = fleet.waves
    steps = tuple(
        Step(f"wave {at + 1}", names(one), (), (), gates=tuple(_gates(release, waves, at)))
        for at, one in enumerate(waves)
    )
    version = release.to_version
    notes = (*order(fleet), way_back(fleet), f"each part: {release.change}")
    plan = Plan("", version, "", "", start_gates(release), steps, notes=notes)
    return replace(release, fleet=fleet, plan=replace(plan, hash=plan_hash(plan)))


def names(wave: Wave) -> str:
    return some_of(wave.clusters, SHOWN)


def order(fleet: Fleet) -> Iterator[str]:
    """A line for each wave: what it waits for, and what an unreachable cluster means."""
    for at, wave in enumerate(fleet.waves):
        parts = [names(wave)]
        if len(wave.clusters) > 1:
            parts.append("side by side")
        if wave.unreachable != "wait":
            parts.append(f"unreachable: {wave.unreachable}")
        if wave.soak_ms:
            parts.append(f"soak {duration(wave.soak_ms)}")
        if wave.then == "approval" and at + 1 < len(fleet.waves):
            parts.append("then an approval")
        yield f"wave {at + 1}: {', '.join(parts)}"


def way_back(fleet: Fleet) -> str:
    waves = ", then ".join(names(one) for one in reversed(fleet.waves))
    return f"way back: {waves}; without holds and approvals"


def _gates(release: Release, waves: tuple[Wave, ...], at: int) -> Iterator[Gate]:
    wave, where = waves[at], names(waves[at])
    app, version = release.target.app, release.to_version
    change, rules = release.change, release.rules
    asked = rules.approvals
    how = (max(1, asked.promote), asked.requester_may_approve, asked.expires_ms, asked.on_expiry)
    voters = asked.promote_voters
    if isinstance(change, Deploy) and asked.promote > 0:
        if change.strategy is Strategy.CANARY and rules.canary.promote == "approval":
            title = f"promote {app} to {version} in {where}"
            yield ApprovalGate("promote", *how, title, voters=voters)
        if change.strategy is Strategy.BLUEGREEN and rules.bluegreen.promote == "approval":
            title = f"switch {app} to {version} in {where}"
            yield ApprovalGate("switch", *how, title, voters=voters)
    if wave.soak_ms:
        yield HoldGate("soak", wave.soak_ms, title=f"soak in {where}")
    if wave.then == "approval" and at + 1 < len(waves):
        title = f"bring {app} {version} to {names(waves[at + 1])}"
        yield ApprovalGate("wave", *how, title, voters=voters)
