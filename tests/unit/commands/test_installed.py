"""Which slash commands are registered here, as the manifest and the environment say."""

from __future__ import annotations

import pytest

from bot.commands.installed import read_names
from bot.commands.table import BY_DEFAULT, BY_NAME


@pytest.mark.parametrize(
    ("commands", "installed"),
    [
        ("default", BY_DEFAULT),
        ("all", tuple(BY_NAME)),
        ("none", ()),
        ("deploy, /pods", ("deploy", "pods")),
    ],
)
def test_names_are_a_set_or_a_list(commands: str, installed: tuple[str, ...]) -> None:
    assert read_names(commands, "ph-").installed == installed


def test_with_no_command_registered_everything_goes_by_the_umbrella() -> None:
    assert read_names("none", "ph-").typed("deploy") == "/ph-pilothouse deploy"


@pytest.mark.parametrize(
    ("commands", "prefix", "line"),
    [
        ("deploi", "", "no command `deploi`. Did you mean `deploy`?"),
        ("default", "Ph-", "the prefix `Ph-` may hold only lowercase letters, digits, `-` and `_`"),
        ("default", "x" * 22, f"the prefix `{'x' * 22}` makes a command longer than 32"),
    ],
)
def test_a_wrong_name_or_prefix_is_refused_in_one_line(
    commands: str, prefix: str, line: str
) -> None:
    with pytest.raises(ValueError) as caught:
        read_names(commands, prefix)
    assert str(caught.value) == line
