"""Which slash commands a workspace has registered with Slack: read from what
`pilothouse manifest` and the environment are given."""

from __future__ import annotations

from bot.commands.table import BY_DEFAULT, BY_NAME, UMBRELLA, Names
from config.nearest import listed, nearest

MAX_COMMAND = 32
"""Characters of a slash command with its slash. Source: Slack's app manifest reference."""
_SETS = {"all": tuple(BY_NAME), "default": BY_DEFAULT, "none": ()}


def installed_commands(text: str) -> tuple[str, ...]:
    """``all``, ``default``, ``none`` (`/pilothouse` alone), or names separated by commas.

    Raises ValueError with one line that names the nearest command.
    """
    if text in _SETS:
        return _SETS[text]
    names = tuple(name.strip().removeprefix("/") for name in text.split(",") if name.strip())
    for name in names:
        if name not in BY_NAME:
            close = nearest(name, BY_NAME)
            hint = f"Did you mean `{close}`?" if close else f"Choose {listed(BY_NAME)}."
            raise ValueError(f"no command `{name}`. {hint}")
    return names


def check_prefix(prefix: str, names: tuple[str, ...]) -> None:
    """Raises ValueError where a command of ``names`` with this prefix is not one that Slack
    accepts."""
    longest = max(len(f"/{prefix}{name}") for name in (*names, UMBRELLA))
    if longest > MAX_COMMAND:
        raise ValueError(f"the prefix `{prefix}` makes a command longer than {MAX_COMMAND}")
    if not all(c.isascii() and (c.islower() or c.isdigit() or c in "-_") for c in prefix):
        raise ValueError(
            f"the prefix `{prefix}` may hold only lowercase letters, digits, `-` and `_`"
        )


def read_names(commands: str, prefix: str) -> Names:
    """How commands are typed here. Raises ValueError."""
    names = installed_commands(commands)
    check_prefix(prefix, names)
    return Names(names, prefix)
