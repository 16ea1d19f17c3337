"""What went through the ports, in order: what a replay must repeat byte for byte, and what a person
reads of a failing seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.operations.requests import Click, Invocation
from bot.ports import Created, Locked, Message
from bot.query import Query
from bot.releases.facts.actions import (
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
    PatchAutoscaler,
    PatchDeployment,
    PatchService,
)
from bot.releases.facts.events import Event
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target

LONGEST = 160


@dataclass
class Trace:
    """``counts`` is how often each kind of fault and each fact of interest occurred."""

    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    keeps: bool = True
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, at: int, who: str, what: str) -> None:
        line = f"{at} {who}: {what}"
        self._digest.update(line.encode())
        self._digest.update(b"\n")
        if self.keeps:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        return str(self._digest.hexdigest())


def told(value: object) -> str:
    """One value as a person reads it; the same in every process."""
    kind = type(value)
    tell = _TELLER_OF.get(kind)
    if tell is None:
        tell = _TELLER_OF[kind] = next(
            (tell for kinds, tell in _TELLERS if issubclass(kind, kinds)), _name_of_kind
        )
    return tell(value)


def _name_of_kind(value: object) -> str:
    return type(value).__name__


def _release(release: Release) -> str:
    step = release.current_step
    at = f" {step.name}" if step else ""
    return f"{release.id or release.target.app}@{release.version} {release.phase.value}{at}"


def _changes(action: Any) -> str:
    changes = ", ".join(f"{one.field.value}={one.after}"[:60] for one in action.changes)
    return f"{action.kind} {action.name} {changes}"


_TELLERS: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    (Release, _release),
    (Created, lambda one: f"{told(one.release)}{'' if one.fresh else ' again'}"),
    (Locked, lambda one: f"behind {one.behind}" if one.behind else "locked"),
    (Event, lambda one: f"{one.kind.value}: {one.text}"[:LONGEST]),
    (Target, lambda one: str(one.deployment)),
    ((PatchDeployment, PatchService, PatchAutoscaler), _changes),
    (
        (CreateDeployment, DeleteDeployment, CreateService, DeleteService),
        lambda one: f"{one.kind} {one.name}",
    ),
    (Observation, lambda one: f"observed at {one.at}"),
    (Message, lambda one: repr(one.text[:LONGEST])),
    (Query, lambda one: f"query {one.command!r}"[:LONGEST]),
    (Invocation, lambda one: f"{one.person.user} types {one.text!r}"),
    (Click, lambda one: f"{one.person.user} clicks {one.action}"),
    ((tuple, list), lambda one: f"({', '.join(told(item) for item in one)})"),
    ((set, frozenset), lambda one: f"({', '.join(sorted(told(item) for item in one))})"),
    (Mapping, lambda one: f"{len(one)} entries"),
    (BaseException, lambda one: f"{type(one).__name__}: {one}"[:LONGEST]),
    ((str, int, float, type(None)), lambda one: repr(one)[:LONGEST]),
)
_TELLER_OF: dict[type, Callable[[Any], str]] = {}
