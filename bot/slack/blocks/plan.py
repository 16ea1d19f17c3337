"""A dry run: what a release would do, step by step, before anything changes."""

from __future__ import annotations

from bot.ports import Message
from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import ApprovalGate, HoldGate, Plan, Step
from bot.releases.facts.release import Release
from bot.slack.blocks.elements import Block, context, section, top_text
from bot.slack.blocks.links import links_block
from bot.slack.blocks.words import STRATEGY_WORDS, capitalised, uncapitalised
from bot.slack.markup import code, escape, plain

SHOWN = 20
OUTLINED = 12


def plan_lines(plan: Plan) -> list[str]:
    """One numbered line for each step and gate, plain text."""
    lines: list[str] = [_gate(gate) for gate in plan.start]
    for step in plan.steps:
        if not step.until and not step.gates:
            continue
        lines.append(_step(step))
        lines += [_gate(gate) for gate in step.gates]
    return [f"{number}. {line}" for number, line in enumerate(lines, 1)]


def _step(step: Step) -> str:
    """A title that names the share names the pods too."""
    asked = (
        f" (asked: {step.wanted_share}%)"
        if step.share is not None and step.wanted_share not in (None, step.share)
        else ""
    )
    if step.share is None or "%" in step.title:
        return f"{capitalised(step.title)}{asked}"
    pods = (
        f": {step.candidates} candidate and {step.stables} stable pods"
        if step.candidates is not None and step.stables is not None
        else ""
    )
    return f"{capitalised(step.title)}, {step.share}% of traffic{asked}{pods}"


def _gate(gate: ApprovalGate | HoldGate) -> str:
    if isinstance(gate, HoldGate):
        judged = ", then compare the candidate with stable" if gate.judged else ""
        return f"{capitalised(gate.title or 'hold')} for {duration(gate.ms)}{judged}"
    who = " of groups that the catalog names" if gate.voters.named else ""
    who = " of an admin" if gate.role == "admin" else who
    who += "" if gate.requester_may_approve else " from someone other than the requester"
    then = "abort" if gate.on_expiry == "abort" else "reminder"
    return (
        f"Wait for {counted(gate.quorum, 'approval')}{who}:"
        f" {uncapitalised(gate.title or gate.name)} ({then} after {duration(gate.expires_ms)})"
    )


def plan_message(release: Release, plan: Plan) -> Message:
    app = release.target.label
    head = (
        f"{app} {plan.from_version} → {plan.version} {STRATEGY_WORDS[release.strategy]}: dry run,"
        " nothing changed"
    )
    lines = plan_lines(plan)
    facts = _facts(app, plan)
    more = [f"and {len(lines) - SHOWN} more steps"] if len(lines) > SHOWN else []
    blocks: list[Block] = [
        section(f"*{plain(head, 400)}*\n{code(plan.from_image, 300)} → {code(plan.image, 300)}"),
        section("\n".join(plain(line, 300) for line in [*lines[:SHOWN], *more])),
        section(
            "\n".join(
                plain(fact, 300) for fact in [*facts, *(f"• {note}" for note in plan.notes[:8])]
            )
        ),
        *links_block(release, plan.from_version, plan.version),
        context(f"plan {code(plan.hash)}"),
    ]
    return Message(
        top_text(escape(line) for line in [head, *lines, *facts, *plan.notes]), tuple(blocks)
    )


def plan_outline(plan: Plan) -> tuple[str, ...]:
    """A shorter plan for a form."""
    lines = plan_lines(plan)
    more = [f"and {len(lines) - OUTLINED} more steps"] if len(lines) > OUTLINED else []
    return (
        *lines[:OUTLINED],
        *more,
        *_facts("The app", plan)[: 2 if plan.down else 1],
        *(f"• {note}" for note in plan.notes[:4]),
    )


def _facts(app: str, plan: Plan) -> list[str]:
    facts = [
        f"At least {plan.floor} stable pods stay available.",
        f"Each roll may take up to {duration(plan.deadline_ms)}.",
    ]
    if plan.down:
        facts.insert(0, f"{app} WILL BE DOWN during the release.")
    return facts
