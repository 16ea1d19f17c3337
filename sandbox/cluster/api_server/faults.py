"""Faults on demand, and the requests they hit. Tests set them through the admin path."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from sandbox.cluster.objects import Json

KINDS = (
    "slow",
    "error",
    "throttle",
    "conflict",
    "invalid",
    "reset_before",
    "reset_after",
    "lost_reply",
    "watch_gone",
)
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class FaultError(ValueError):
    """An invalid fault; the message is one clear line."""


@dataclass
class Fault:
    """One planned fault. `times` counts down; None keeps it until it is cleared."""

    kind: str
    times: int | None = 1
    methods: frozenset[str] | None = None
    path: re.Pattern[str] | None = None
    agent: str = ""
    seconds: float = 1.0  # slow: delay; throttle: Retry-After
    code: int = 500
    probability: float = 1.0

    def meets(self, method: str, path: str, agent: str, *, is_watch: bool) -> bool:
        if is_watch != (self.kind == "watch_gone") and self.kind not in (
            "slow",
            "error",
            "throttle",
        ):
            return False
        if self.methods is not None and method not in self.methods:
            return False
        if self.agent and not agent.startswith(self.agent):
            return False
        return self.path is None or self.path.search(path) is not None

    def body(self) -> Json:
        return {
            "kind": self.kind,
            "times": self.times,
            "methods": sorted(self.methods or ()),
            "path": self.path.pattern if self.path else "",
            "agent": self.agent,
            "seconds": self.seconds,
            "code": self.code,
            "probability": self.probability,
        }


def parse_fault(body: Json) -> Fault:
    """A fault from JSON. Fault kinds about writes apply to writes only, unless methods are
    named."""
    kind = body.get("kind")
    if kind not in KINDS:
        raise FaultError(f"unknown fault {kind!r}; known are {', '.join(KINDS)}")
    unknown = set(body) - {
        "kind",
        "times",
        "methods",
        "path",
        "agent",
        "seconds",
        "code",
        "probability",
    }
    if unknown:
        raise FaultError(f"unknown key {min(unknown)!r}")
    methods: Any = body.get("methods")
    if (
        methods is None and kind in ("conflict", "invalid", "reset_after", "lost_reply")
    ) or methods == "writes":
        methods = _WRITES
    return Fault(
        kind=str(kind),
        times=body.get("times", 1),
        methods=frozenset(methods) if methods else None,
        path=re.compile(body["path"]) if body.get("path") else None,
        agent=body.get("agent", ""),
        seconds=float(body.get("seconds", 1.0)),
        code=int(body.get("code", 500)),
        probability=float(body.get("probability", 1.0)),
    )


class Faults:
    """The planned faults, in the order in which they were added."""

    def __init__(self, chance: Any) -> None:
        self._planned: list[Fault] = []
        self._chance = chance  # a random.Random
        self.hits: dict[str, int] = {}

    def plan(self, fault: Fault) -> None:
        self._planned.append(fault)

    def clear(self) -> None:
        self._planned.clear()

    def planned(self) -> list[Fault]:
        return list(self._planned)

    def take(self, method: str, path: str, agent: str, *, is_watch: bool) -> list[Fault]:
        """The faults that hit this request; each is counted as used."""
        if not self._planned:
            return []
        met = []
        for fault in list(self._planned):
            if not fault.meets(method, path, agent, is_watch=is_watch):
                continue
            if fault.probability < 1 and self._chance.random() >= fault.probability:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._planned.remove(fault)
            self.hits[fault.kind] = self.hits.get(fault.kind, 0) + 1
            met.append(fault)
            if fault.kind != "slow":  # one failure per request
                break
        return met


async def delay_for(faults: list[Fault]) -> None:
    for fault in faults:
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
