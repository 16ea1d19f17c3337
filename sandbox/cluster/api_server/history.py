"""The log of every write, with which tests prove invariants independently of the code under
test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.cluster.objects import Json, name_of, namespace_of

if TYPE_CHECKING:
    from sandbox.cluster.api_server.callers import Caller
    from sandbox.cluster.api_server.resources import Resource


@dataclass(frozen=True)
class Write:
    """One write that took effect; `obj` is the object after it, or its last state for a
    deletion."""

    number: int
    time: float  # epoch seconds
    verb: str  # create, update, patch, apply, delete
    resource: str  # e.g. deployments.apps
    subresource: str
    namespace: str
    name: str
    user: str
    agent: str
    manager: str
    obj: Json

    def body(self) -> Json:
        return {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "obj"
        } | {"object": self.obj}


class History:
    """Bounded; the oldest writes are dropped first."""

    def __init__(self, clock: Callable[[], float], length: int = 50_000) -> None:
        self._clock = clock
        self._writes: deque[Write] = deque(maxlen=length)
        self._count = 0

    def record(
        self,
        verb: str,
        resource: Resource,
        subresource: str,
        caller: Caller,
        manager: str,
        obj: Json,
    ) -> None:
        self._count += 1
        self._writes.append(
            Write(
                self._count,
                self._clock(),
                verb,
                resource.qualified,
                subresource,
                namespace_of(obj),
                name_of(obj),
                caller.user,
                caller.agent,
                manager,
                obj,
            )
        )

    def since(self, number: int = 0) -> list[Write]:
        return [write for write in self._writes if write.number > number]

    def clear(self) -> None:
        self._writes.clear()
