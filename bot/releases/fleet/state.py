"""How much of the fleet has the version, in words, and the pause that asks what becomes of it."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.engine.decision import Decision, enter_phase, in_gate
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.counts import counted, some_of
from bot.releases.facts.events import EventKind
from bot.releases.facts.fleet import SHOWN, Fleet, Part
from bot.releases.facts.release import Phase, Release


def fleet_of(release: Release) -> Fleet:
    """Raises ValueError for the release of one cluster."""
    if release.fleet is None:
        raise ValueError(f"{release.id} is no fleet release")
    return release.fleet


def with_fleet(decision: Decision, fleet: Fleet) -> Decision:
    return decision.changed(replace(decision.release, fleet=fleet))


def with_part(fleet: Fleet, part: Part) -> Fleet:
    parts = tuple(part if one.cluster == part.cluster else one for one in fleet.parts)
    return replace(fleet, parts=parts)


def stand_words(release: Release) -> str:
    """``half the fleet is on 2.0.0 (eu), not us``."""
    fleet, version = fleet_of(release), release.to_version
    on = [one.cluster for one in fleet.parts if one.state == "done" and one.back != "done"]
    off = [one.cluster for one in fleet.parts if one.cluster not in on]
    if not off:
        return f"the whole fleet is on {version}"
    if not on:
        return f"none of the fleet is on {version}"
    half = len(on) * 2 == len(fleet.parts)
    verb = "is" if len(on) == 1 else "are"
    many = f"{len(on)} of {counted(len(fleet.parts), 'cluster')} {verb} on {version}"
    how_much = f"half the fleet is on {version}" if half else many
    return f"{how_much} ({some_of(on, SHOWN)}), not {some_of(off, SHOWN)}"


def paused(decision: Decision, why: str, key: str, now: int) -> Decision:
    """People decide. ``key`` names what they are asked about: who resumes continues in spite of
    it."""
    release = in_gate(decision.release, None)
    summary = f"{stand_words(release)}: {why}"
    cause = Cause(FailureClass.REQUEST, summary, pods=(key,))
    release = replace(release, paused_from=Phase.PROGRESSING, cause=cause)
    text = f"{summary}. Finish here, or roll back all."
    return decision.changed(enter_phase(release, Phase.PAUSED, now)).record(
        now, EventKind.PAUSED, text
    )
