"""The garbage collector and the namespace controller: dependents of deleted owners, foreground and
orphaning deletion."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, DeleteOptions
from sandbox.cluster.api_server.deletion import FOREGROUND, ORPHAN
from sandbox.cluster.api_server.resources import NAMESPACES, PODS, Resource
from sandbox.cluster.api_server.store import ObjectKey
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import Json, copy_json, is_terminating, name_of, namespace_of, uid_of


class GarbageCollector:
    """Keys: the uid of an owner that is deleted or waits for its dependents."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("owner-gone", self.collect_children)
        view.queue.handle("owner-waits", self.help_owner)
        view.queue.handle("dangling", self.check_owners)

    def object_changed(self, resource: Resource, obj: Json) -> None:
        finalizers = obj["metadata"].get("finalizers") or ()
        if is_terminating(obj) and (FOREGROUND in finalizers or ORPHAN in finalizers):
            self._view.queue.add("owner-waits", uid_of(obj))
        if obj["metadata"].get("ownerReferences"):
            missing = [
                item["uid"]
                for item in obj["metadata"]["ownerReferences"]
                if self._view.store.by_uid(item["uid"]) is None
            ]
            if missing:
                self._view.queue.add("dangling", (resource.key, namespace_of(obj), name_of(obj)))

    def object_gone(self, obj: Json) -> None:
        if self._view.store.children(uid_of(obj)):
            self._view.queue.add("owner-gone", uid_of(obj))
        for reference in obj["metadata"].get("ownerReferences") or ():
            owner = self._view.store.by_uid(reference["uid"])
            if owner is not None and is_terminating(owner):
                self._view.queue.add("owner-waits", reference["uid"])

    def collect_children(self, uid: str) -> None:
        for key in self._view.store.children(uid):
            self.check_owners(key)

    def check_owners(self, key: ObjectKey) -> None:
        """Deletes an object without owners; references to missing owners are removed when another
        owner stays."""
        obj = self._view.store.at(key)
        if obj is None:
            return
        references = obj["metadata"].get("ownerReferences") or []
        alive = [item for item in references if self._view.store.by_uid(item["uid"]) is not None]
        if len(alive) == len(references):
            return
        resource = self._resource(obj)
        if alive:
            kept: Json = copy_json(obj)
            kept["metadata"]["ownerReferences"] = alive
            self._view.registry.write_directly(resource, kept, CONTROLLER_MANAGER, "patch")
            return
        if is_terminating(obj):
            return
        finalizers = obj["metadata"].get("finalizers") or ()
        policy = (
            "Orphan"
            if ORPHAN in finalizers
            else "Foreground"
            if FOREGROUND in finalizers
            else "Background"
        )
        self._delete(resource, obj, policy)

    def help_owner(self, uid: str) -> None:
        owner = self._view.store.by_uid(uid)
        if owner is None or not is_terminating(owner):
            return
        finalizers = owner["metadata"].get("finalizers") or ()
        if ORPHAN in finalizers:
            self._orphan_children(owner)
            self._remove_finalizer(owner, ORPHAN)
        elif FOREGROUND in finalizers:
            blocking = 0
            for key in self._view.store.children(uid):
                child = self._view.store.at(key)
                if child is None:
                    continue
                reference = next(
                    item for item in child["metadata"]["ownerReferences"] if item["uid"] == uid
                )
                blocking += bool(reference.get("blockOwnerDeletion"))
                if not is_terminating(child):
                    self._delete(
                        self._resource(child),
                        child,
                        "Foreground" if child["kind"] != "Pod" else "Background",
                    )
            remaining = [self._view.store.at(key) for key in self._view.store.children(uid)]
            if not any(item is not None for item in remaining) or not blocking:
                self._remove_finalizer(owner, FOREGROUND)

    def _orphan_children(self, owner: Json) -> None:
        for key in self._view.store.children(uid_of(owner)):
            child = self._view.store.at(key)
            if child is None:
                continue
            freed: Json = copy_json(child)
            kept = [
                item
                for item in freed["metadata"]["ownerReferences"]
                if item["uid"] != uid_of(owner)
            ]
            if kept:
                freed["metadata"]["ownerReferences"] = kept
            else:
                del freed["metadata"]["ownerReferences"]
            self._view.registry.write_directly(
                self._resource(child), freed, CONTROLLER_MANAGER, "patch"
            )

    def _remove_finalizer(self, owner: Json, finalizer: str) -> None:
        fresh = self._view.store.by_uid(uid_of(owner))
        if fresh is None:
            return
        changed: Json = copy_json(fresh)
        kept = [item for item in changed["metadata"].get("finalizers") or () if item != finalizer]
        if kept:
            changed["metadata"]["finalizers"] = kept
        else:
            changed["metadata"].pop("finalizers", None)
        self._view.write(self._resource(owner), changed, CONTROLLER_MANAGER)

    def _delete(self, resource: Resource, obj: Json, policy: str) -> None:
        self._view.registry.delete(
            resource,
            namespace_of(obj),
            name_of(obj),
            CONTROLLER_MANAGER,
            DeleteOptions(propagation=policy),
        )

    def _resource(self, obj: Json) -> Resource:
        resource = self._view.registry.table.of_object(obj)
        assert resource is not None, "stored objects are of served resources"
        return resource


class NamespaceController:
    """Empties a terminating namespace, then removes it. Key: its name."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        view.queue.handle("namespace", self.sync)

    def sync(self, name: str) -> None:
        namespace = self._view.store.get(NAMESPACES, "", name)
        if namespace is None or not is_terminating(namespace):
            return
        remaining = 0
        for resource in self._view.registry.table.all():
            if not resource.namespaced:
                continue
            for obj in self._view.store.list_all(resource, name):
                if not is_terminating(obj):
                    options = DeleteOptions(propagation="Background")
                    self._view.registry.delete(
                        resource, name, name_of(obj), CONTROLLER_MANAGER, options
                    )
            remaining += len(self._view.store.list_all(resource, name))
        if remaining:
            pods = self._view.store.list_all(PODS, name)
            self._view.queue.add_after("namespace", name, 0.05 if pods else 0.2)
            return
        finished: Json = copy_json(namespace)
        finished["spec"]["finalizers"] = []
        self._view.store.put(NAMESPACES, finished)
        self._view.store.remove(NAMESPACES, "", name)
