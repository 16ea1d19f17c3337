"""One table names what every command and every button of a card needs."""

from __future__ import annotations

from typing import get_args

import pytest

from bot.commands.model import RolloutVerb
from bot.commands.table import BY_NAME
from bot.policy.permission_table import (
    BUTTONS,
    COMMANDS,
    GATE_BUTTONS,
    ROLLOUT_VERBS,
    WITHOUT_ROLE,
    command_permission,
)
from bot.policy.permissions import Permission


def test_the_table_holds_every_command_and_no_other() -> None:
    assert set(COMMANDS) == set(BY_NAME)
    assert set(ROLLOUT_VERBS) == set(get_args(RolloutVerb))


def test_what_needs_no_role_only_reads() -> None:
    assert {COMMANDS[name] for name in WITHOUT_ROLE} == {Permission.READ}


def test_a_button_needs_what_its_command_needs() -> None:
    for action in set(BUTTONS) & set(ROLLOUT_VERBS):
        assert BUTTONS[action] is ROLLOUT_VERBS[action]
    assert {BUTTONS[action] for action in GATE_BUTTONS} == {Permission.APPROVE}


@pytest.mark.parametrize("verb", [*ROLLOUT_VERBS, ""])
def test_forcing_needs_an_admin(verb: str) -> None:
    assert command_permission("rollout", verb, forced=True) is Permission.ADMIN
