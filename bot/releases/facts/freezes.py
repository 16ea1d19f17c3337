"""A freeze as a release that runs meets it. All times are integer milliseconds of Redis TIME."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FreezeInForce:
    """``words``: "all is frozen by oncall until 2026-12-31T18:00:00Z: incident". ``until`` None:
    until someone lifts it."""

    words: str
    since: int
    until: int | None = None


@dataclass(frozen=True)
class Standstill:
    """A freeze holds the release before its next step. ``windows``: of its judge that were over
    meanwhile, each followed by a fresh one."""

    since: int
    windows: int = 0
