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
    MIN_REPLICAS = "min_replicas"  # of an autoscaler
    MIN_AS_FOUND = "min_replicas_as_found"  # annotation pilothouse.dev/min-replicas


@dataclass(frozen=True)
class Intent:
    """What one field will be. Observed ``after``: as intended; ``before`` and never confirmed: not
    yet written; any other value is drift."""

    kind: Kind
    name: str
    field: Field
    before: Json
    after: Json
    confirmed: bool = False  # once seen as intended
    written: bool = False  # the release set it, so a rollback restores it
    reverts: int = 0  # how often an outside change was observed
    pending: Literal["", "rewrite", "adopt", "restore"] = ""
    """What happens to a difference: write ours again, keep theirs (both asked for by a person), or
    nothing yet: the rollback sets the field, and until then it may have any value."""
    rewritten: int = 0  # how often it was written again after a resume
    # what the plan wanted where a person kept another value, until the plan wants a new one
    instead_of: Json = None


@dataclass(frozen=True)
class Drift:
    name: str
    kind: Kind
    field: Field
    intended: str
    observed: str
    manager: str  # field manager that owns the field now, by managedFields
    at: int = 0  # when it last wrote; 0: unknown
