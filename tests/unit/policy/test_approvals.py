"""Who may open a gate, and what the others read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.policy.approvals import refusal_to_approve, refusal_to_ask
from bot.policy.permissions import Permission, Role, refusal_of_role
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.people import Person
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
