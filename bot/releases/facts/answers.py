"""What pods answered while they were judged, counted by pod and interval."""

from __future__ import annotations

from dataclasses import dataclass

from bot.releases.facts.plan import Side


@dataclass(frozen=True)
class Cell:
    """``at``: when its interval began, in milliseconds; cells of both sides that share it are
    compared with each other."""

    side: Side
    pod: str
    at: int
    requests: int
    failures: int


@dataclass(frozen=True)
class Answers:
    """Of one window: a hold, a rollback window, a roll. ``asked``: requests of each side.

    ``lost``: requests of both sides that brought no answer of a pod, for whatever reason of the
    proxy, the API server or the network. ``why``: what the candidate's last bad answer was, and
    ``lost_why`` what kept the last one away.
    """

    asked: int = 0
    last_at: int = 0
    cells: tuple[Cell, ...] = ()
    lost: int = 0
    why: str = ""
    lost_why: str = ""
    extended_ms: int = 0
    over: bool = False  # people were asked about them: they stop the release no second time
