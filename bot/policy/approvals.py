"""Who may ask what of a release? Decided by the server, whichever path the request takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bot.policy.permission_table import GATE_BUTTONS, permission_to_ask
from bot.policy.permissions import Permission, Role, may, refusal_of_role
from bot.releases.engine.gates import open_gate
from bot.releases.facts.causes import FailureClass, Verdict
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import Phase, Release


def refusal_to_ask(
    release: Release, act: str, by: Person, roles: Collection[Role], groups: Collection[str] = ()
) -> str:
    """``act``: the action of a button, or a verb of `/rollout`. ``groups``: those of the catalog
    that the person is in. "" when this person may ask it of the release as it stands, else one line
    that says why not."""
    if act == "reject" and _is_named(release, groups):
        return ""
    if act in GATE_BUTTONS or (act == "finish" and _ends_a_judged_hold(release)):
        return refusal_to_approve(release, by, roles, groups)
    if act == "resume" and _stands_at_bad_verdict(release):
        is_approver = may(roles, Permission.APPROVE)
        return "" if is_approver else "Continuing after a bad verdict needs the approver role."
    return refusal_of_role(permission_to_ask(act), roles)


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


def _is_named(release: Release, groups: Collection[str]) -> bool:
    """In a group that the open gate names."""
    gate = open_gate(release)
    return isinstance(gate, ApprovalGate) and not set(gate.voters.named).isdisjoint(groups)


_NEEDED: Mapping[str, Permission] = {
    "approver": Permission.APPROVE,
    "deployer": Permission.DEPLOY,
    "admin": Permission.ADMIN,
}
_LACKING: Mapping[Permission, str] = {
    Permission.APPROVE: "Approving needs the approver role.",
    Permission.DEPLOY: "Confirming needs the deployer role.",
    Permission.ADMIN: "Overriding the freeze needs the admin role.",
}


def refusal_to_approve(
    release: Release, by: Person, roles: Collection[Role], groups: Collection[str] = ()
) -> str:
    """ "" when this person may approve the open gate, else one line that says why not."""
    gate = open_gate(release)
    if isinstance(gate, ApprovalGate) and _is_named(release, groups):
        return _refusal_of_own(release, gate, by)
    if isinstance(gate, ApprovalGate) and gate.voters.any_of:
        return "Approving needs someone of the groups that the catalog names for it."
    needed = _NEEDED[gate.role] if isinstance(gate, ApprovalGate) else Permission.APPROVE
    if not may(roles, needed) and isinstance(gate, HoldGate):
        return "Ending the hold early needs the approver role."
    if not may(roles, needed):
        return _LACKING[needed]
    return _refusal_of_own(release, gate, by) if isinstance(gate, ApprovalGate) else ""


def _refusal_of_own(release: Release, gate: ApprovalGate, by: Person) -> str:
    caller = release.requested_by.caller
    if by == release.requested_by and caller:
        return f"{caller} started this release for you: someone else must approve it."
    if gate.requester_may_approve:
        return ""
    if by == release.requested_by:
        return "You started this release: someone else must approve it."
    if by == release.changed_by:
        return "You changed what is approved: someone else must approve it."
    return ""
