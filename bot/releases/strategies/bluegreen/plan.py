"""Blue/green: a second Deployment at full size that nobody reaches, one patch of the Service's
selector, and one patch back.

The candidate's pods carry another value for one key of the Service's selector, so the Service is
untouched until the switch and every stray revert lands on blue. Blue stays whole for the rollback
window. Then the Deployment itself is rolled to the new version behind green, the Service gets its
selector back, and green is removed (``settle: roll``); or both Deployments stay and the next
release uses the other one (``settle: keep``).

At every moment, forward and during a rollback, the Services select pods that are ready: a selector
is only written when what it selects has been seen ready, and what still serves is never removed.
"""

from __future__ import annotations

from bot.releases.facts.plan import Plan
from bot.releases.planning.candidate import adoption_to_confirm
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.draft import Draft, local_traffic_to_confirm
from bot.releases.strategies.bluegreen.draft import draft_blue_green
from bot.releases.strategies.bluegreen.notes import blue_green_notes
from bot.releases.strategies.bluegreen.steps import blue_green_steps


def plan(draft: Draft) -> Plan:
    parts = draft_blue_green(draft)
    scaler = parts.scaler
    return draft.plan(
        steps=blue_green_steps(parts),
        candidate=parts.candidate.name,
        floor=floor_of(draft.stable),
        deadline_ms=draft.deadline_ms,
        notes=blue_green_notes(parts),
        confirm={
            **({} if parts.keeps else adoption_to_confirm(parts.candidate.existing)),
            **local_traffic_to_confirm(parts.services),
        },
        stable_selector=draft.stable.selector,
        candidate_selector={
            key: value for target in parts.targets for key, value in target.items()
        },
        final_selectors=parts.finals,
        keeps_both=parts.keeps,
        preview=parts.preview,
        probe=parts.probe,
        has_autoscaler=scaler is not None,
        autoscaler=(scaler.min_replicas, scaler.max_replicas) if scaler else None,
        autoscaler_name=scaler.name if scaler else "",
    )
