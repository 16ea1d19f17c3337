"""Who may ask what of a release? Decided by the server, whichever path the request takes."""

from __future__ import annotations

from collections.abc import Collection

from bot.policy.permission_table import BUTTONS, GATE_BUTTONS
from bot.policy.permissions import Permission, Role, may, refusal_of_role
from bot.releases.engine.gates import open_gate
from bot.releases.facts.causes import FailureClass, Verdict
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Phase, Release


def refusal_to_ask(release: Release, act: str, by: Person, roles: Collection[Role]) -> str:
    """``act``: the action of a button, or a verb of `/rollout`. "" when this person may ask it of
    the release as it stands, else one line that says why not."""
    if act in GATE_BUTTONS or (act == "finish" and _ends_a_judged_hold(release)):
        return refusal_to_approve(release, by, roles)
    if act == "resume" and _stands_at_bad_verdict(release):
        is_approver = may(roles, Permission.APPROVE)
        return "" if is_approver else "Continuing after a bad verdict needs the approver role."
    return refusal_of_role(BUTTONS[act], roles)


def _ends_a_judged_hold(release: Release) -> bool:
    """A deployer may end a rollback window early, but no other hold."""
    gate = open_gate(release)
    return isinstance(gate, HoldGate) and not gate.is_rollback_window


def _stands_at_bad_verdict(release: Release) -> bool:
    cause = release.cause
    is_verdict = cause is not None and cause.failure is FailureClass.VERDICT
    return (
        release.phase is Phase.PAUSED
        and is_verdict
        and bool(release.judgements)
        and release.judgements[-1].verdict is Verdict.BAD
    )


def refusal_to_approve(release: Release, by: Person, roles: Collection[Role]) -> str:
    """ "" when this person may approve the open gate, else one line that says why not."""
    gate = open_gate(release)
    by_deployer = isinstance(gate, ApprovalGate) and gate.role == "deployer"
    needed = Permission.DEPLOY if by_deployer else Permission.APPROVE
    if not may(roles, needed) and isinstance(gate, HoldGate):
        return "Ending the hold early needs the approver role."
    if not may(roles, needed):
        return (
            "Approving needs the approver role."
            if needed is Permission.APPROVE
            else "Confirming needs the deployer role."
        )
    if (
        isinstance(gate, ApprovalGate)
        and by == release.requested_by
        and not gate.requester_may_approve
    ):
        return "You started this release: someone else must approve it."
    return ""
