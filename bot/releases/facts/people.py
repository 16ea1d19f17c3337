"""Who acts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Person:
    """Identity is (team, user); the name is for reading only."""

    team: str
    user: str
    name: str = field(default="", compare=False)

    @property
    def display_name(self) -> str:
        """The id where Slack's name is unknown."""
        return self.name or self.user


@dataclass(frozen=True)
class Vote:
    by: Person
    at: int
