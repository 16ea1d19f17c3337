"""The state of the cluster: objects in memory, one counter of resource versions, a bounded log of
changes for watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson

from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.objects import Json, name_of, namespace_of, uid_of

ResourceKey = tuple[str, str]
ObjectKey = tuple[ResourceKey, str, str]  # resource, namespace, name


@dataclass
class Change:
    """One write: `before` is None for a creation; for a deletion `after` is the last state, with
    its new version."""

    version: int
    kind: str  # ADDED, MODIFIED, DELETED
    resource: Resource
    after: Json
    before: Json | None
    _raw: bytes | None = field(default=None, repr=False)

    @property
    def raw(self) -> bytes:
        """The object as bytes, encoded once for all watchers."""
        if self._raw is None:
            self._raw = orjson.dumps(self.after)
        return self._raw


class Store:
    """Objects by resource, namespace and name. Objects in it are never changed in place."""

    def __init__(self, log_length: int = 20_000) -> None:
        self.version = 100
        self._objects: dict[ResourceKey, dict[str, dict[str, Json]]] = {}
        self._log: deque[Change] = deque(maxlen=log_length)
        self._compacted = self.version  # changes up to this version are no longer in the log
        self._children: dict[str, set[ObjectKey]] = {}
        self._uids: dict[str, ObjectKey] = {}
        self.listeners: list[Callable[[Change], None]] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self._objects.get(resource.key, {}).get(namespace, {}).get(name)

    def list_all(self, resource: Resource, namespace: str | None = None) -> list[Json]:
        """Objects in the order of an API server: by namespace and name."""
        found = self._objects.get(resource.key, {})
        if namespace:
            return [obj for _, obj in sorted(found.get(namespace, {}).items())]
        return [obj for _, objects in sorted(found.items()) for _, obj in sorted(objects.items())]

    def iterate(self, resource: Resource, namespace: str) -> Iterator[Json]:
        """The objects of one namespace in no order; the store must not change during the
        iteration."""
        return iter(self._objects.get(resource.key, {}).get(namespace, {}).values())

    def children(self, uid: str) -> list[ObjectKey]:
        """Objects with an ownerReference to this uid."""
        return sorted(self._children.get(uid, ()))

    def by_uid(self, uid: str) -> Json | None:
        key = self._uids.get(uid)
        return None if key is None else self.at(key)

    def at(self, key: ObjectKey) -> Json | None:
        resource, namespace, name = key
        return self._objects.get(resource, {}).get(namespace, {}).get(name)

    def put(self, resource: Resource, obj: Json) -> Json:
        """Stores an object under a new resource version and notifies the listeners."""
        namespace, name = namespace_of(obj), name_of(obj)
        before = self.get(resource, namespace, name)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._objects.setdefault(resource.key, {}).setdefault(namespace, {})[name] = obj
        key = (resource.key, namespace, name)
        if before is None:
            self._uids[uid_of(obj)] = key
        self._index_owners(key, before, obj)
        self._announce(
            Change(self.version, "MODIFIED" if before else "ADDED", resource, obj, before)
        )
        return obj

    def remove(self, resource: Resource, namespace: str, name: str) -> Json:
        before = self._objects[resource.key][namespace].pop(name)
        self.version += 1
        after = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        key = (resource.key, namespace, name)
        self._uids.pop(uid_of(before), None)
        self._index_owners(key, before, None)
        self._announce(Change(self.version, "DELETED", resource, after, before))
        return after

    def changes_since(self, version: int) -> Iterator[Change] | None:
        """The changes after a version, or None when the log no longer reaches back that far."""
        if version < self._compacted:
            return None
        return (change for change in list(self._log) if change.version > version)

    @property
    def oldest_version(self) -> int:
        return self._compacted

    def compact(self) -> None:
        """Clears the log, so that every watch from an older version gets 410."""
        self._log.clear()
        self._compacted = self.version

    def _announce(self, change: Change) -> None:
        if len(self._log) == self._log.maxlen:
            self._compacted = self._log[0].version
        self._log.append(change)
        for listener in self.listeners:
            listener(change)

    def _index_owners(self, key: ObjectKey, before: Json | None, after: Json | None) -> None:
        old = {
            item["uid"] for item in (before or {}).get("metadata", {}).get("ownerReferences") or ()
        }
        new = {
            item["uid"] for item in (after or {}).get("metadata", {}).get("ownerReferences") or ()
        }
        for uid in old - new:
            siblings = self._children.get(uid)
            if siblings is not None:
                siblings.discard(key)
                if not siblings:
                    del self._children[uid]
        for uid in new - old:
            self._children.setdefault(uid, set()).add(key)
