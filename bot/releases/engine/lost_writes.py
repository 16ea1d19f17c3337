"""What the record had lost of the release's own writes, recorded as it is taken up again."""

from __future__ import annotations

from bot.releases.assess.lost_writes import recover_lost_writes
from bot.releases.engine.decision import Decision
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation


def with_lost_writes(decision: Decision, seen: Observation, now: int) -> Decision:
    recovered = recover_lost_writes(decision.release, seen)
    if not recovered.fields:
        return decision
    text = f"the record had lost our own write: {'; '.join(recovered.fields)}"
    return decision.changed(recovered.release).record(now, EventKind.WROTE, text)
