"""Who may open a gate, and what the others read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.policy.approvals import refusal_to_approve, refusal_to_ask
from bot.policy.permission_table import BUTTONS, ROLLOUT_VERBS
from bot.policy.permissions import Permission, Role, refusal_of_role
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.people import Person, Voters
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from tests.blocks.stories import HOLDING, PROMOTING
from tests.builders import DEVELOPER, MANAGER


@pytest.mark.parametrize(
    ("release", "by", "roles", "refusal"),
    [
        (PROMOTING, MANAGER, {Role.APPROVER}, ""),
        (PROMOTING, DEVELOPER, {Role.DEPLOYER}, "Approving needs the approver role."),
        (
            PROMOTING,
            DEVELOPER,
            {Role.APPROVER},
            "You started this release: someone else must approve it.",
        ),
        (
            HOLDING,
            DEVELOPER,
            {Role.DEPLOYER},
            "Ending the hold early needs the approver role.",
        ),
        (HOLDING, DEVELOPER, {Role.APPROVER}, ""),
    ],
)
def test_approvers_open_gates_and_others_get_the_reason(
    release: Release, by: Person, roles: set[Role], refusal: str
) -> None:
    assert refusal_to_approve(release, by, roles) == refusal


def of_groups(voters: Voters) -> Release:
    plan = PROMOTING.plan
    assert plan is not None
    steps = tuple(
        replace(
            step,
            gates=tuple(
                replace(gate, voters=voters) if isinstance(gate, ApprovalGate) else gate
                for gate in step.gates
            ),
        )
        for step in plan.steps
    )
    return replace(PROMOTING, plan=replace(plan, steps=steps))


SRE = of_groups(Voters(any_of=("S0SRE",)))
EACH = of_groups(Voters(one_from_each=("S0SEC",)))
_OF_GROUPS = "Approving needs someone of the groups that the catalog names for it."


@pytest.mark.parametrize(
    ("release", "by", "roles", "groups", "refusal"),
    [
        (SRE, MANAGER, set(), ("S0SRE",), ""),
        (SRE, MANAGER, {Role.APPROVER}, (), _OF_GROUPS),
        (SRE, MANAGER, {Role.ADMIN}, ("S0OTHER",), _OF_GROUPS),
        (SRE, DEVELOPER, set(), ("S0SRE",), "You started this release: someone else must"),
        (EACH, MANAGER, {Role.APPROVER}, (), ""),
        (EACH, MANAGER, set(), ("S0SEC",), ""),
        (EACH, MANAGER, set(), ("S0OTHER",), "Approving needs the approver role."),
        (
            replace(PROMOTING, changed_by=MANAGER),
            MANAGER,
            {Role.APPROVER},
            (),
            "You changed what is approved: someone else must",
        ),
    ],
)
def test_named_groups_approve_in_place_of_the_role(
    release: Release, by: Person, roles: set[Role], groups: tuple[str, ...], refusal: str
) -> None:
    found = refusal_to_approve(release, by, roles, groups)
    assert found.startswith(refusal) and bool(found) == bool(refusal)


def test_whoever_may_approve_may_reject() -> None:
    assert refusal_to_ask(SRE, "reject", MANAGER, set(), ("S0SRE",)) == ""
    assert refusal_to_ask(SRE, "reject", MANAGER, set(), ()) != ""


def test_a_refusal_names_the_roles_that_would_do_and_those_the_person_has() -> None:
    assert (
        refusal_of_role(Permission.DEPLOY, {Role.VIEWER})
        == "You need the deployer or admin role; you have viewer."
    )
    assert (
        refusal_of_role(Permission.DEPLOY, set())
        == "You need the deployer or admin role; you have none."
    )
    assert refusal_of_role(Permission.DEPLOY, {Role.ADMIN}) == ""


@pytest.mark.parametrize(
    ("verdict", "refusal"),
    [
        (Verdict.BAD, "Continuing after a bad verdict needs the approver role."),
        (Verdict.TOO_LITTLE, ""),
    ],
)
def test_a_deployer_does_not_continue_after_a_bad_verdict(verdict: Verdict, refusal: str) -> None:
    release = replace(
        HOLDING,
        phase=Phase.PAUSED,
        cause=Cause(FailureClass.VERDICT, "errors"),
        judgements=(Judgement(1, verdict, "errors"),),
    )
    assert refusal_to_ask(release, "resume", DEVELOPER, {Role.DEPLOYER}) == refusal
    assert (refusal_to_ask(release, "resume", MANAGER, {Role.APPROVER}) == "") == bool(refusal)
    assert refusal_to_ask(release, "abort", DEVELOPER, {Role.DEPLOYER}) == ""


@pytest.mark.parametrize("act", sorted({*BUTTONS, *ROLLOUT_VERBS}))
def test_whatever_can_be_asked_of_a_release_is_decided(act: str) -> None:
    """A verb that no button has too: `/rollout undo` while a release runs."""
    assert refusal_to_ask(HOLDING, act, DEVELOPER, set()) != ""
    assert refusal_to_ask(HOLDING, act, MANAGER, set(Role)) == ""
