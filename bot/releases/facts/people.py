"""Who acts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Person:
    """Identity is (team, user); the name is for reading only."""

    team: str
    user: str
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Vote:
    by: Person
    at: int
