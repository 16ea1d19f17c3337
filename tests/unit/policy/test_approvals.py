"""Who may open a gate, and what the others are told."""

from __future__ import annotations

import pytest

from bot.policy.approvals import refusal_to_approve
from bot.policy.permissions import Permission, Role, refusal_of_role
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from tests.blocks.stories import HOLDING, PROMOTING
from tests.builders import DEVELOPER, MANAGER


@pytest.mark.parametrize(
    ("release", "by", "roles", "told"),
    [
        (PROMOTING, MANAGER, {Role.APPROVER}, ""),
        (PROMOTING, DEVELOPER, {Role.DEPLOYER}, "approving needs the role approver"),
        (
            PROMOTING,
            DEVELOPER,
            {Role.APPROVER},
            "you started this release: somebody else approves it",
        ),
        (
            HOLDING,
            DEVELOPER,
            {Role.DEPLOYER},
            "going on before the hold is over needs the role approver",
        ),
        (HOLDING, DEVELOPER, {Role.APPROVER}, ""),
    ],
)
def test_a_gate_is_opened_by_approvers_and_the_others_are_told_why_not(
    release: Release, by: Person, roles: set[Role], told: str
) -> None:
    assert refusal_to_approve(release, by, roles) == told


def test_who_lacks_a_role_is_told_which_would_do_and_which_they_have() -> None:
    assert (
        refusal_of_role(Permission.DEPLOY, {Role.VIEWER})
        == "that needs the role deployer or admin; you have viewer"
    )
    assert (
        refusal_of_role(Permission.DEPLOY, set())
        == "that needs the role deployer or admin; you have none"
    )
    assert refusal_of_role(Permission.DEPLOY, {Role.ADMIN}) == ""
