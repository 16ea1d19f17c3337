"""Canary: a second Deployment behind the same Service, so that the share of traffic is the share of
ready endpoints.

The share rises step by step while the candidate is compared with stable. At the promotion stable
rolls to the new version while the candidates serve; then they are removed.
"""

from __future__ import annotations

from bot.releases.facts.plan import Plan
from bot.releases.planning.candidate import adoption_to_confirm
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.draft import Draft, local_traffic_to_confirm
from bot.releases.planning.probing import blind_notes, judging_probe, short_hold_notes
from bot.releases.strategies.canary.draft import draft_canary
from bot.releases.strategies.canary.notes import canary_notes
from bot.releases.strategies.canary.steps import canary_steps


def plan(draft: Draft) -> Plan:
    canary = draft_canary(draft)
    steps, scaler = canary_steps(canary), canary.scaler
    probe, probe_notes = judging_probe(draft, canary.services)
    return draft.plan(
        steps=steps,
        candidate=canary.name,
        failed_candidate_to_zero=True,
        floor=min(floor_of(draft.stable), *(split.stables for split in canary.splits)),
        deadline_ms=sum(step.deadline_ms or 0 for step in steps),
        has_autoscaler=scaler is not None,
        autoscaler=(scaler.min_replicas, scaler.max_replicas) if scaler else None,
        autoscaler_name=scaler.name if scaler else "",
        probe=probe,
        notes=(
            *canary_notes(canary),
            *probe_notes,
            *short_hold_notes(draft),
            *blind_notes(draft, draft.release.rules.canary.promote, "the promotion"),
        ),
        confirm={
            **adoption_to_confirm(canary.adopted),
            **local_traffic_to_confirm(canary.services),
        },
    )
