"""What a freeze that begins soon would catch of a plan, said before its start."""

from __future__ import annotations

from bot.releases.facts.ages import moment
from bot.releases.facts.freezes import FreezeInForce
from bot.releases.facts.plan import HoldGate, Plan, Step


def caught_note(plan: Plan, coming: FreezeInForce | None, *, usual_ms: int, now: int) -> str:
    """ "" where the last step that a freeze holds up begins before it, by the holds of the plan and
    ``usual_ms`` for each rollout."""
    if coming is None:
        return ""
    at = now
    for step, following in zip(plan.steps, plan.steps[1:], strict=False):
        at += (usual_ms if step.until else 0) + _held_ms(step)
        if at >= coming.since and not following.committed:
            return (
                f"{coming.words} freezes at {moment(coming.since)}: by then this may hold before"
                f" the step `{following.title}`, until the freeze is over"
            )
    return ""


def _held_ms(step: Step) -> int:
    return sum(gate.ms for gate in step.gates if isinstance(gate, HoldGate))
