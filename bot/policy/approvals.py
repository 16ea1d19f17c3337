"""Who may open a gate? Decided by the server when the button is clicked."""

from __future__ import annotations

from collections.abc import Collection

from bot.policy.permissions import Permission, Role, may
from bot.releases.engine.gates import open_gate
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Release


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
