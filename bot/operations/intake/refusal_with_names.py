"""A refusal for want of a role names who has it, and lets them be asked."""

from __future__ import annotations

from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.policy.permission_table import GATE_BUTTONS
from bot.policy.permissions import Role
from bot.ports import VersionConflict
from bot.releases.engine.gates import open_gate
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release

ASKED_AGAIN_MS = 600_000
_WAITING = (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)


def refusal_with_names(
    context: Context, release: Release, act: str, refusal: Refusal, by: Person
) -> Refusal:
    gate = open_gate(release)
    is_gate = isinstance(gate, ApprovalGate) and release.phase in _WAITING
    answers_gate = act in GATE_BUTTONS or act in ("promote", "finish")
    needs_approver = answers_gate and not (isinstance(gate, ApprovalGate) and _is_deployers(gate))
    role = Role.APPROVER if needs_approver or "approver" in refusal.line else Role.DEPLOYER
    if is_gate and answers_gate and isinstance(gate, ApprovalGate) and gate.role == "admin":
        role = Role.ADMIN
    target = release.target
    named = context.catalog.access.named(role, target.app, target.cluster)
    if is_gate and needs_approver and isinstance(gate, ApprovalGate) and gate.voters.named:
        named = gate.voters.named
    who = tuple(one for one in named if one != by.user)
    ask = release.id if is_gate and answers_gate and who else ""
    return Refusal(refusal.line, who=who, ask=ask, rule=refusal.rule)


def _is_deployers(gate: ApprovalGate) -> bool:
    return gate.role == "deployer"


def ask_for_answer(context: Context, release: Release, by: Person) -> Reply:
    """Mentions those who may answer in the card's thread, as a reminder does."""
    gate, state = open_gate(release), release.progress.gate
    if not isinstance(gate, ApprovalGate) or state is None or release.phase not in _WAITING:
        return Refusal(f"{release.id} no longer waits for an approval.", "See its card.")
    asked = f"asked:{release.id}:{state.opened_at}:{state.gate}"
    if not context.store.put_new(asked, context.runtime.new_id(), ttl_ms=ASKED_AGAIN_MS):
        return Refusal("They were asked less than 10 minutes ago.")
    text = f"{by.display_name} asks for approval: {gate.title or gate.name}"
    event = Event(context.store.now(), EventKind.REMINDED, text, by)
    try:
        context.store.save(release, (event,), operation=context.runtime.new_id(), card=False)
    except VersionConflict:
        context.store.take(asked)
        return Refusal(f"{release.id} has just changed.", "See its card, and ask again.")
    return TextReply("They are asked, in the card's thread.")
