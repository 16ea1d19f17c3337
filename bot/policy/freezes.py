"""Stopping the line: for an app, a cluster or all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bot.releases.model import Person


@dataclass(frozen=True)
class Freeze:
    """``until`` None: until somebody lifts it."""

    scope: str  # an app's name, "cluster:NAME" or "all"
    reason: str
    by: Person
    at: int
    until: int | None = None


def frozen_by(freezes: Iterable[Freeze], *, app: str, cluster: str, now: int) -> Freeze | None:
    for freeze in freezes:
        if (freeze.until is None or freeze.until > now) and freeze.scope in ("all", app, f"cluster:{cluster}"):
            return freeze
    return None
