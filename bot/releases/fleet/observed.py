"""What was observed of a fleet's parts, and what it orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from bot.releases.engine.gates import open_gate
from bot.releases.engine.votes import is_enough
from bot.releases.facts.changes import Deploy, Undo
from bot.releases.facts.fleet import ASKED_BY_FLEET, Fleet, Given, Part, PartState
from bot.releases.facts.people import Vote
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Approve

GATES = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


@dataclass(frozen=True)
class PartSeen:
    """``release``, ``undo``: their records, None before they exist. ``image``: what the cluster
    runs, "" where it was not asked or did not say; ``away``: why it does not answer."""

    release: Release | None = None
    undo: Release | None = None
    image: str = ""
    version: str = ""
    is_complete: bool = False
    away: str = ""


@dataclass(frozen=True)
class Begin:
    """A part's release, to be created once: its place in the fleet names it."""

    cluster: str
    change: Deploy | Undo


@dataclass(frozen=True)
class Tell:
    """A request of people to the fleet, handed to a part's release."""

    release: str
    request: Approve | Abort


Order: TypeAlias = Begin | Tell
SeenParts: TypeAlias = Mapping[str, PartSeen]
"""By the names of the clusters."""


def with_seen(fleet: Fleet, seen: SeenParts, now: int) -> Fleet:
    parts = tuple(_with_part_seen(fleet, one, seen[one.cluster], now) for one in fleet.parts)
    return replace(fleet, parts=parts)


def _with_part_seen(fleet: Fleet, part: Part, seen: PartSeen, now: int) -> Part:
    release = seen.release
    part = replace(part, runs=seen.version or part.runs)
    part = _with_outage(part, seen, now)
    if release is not None:
        state = _state(release)
        part = replace(
            part,
            state=state,
            since=part.since if state == part.state else now,
            words=_words(release),
            from_version=release.from_version,
            share=release.card_snapshot.share if state == "running" else None,
            asks=_asks(release),
        )
        part = replace(part, told=_told(fleet, part, release))
    if seen.undo is not None:
        part = _with_undo_seen(part, seen.undo)
    return part


def _with_outage(part: Part, seen: PartSeen, now: int) -> Part:
    """Of the cluster, as it was asked; else as the part's own release found it."""
    running = next((one for one in (seen.undo, seen.release) if one is not None), None)
    outage = running.unreachable if running is not None and not running.phase.is_final else None
    why = seen.away or (outage.why if outage is not None else "")
    if not why:
        is_known = bool(seen.image) or (running is not None and not running.phase.is_final)
        return replace(part, away="", away_since=0) if is_known else part
    since = part.away_since or (outage.since if outage is not None else now)
    return replace(part, away=why, away_since=since)


def _state(release: Release) -> PartState:
    if release.phase is Phase.SUCCEEDED:
        return "done"
    return "failed" if release.phase.is_final else "running"


def _words(release: Release) -> str:
    if release.phase.is_final and release.phase is not Phase.SUCCEEDED:
        why = f": {release.cause.summary}" if release.cause is not None else ""
        return f"{release.phase.words}{why}"
    if release.phase is Phase.QUEUED and release.queued_behind:
        return f"waits for {release.queued_behind}"
    return release.phase.words


def _asks(release: Release) -> str:
    gate = open_gate(release)
    if release.standstill is not None:  # votes are handed over after the freeze
        return ""
    is_asked = isinstance(gate, ApprovalGate) and gate.name in ASKED_BY_FLEET
    return gate.name if gate is not None and is_asked and release.phase in GATES else ""


def _told(fleet: Fleet, part: Part, release: Release) -> tuple[str, ...]:
    """Votes are handed over once: a part that drops one, since its giver lost the role, asks by
    itself."""
    given, state = given_for(fleet, part), release.progress.gate
    if given is None or state is None or given.gate in part.told:
        return part.told
    there = {vote.by for vote in state.votes}
    has_all = all(vote.by in there for vote in given.votes)
    gate = open_gate(release)
    is_open = isinstance(gate, ApprovalGate) and is_enough(gate, state.votes)
    return (*part.told, given.gate) if has_all or is_open else part.told


def given_for(fleet: Fleet, part: Part) -> Given | None:
    """The approval that the gate waits for at which the part stands."""
    if not part.asks:
        return None
    wave = fleet.wave_of(part.cluster)
    fitting = (one for one in fleet.given if one.gate == part.asks and one.wave in (-1, wave))
    return next(fitting, None)


def _with_undo_seen(part: Part, undo: Release) -> Part:
    if not undo.phase.is_final:
        return replace(part, back="running")
    if undo.phase is Phase.SUCCEEDED:
        return replace(part, back="done", left="")
    why = undo.cause.summary if undo.cause is not None else undo.phase.words
    return replace(part, back="left", left=f"{undo.id} {undo.phase.words}: {why}")


def handed_over(fleet: Fleet, seen: SeenParts) -> tuple[Tell, ...]:
    """Votes of the fleet's gates for the parts that stand at them."""
    return tuple(
        Tell(release.id, Approve(vote.by, given.gate, release.plan.hash, vote.groups))
        for part in fleet.parts
        for release in (seen[part.cluster].release,)
        for given in (given_for(fleet, part),)
        if release is not None and release.plan is not None and given is not None
        if given.gate not in part.told
        for vote in given.votes
        if all(one.by != vote.by for one in _votes(release))
    )


def _votes(release: Release) -> tuple[Vote, ...]:
    return release.progress.gate.votes if release.progress.gate is not None else ()
