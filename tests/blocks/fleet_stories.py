"""A fleet release in each state that people see."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.facts.fleet import Wave
from bot.releases.facts.release import Release
from bot.releases.facts.requests import Abort, Finish
from tests.builders import DEVELOPER, MINUTE
from tests.transitions.fleets import FleetWalk, a_fleet_release

WAVES = (
    Wave(("eu",), soak_ms=30 * MINUTE, then="approval"),
    Wave(("us",)),
    Wave(("onprem",), unreachable="skip"),
)


def _typed(release: Release) -> Release:
    return replace(release, command="deploy shop 2.0.0", started_at=release.created_at)


def _soaking() -> FleetWalk:
    walk = FleetWalk(_typed(a_fleet_release(*WAVES)))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    return walk


def _failed() -> FleetWalk:
    walk = FleetWalk(_typed(a_fleet_release(Wave(("eu",)), Wave(("us",)))))
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=2)
    walk.fails("us")
    walk.tick()
    return walk


def _catching_up() -> FleetWalk:
    walk = FleetWalk(_typed(a_fleet_release(Wave(("eu",)), Wave(("onprem",), unreachable="skip"))))
    walk.loses_cluster("onprem")
    walk.tick()
    walk.succeeds("eu")
    walk.tick(times=3)
    return walk


def _asking() -> FleetWalk:
    walk = _soaking()
    walk.tick(after_ms=31 * MINUTE)
    return walk


def _going_back() -> FleetWalk:
    walk = _failed()
    walk.ask(Abort(DEVELOPER, reason="errors in us"))
    walk.tick(times=2)
    return walk


def _finished() -> FleetWalk:
    walk = _failed()
    walk.ask(Finish(DEVELOPER, reason="us is being replaced"))
    return walk


def many_clusters(count: int) -> Release:
    """As many as Slack's limits have to hold, each in trouble of its own."""
    names = [f"cluster-with-a-long-name-{at}" for at in range(count)]
    release = a_fleet_release(*(Wave((one,), unreachable="skip") for one in names))
    assert release.fleet is not None
    parts = tuple(
        replace(one, away="connection timed out " * 10, away_since=1, is_skipped=True)
        for one in release.fleet.parts
    )
    return replace(release, fleet=replace(release.fleet, parts=parts))


FLEETS: dict[str, Release] = {
    "fleet soaking": _soaking().release,
    "fleet waiting for approval": _asking().release,
    "fleet with a failed part": _failed().release,
    "fleet done but for one": _catching_up().release,
    "fleet rolling back": _going_back().release,
    "fleet finished by a person": _finished().release,
}
