"""What each field that a release writes was, and what it will be; drift is what is neither."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from bot.releases.facts.as_found import Json


class Kind(StrEnum):
    DEPLOYMENT = "Deployment"
    SERVICE = "Service"


class Field(StrEnum):
    """Fields of an object that a release writes or depends on."""

    EXISTS = "exists"
    CLAIM = "claim"  # annotation pilothouse.dev/release
    TEMPLATE = "template"
    REPLICAS = "replicas"
    PAUSED = "paused"
    CHANGE_CAUSE = "change_cause"
    STRATEGY = "strategy"
    SELECTOR = "selector"
    AFFINITY = "affinity"


@dataclass(frozen=True)
class Intent:
    """What one field shall be. Seen ``after``: as intended; ``before``, never confirmed: to be
    written; else drift."""

    kind: Kind
    name: str
    field: Field
    before: Json
    after: Json
    confirmed: bool = False  # once seen as intended
    written: bool = False  # the release set it, so the way back restores it
    reverts: int = 0  # how often a change that was not ours was seen
    pending: Literal["", "rewrite", "adopt", "restore"] = ""
    """How a difference is met until it is gone: write ours again, keep theirs (both asked for by a
    person), or nothing yet: the way back sets the field, and until then it may be anything."""
    # what the plan wanted where a person kept another value; holds until the plan wants something
    # new
    instead_of: Json = None


@dataclass(frozen=True)
class Drift:
    name: str
    kind: Kind
    field: Field
    intended: str
    observed: str
    manager: str  # field manager that owns the field now, as managedFields tells
