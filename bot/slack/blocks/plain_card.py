"""The card without markup: the text that notifications and screen readers read."""

from __future__ import annotations

from collections.abc import Iterator

from bot.releases.engine.cluster_trouble import is_clusters_fault
from bot.releases.engine.gates import expires_at, hold_ends_at, open_gate
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.elements import top_text
from bot.slack.blocks.fleet import fleet_lines
from bot.slack.blocks.words import (
    blind_words,
    capitalised,
    colours_of,
    freeze_words,
    headline,
    pods_words,
    step_of,
    uncapitalised,
    verdict_words,
)
from bot.slack.markup import clock, escape

SHOWN_EVIDENCE = 5


def plain_card(release: Release) -> str:
    """The whole story, escaped: Slack reads angle brackets here too."""
    lines = [headline(release), _origin(release)]
    if not release.phase.is_final:
        lines += [
            *_unreachable(release),
            *_failed_write(release),
            *filter(None, (freeze_words(release),)),
            *_step(release),
            *_gate(release),
            *_state(release),
        ]
    if release.fleet is not None:
        lines += fleet_lines(release.fleet)
    lines += [*_drift(release), *_trouble(release), *_cause(release)]
    return top_text(escape(line) for line in lines)


def _origin(release: Release) -> str:
    starter = release.requested_by.display_name
    reason = f": {release.reason}" if release.reason else ""
    return f"{release.id}, started by {starter} at {clock(release.created_at)}{reason}"


def _unreachable(release: Release) -> Iterator[str]:
    if release.unreachable:
        cluster, since = release.target.cluster, clock(release.unreachable.since)
        yield f"{cluster} has been unreachable since {since}; nothing changes meanwhile"


def _failed_write(release: Release) -> Iterator[str]:
    failed = release.failed_write
    if failed is not None:
        since = clock(failed.since)
        yield f"Since {since} the API server has not taken {failed.what}: {failed.why}"


def _step(release: Release) -> Iterator[str]:
    step = step_of(release)
    if step is not None and release.fleet is None:
        count = len([s for s in release.steps if s.until or s.gates])
        at = min(release.progress.at_step + 1, count)
        yield f"Step {at} of {count}: {uncapitalised(step.title)}"


def _gate(release: Release) -> Iterator[str]:
    gate = open_gate(release)
    waits = release.phase in (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)
    if isinstance(gate, ApprovalGate) and waits:
        votes = len(release.progress.gate.votes) if release.progress.gate else 0
        ends = expires_at(release, gate)
        until = f", until {clock(ends)}" if ends is not None else ""
        what = uncapitalised(gate.title or gate.name)
        yield f"Needs approval: {what}; {votes} of {gate.quorum} approved{until}"
    if isinstance(gate, HoldGate) and (ends := hold_ends_at(release, gate)) is not None:
        yield f"Holds until {clock(ends)}"


def _state(release: Release) -> Iterator[str]:
    yield from pods_words(release)
    if colours := colours_of(release):
        serving, waiting = colours
        since = release.card_snapshot.serving_since
        at = f" since {clock(since)}" if since else ""
        yield f"{capitalised(serving)} serving{at}; {waiting} waiting"
    if blind := blind_words(release):
        yield blind
    if release.judgements:
        last = release.judgements[-1]
        yield f"Last verdict: {verdict_words(last)}, {last.detail}"


def _drift(release: Release) -> Iterator[str]:
    for drift in release.drift[:5]:
        yield (
            f"{drift.kind.value} {drift.name}, {drift.field.value}: expected {drift.intended},"
            f" found {drift.observed}"
        )


def _trouble(release: Release) -> Iterator[str]:
    trouble, probe_failure = release.progress.trouble, release.progress.probe_failure
    if trouble is not None:
        clusters = is_clusters_fault(trouble)
        lead = "Cluster problem, not the release's fault" if clusters else "Waiting"
        yield f"{lead}: {trouble.cause.summary}"
    if probe_failure and not release.phase.is_final:
        yield f"The probe fails: {probe_failure}. The switch waits until it passes."


def _cause(release: Release) -> Iterator[str]:
    if release.cause is not None and release.phase is not Phase.SUCCEEDED:
        yield f"Why: {release.cause.summary}"
        yield from release.cause.evidence[:SHOWN_EVIDENCE]
