"""Who acts."""

from __future__ import annotations

from dataclasses import dataclass, field

MACHINE = "api:"
"""No id of Slack holds a colon."""


@dataclass(frozen=True)
class Person:
    """Identity is (team, user); the name is for reading only.

    ``caller``: the API's token by which a machine acts, and which claims to act for this person; ""
    for a person whom Slack names. Without a person ``user`` is ``api:CALLER``.
    """

    team: str
    user: str
    name: str = field(default="", compare=False)
    caller: str = field(default="", compare=False)

    @property
    def display_name(self) -> str:
        """The id where Slack's name is unknown."""
        return self.name or self.user

    @property
    def is_machine(self) -> bool:
        """Nobody is named for whom the caller acts."""
        return self.user.startswith(MACHINE)


@dataclass(frozen=True)
class Vote:
    """``groups``: those that the gate names and the person was in, as last read."""

    by: Person
    at: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Voters:
    """Ids of user groups. ``any_of``: whose members may approve, () for everyone with the role;
    ``one_from_each``: each must be among those who approved, and may approve too."""

    any_of: tuple[str, ...] = ()
    one_from_each: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.any_of, *self.one_from_each)))
