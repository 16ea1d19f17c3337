"""Why a release failed, was paused or rolled back, and what a comparison of its pods found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    PERMANENT = "permanent"
    PERSISTENT = "persistent"
    ENVIRONMENT = "environment"
    DEADLINE = "deadline"
    VERDICT = "verdict"
    DRIFT = "drift"
    REFUSED = "refused"  # the API server or the plan refused it
    REQUEST = "request"  # a person asked


@dataclass(frozen=True)
class Cause:
    """Why a release failed, was paused or rolled back: one line first, then evidence."""

    failure: FailureClass
    summary: str
    evidence: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()  # redacted lines, at most 10


class Verdict(StrEnum):
    GOOD = "good"
    BAD = "bad"
    TOO_LITTLE = "too_little"
    SOURCE_AWAY = "source_away"  # known, not stored yet: an older version would not read it


@dataclass(frozen=True)
class Judgement:
    at: int
    verdict: Verdict
    detail: str
    away: bool = False  # what was asked does not answer for stable either: no more is known
    candidate: tuple[int, int] = (0, 0)  # requests and failures, where pods were asked
    stable: tuple[int, int] = (0, 0)
    window: tuple[int, int] = (0, 0)  # in which metrics were counted
    query: str = ""  # the same for people, in PromQL
    link: str = ""  # to that query
