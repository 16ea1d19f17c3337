"""Shared by all controllers: the registry, the queue, the clock, and a way to record events."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.cluster.api_server.callers import Caller, WriteOptions
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.resources import EVENTS, NAMESPACES, Resource
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.controllers.work_queue import WorkQueue
from sandbox.cluster.objects import (
    Json,
    copy_json,
    is_terminating,
    name_of,
    namespace_of,
    timestamp,
    uid_of,
)


@dataclass(frozen=True)
class ClusterView:
    registry: Registry
    store: Store
    queue: WorkQueue
    clock: Callable[[], float]
    chance: random.Random

    def now(self) -> str:
        return timestamp(self.clock())

    def write_status(self, resource: Resource, obj: Json, caller: Caller) -> Json:
        """UpdateStatus of a copied object."""
        return self.registry.update(
            resource,
            namespace_of(obj),
            name_of(obj),
            obj,
            caller,
            WriteOptions(),
            subresource="status",
        )

    def write(self, resource: Resource, obj: Json, caller: Caller) -> Json:
        return self.registry.update(
            resource, namespace_of(obj), name_of(obj), obj, caller, WriteOptions()
        )

    def record(
        self, obj: Json, kind: str, reason: str, message: str, component: str, field_path: str = ""
    ) -> None:
        """Records an Event about an object; a repeated event only raises its count (client-go
        EventCorrelator)."""
        namespace = namespace_of(obj) or "default"
        home = self.store.get(NAMESPACES, "", namespace)
        if home is None or is_terminating(home):
            return
        now = self.now()
        key = f"{hash((uid_of(obj), reason, message, component)) & 0xFFFFFFFFFFFFFFFF:016x}"
        name = f"{name_of(obj)}.{key}"
        present = self.store.get(EVENTS, namespace, name)
        if present is not None:
            counted: Json = copy_json(present)
            counted["count"] = counted.get("count", 1) + 1
            counted["lastTimestamp"] = now
            self.registry.write_directly(EVENTS, counted, Caller(component, (), component), "patch")
            return
        target = {
            "kind": obj["kind"],
            "namespace": namespace_of(obj),
            "name": name_of(obj),
            "uid": uid_of(obj),
            "apiVersion": obj["apiVersion"],
            "resourceVersion": obj["metadata"].get("resourceVersion", ""),
        }
        if field_path:
            target["fieldPath"] = field_path
        event: Json = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {key: value for key, value in target.items() if value},
            "reason": reason,
            "message": message,
            "source": {"component": component},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": kind,
            "eventTime": None,
            "reportingComponent": component,
            "reportingInstance": "",
        }
        self.registry.create_directly(EVENTS, event, Caller(component, (), component))
