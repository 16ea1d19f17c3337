"""Reads and writes of objects: the API server's work between a decoded request and its store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.cluster.api_server import failures, managed_fields, strategies
from sandbox.cluster.api_server.apply_conflicts import apply_conflict
from sandbox.cluster.api_server.bodies import adopt_name, adopt_namespace, decoded
from sandbox.cluster.api_server.callers import (
    CONTROLLER_MANAGER,
    Caller,
    DeleteOptions,
    WriteOptions,
)
from sandbox.cluster.api_server.defaults import fill_defaults
from sandbox.cluster.api_server.deletion import (
    check_preconditions,
    finalizers_for,
    grace_of,
    marked_for_deletion,
    may_go,
)
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.history import History
from sandbox.cluster.api_server.managed_fields import ApplyConflicts, ManagerKey
from sandbox.cluster.api_server.resources import NAMESPACES, Resource, ResourceTable
from sandbox.cluster.api_server.schemas import SchemaType
from sandbox.cluster.api_server.store import Store
from sandbox.cluster.api_server.validation import validate
from sandbox.cluster.objects import (
    Json,
    copy_json,
    is_terminating,
    name_of,
    namespace_of,
    new_uid,
    random_suffix,
    timestamp,
    uid_of,
)

AdmissionCheck = Callable[[Resource, Json, Json | None, Caller], None]

_UNTRACKED = frozenset({("", "events"), ("discovery.k8s.io", "endpointslices"), ("", "pods")})


class Registry:
    """All objects of the cluster. Every method runs on the server's one event loop."""

    def __init__(
        self, store: Store, table: ResourceTable, history: History, clock: Callable[[], float]
    ) -> None:
        self.store = store
        self.table = table
        self.history = history
        self.clock = clock
        self.addresses = strategies.Addresses()
        self.admission: list[AdmissionCheck] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        obj = self.store.get(resource, namespace, name)
        if obj is None:
            raise failures.not_found(resource, name)
        return obj

    def create(
        self, resource: Resource, namespace: str, obj: Json, caller: Caller, options: WriteOptions
    ) -> Json:
        obj = decoded(resource, obj, options)
        metadata = obj.setdefault("metadata", {})
        adopt_namespace(resource, metadata, namespace)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + random_suffix()
        if metadata.get("resourceVersion"):
            raise ApiFailure(500, "", "resourceVersion should not be set on objects to be created")
        self._require_live_namespace(resource, namespace, metadata.get("name", ""))
        metadata.update(uid=new_uid(), creationTimestamp=timestamp(self.clock()))
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(field, None)
        fill_defaults(obj)
        schema = resource.schema()
        metadata.pop("managedFields", None)
        if schema is not None and self._tracks(resource, caller):
            manager = ManagerKey(
                options.field_manager or caller.default_manager, "Update", "", resource.api_version
            )
            empty = managed_fields.empty_object(resource.api_version, resource.kind)
            owns_status = not strategies.keeps_status(resource)
            now = timestamp(self.clock())
            managed_fields.record_update(empty, obj, schema, manager, now, owns_status=owns_status)
        strategies.prepare_create(resource, obj, self.addresses)
        return self._store_new(resource, obj, caller, options)

    def _store_new(
        self, resource: Resource, obj: Json, caller: Caller, options: WriteOptions
    ) -> Json:
        namespace, name = namespace_of(obj), obj["metadata"].get("name", "")
        self._admit(resource, obj, None, caller)
        if self.store.get(resource, namespace, name) is not None:
            raise failures.already_exists(resource, name)
        if options.dry_run:
            return obj
        stored = self.store.put(resource, obj)
        self._remember("create", resource, "", caller, options, stored)
        return stored

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Json,
        caller: Caller,
        options: WriteOptions,
        subresource: str = "",
        verb: str = "update",
    ) -> Json:
        obj = decoded(resource, obj, options)
        metadata = obj.setdefault("metadata", {})
        adopt_name(metadata, name, metadata.get("name", name))
        adopt_namespace(resource, metadata, namespace)
        before = self.store.get(resource, namespace, name)
        if before is None:
            raise failures.not_found(resource, name)
        return self._replace(resource, before, obj, caller, options, subresource, verb)

    def _replace(
        self,
        resource: Resource,
        before: Json,
        obj: Json,
        caller: Caller,
        options: WriteOptions,
        subresource: str,
        verb: str,
        applied: managed_fields.Applied | None = None,
    ) -> Json:
        _check_versions(resource, before, obj, verb)
        strategies.check_immutable_metadata(resource, obj, before)
        obj["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        if subresource == "status":
            obj = strategies.prepare_status(resource, obj, before)
        else:
            fill_defaults(obj)
        if applied is not None:
            obj["metadata"]["managedFields"] = applied.managed
        else:
            self._record_fields(resource, before, obj, caller, options, subresource)
        if subresource != "status":
            strategies.prepare_update(resource, obj, before, self.addresses)
        self._admit(resource, obj, before, caller)
        if options.dry_run:
            return obj
        if obj == before:
            return before
        stored = self.store.put(resource, obj)
        if _ends_now(resource, obj):
            stored = self.store.remove(resource, namespace_of(obj), name_of(before))
        self._remember(verb, resource, subresource, caller, options, stored)
        return stored

    def _record_fields(
        self,
        resource: Resource,
        before: Json,
        obj: Json,
        caller: Caller,
        options: WriteOptions,
        subresource: str,
    ) -> None:
        """Updates the owners of fields after an update, for kinds that track them."""
        kept = before["metadata"].get("managedFields")
        schema = resource.schema()
        if schema is None or not self._tracks(resource, caller):
            if kept is not None:
                obj["metadata"]["managedFields"] = kept
            return
        if "managedFields" not in obj["metadata"] and kept is not None:
            obj["metadata"]["managedFields"] = kept
        manager = options.field_manager or caller.default_manager
        key = ManagerKey(manager, "Update", subresource, resource.api_version)
        owns_status = subresource == "status" or not strategies.keeps_status(resource)
        now = timestamp(self.clock())
        managed_fields.record_update(before, obj, schema, key, now, owns_status=owns_status)
        if subresource == "scale" and obj["spec"].get("replicas") == 0:
            # A Scale of 0 is encoded without its replicas, so nobody owns them.
            managed_fields.release_everywhere(obj, ("f:spec", "f:replicas"))

    def _admit(self, resource: Resource, obj: Json, before: Json | None, caller: Caller) -> None:
        causes = validate(resource, obj, before)
        if causes:
            raise failures.invalid(resource, obj["metadata"].get("name", ""), causes)
        for check in self.admission:
            check(resource, obj, before, caller)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        config: Json,
        caller: Caller,
        options: WriteOptions,
        subresource: str = "",
    ) -> tuple[Json, bool]:
        """Server-side apply; the flag says whether the object was created."""
        schema = _schema_to_apply(resource, config, options)
        decoded(resource, config, options, apply=True)
        config = {"apiVersion": resource.api_version, "kind": resource.kind, **copy_json(config)}
        metadata = config.setdefault("metadata", {})
        adopt_name(metadata, name, metadata.get("name") or name)
        adopt_namespace(resource, metadata, namespace)
        before = self.store.get(resource, namespace, name)
        now = timestamp(self.clock())
        key = ManagerKey(options.field_manager, "Apply", subresource, resource.api_version)
        if before is None:
            if subresource:
                raise failures.not_found(resource, name)
            made = self._create_applied(resource, namespace, config, schema, key, caller, options)
            return made, True
        _check_version(resource, before, metadata.pop("resourceVersion", None))
        applied = self._applied(resource, before, config, schema, key, now, options)
        merged = decoded(resource, copy_json(applied.merged), options)
        stored = self._replace(
            resource, before, merged, caller, options, subresource, "apply", applied
        )
        return stored, False

    def _applied(
        self,
        resource: Resource,
        live: Json,
        config: Json,
        schema: SchemaType,
        key: ManagerKey,
        now: str,
        options: WriteOptions,
    ) -> managed_fields.Applied:
        owns_status = key.subresource == "status" or not strategies.keeps_status(resource)
        try:
            return managed_fields.apply_configuration(
                live, config, schema, key, now, force=options.force, owns_status=owns_status
            )
        except ApplyConflicts as found:
            raise apply_conflict(found) from None

    def _create_applied(
        self,
        resource: Resource,
        namespace: str,
        config: Json,
        schema: SchemaType,
        key: ManagerKey,
        caller: Caller,
        options: WriteOptions,
    ) -> Json:
        self._require_live_namespace(resource, namespace, name_of(config))
        if config["metadata"].get("uid"):
            raise failures.conflict(
                resource,
                name_of(config),
                f"uid mismatch: the provided object specified uid {config['metadata']['uid']},"
                " and no existing object was found",
            )
        now = timestamp(self.clock())
        empty = managed_fields.empty_object(resource.api_version, resource.kind)
        applied = self._applied(resource, empty, config, schema, key, now, options)
        obj = decoded(resource, copy_json(applied.merged), options)
        obj["metadata"].update(uid=new_uid(), creationTimestamp=now)
        fill_defaults(obj)
        obj["metadata"]["managedFields"] = applied.managed
        strategies.prepare_create(resource, obj, self.addresses)
        return self._store_new(resource, obj, caller, options)

    def delete(
        self, resource: Resource, namespace: str, name: str, caller: Caller, options: DeleteOptions
    ) -> tuple[Json, bool]:
        """The object, and whether it is gone already (otherwise its deletion has begun)."""
        before = self.get(resource, namespace, name)
        check_preconditions(resource, before, options)
        if resource.key == NAMESPACES.key:
            return self._begin_namespace_deletion(before, caller, options)
        finalizers = finalizers_for(before, options)
        grace = grace_of(resource, before, options)
        write = WriteOptions(dry_run=options.dry_run)
        if not finalizers and grace == 0:
            if options.dry_run:
                return before, True
            gone = self.store.remove(resource, namespace, name)
            self._remember("delete", resource, "", caller, write, gone)
            return gone, True
        obj = marked_for_deletion(before, finalizers, grace, self.clock())
        if obj == before or options.dry_run:
            return obj, False
        stored = self.store.put(resource, obj)
        self._remember("delete", resource, "", caller, write, stored)
        return stored, False

    def _begin_namespace_deletion(
        self, before: Json, caller: Caller, options: DeleteOptions
    ) -> tuple[Json, bool]:
        if is_terminating(before) or options.dry_run:
            return before, False
        metadata = {**before["metadata"], "deletionTimestamp": timestamp(self.clock())}
        stored = self.store.put(
            NAMESPACES, {**before, "metadata": metadata, "status": {"phase": "Terminating"}}
        )
        self._remember("delete", NAMESPACES, "", caller, WriteOptions(), stored)
        return stored, False

    def write_directly(
        self, resource: Resource, obj: Json, caller: Caller, verb: str = "update"
    ) -> Json:
        """A controller's write of an object it has just copied: no decoding, no validation."""
        before = self.store.get(resource, namespace_of(obj), name_of(obj))
        if before == obj:
            return obj
        stored = self.store.put(resource, obj)
        self._remember(verb, resource, "", caller, WriteOptions(), stored)
        return stored

    def create_directly(self, resource: Resource, obj: Json, caller: Caller) -> Json:
        """A controller's creation of an object with complete defaults."""
        metadata = obj["metadata"]
        if "name" not in metadata:
            metadata["name"] = metadata["generateName"] + random_suffix()
        metadata.update(uid=new_uid(), creationTimestamp=timestamp(self.clock()))
        strategies.prepare_create(resource, obj, self.addresses)
        for check in self.admission:
            check(resource, obj, None, caller)
        stored = self.store.put(resource, obj)
        self._remember("create", resource, "", caller, WriteOptions(), stored)
        return stored

    def _require_live_namespace(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get(NAMESPACES, "", namespace)
        if found is None:
            raise failures.not_found(NAMESPACES, namespace)
        if is_terminating(found):
            why = (
                f"unable to create new content in namespace {namespace} because it is being"
                " terminated"
            )
            failure = failures.forbidden(resource, name, why)
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            failure.details = {**(failure.details or {}), "causes": [cause]}
            raise failure

    def _tracks(self, resource: Resource, caller: Caller) -> bool:
        """Whether managedFields are kept; not for objects that controllers write by the
        thousand."""
        return resource.key not in _UNTRACKED or caller.user not in _CONTROLLERS

    def _remember(
        self,
        verb: str,
        resource: Resource,
        subresource: str,
        caller: Caller,
        options: WriteOptions,
        obj: Json,
    ) -> None:
        manager = options.field_manager or caller.default_manager
        self.history.record(verb, resource, subresource, caller, manager, obj)


def _check_versions(resource: Resource, before: Json, obj: Json, verb: str) -> None:
    metadata, uid = obj["metadata"], uid_of(before)
    _check_version(resource, before, metadata.get("resourceVersion"))
    if metadata.get("uid") and metadata["uid"] != uid and verb == "update":
        why = (
            f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta:"
            f" {uid}"
        )
        raise failures.conflict(resource, name_of(before), why)


def _check_version(resource: Resource, before: Json, sent: str | None) -> None:
    if sent and sent != before["metadata"]["resourceVersion"]:
        raise failures.conflict(resource, name_of(before), failures.MODIFIED)


def _ends_now(resource: Resource, obj: Json) -> bool:
    """Whether this write removed the last obstacle to a deletion."""
    return is_terminating(obj) and not obj["metadata"].get("finalizers") and may_go(resource, obj)


def _schema_to_apply(resource: Resource, config: Json, options: WriteOptions) -> SchemaType:
    schema = resource.schema()
    if schema is None:
        raise failures.bad_request(f"{resource.kind} cannot be applied")
    if not options.field_manager:
        cause = failures.required("fieldManager", "is required for apply patch")
        raise failures.invalid_options("PatchOptions", cause)
    if (config.get("metadata") or {}).get("managedFields"):
        raise failures.bad_request("metadata.managedFields must be nil")
    return schema


_CONTROLLERS = frozenset({CONTROLLER_MANAGER.user, "system:node", "system:kube-scheduler"})


def as_list_item(resource: Resource, obj: Any) -> Json:
    """Items of typed lists have neither kind nor apiVersion; those of custom resources have
    both."""
    if resource.is_custom:
        return dict(obj)
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
