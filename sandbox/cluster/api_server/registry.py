"""Reads and writes of objects: what the API server does between a decoded request and its store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.cluster.api_server import failures, managed_fields, strategies
from sandbox.cluster.api_server.callers import (
    CONTROLLER_MANAGER,
    Caller,
    DeleteOptions,
    WriteOptions,
)
from sandbox.cluster.api_server.decoding import Decoder, DecodingError
from sandbox.cluster.api_server.defaults import fill_defaults
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.history import History
from sandbox.cluster.api_server.managed_fields import ApplyConflicts, ManagerKey
from sandbox.cluster.api_server.resources import NAMESPACES, PODS, Resource, ResourceTable
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

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
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
        obj = self._decoded(resource, obj, options)
        metadata = obj.setdefault("metadata", {})
        self._adopt_namespace(resource, metadata, namespace)
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
        causes = validate(resource, obj, None)
        if causes:
            raise failures.invalid(resource, name, causes)
        for check in self.admission:
            check(resource, obj, None, caller)
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
        obj = self._decoded(resource, obj, options)
        metadata = obj.setdefault("metadata", {})
        if metadata.get("name", name) != name:
            raise failures.bad_request(
                f"the name of the object ({metadata.get('name')}) does not match the name on the"
                f" URL ({name})"
            )
        metadata["name"] = name
        self._adopt_namespace(resource, metadata, namespace)
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
        name = name_of(before)
        metadata = obj["metadata"]
        sent_version = metadata.get("resourceVersion")
        if sent_version and sent_version != before["metadata"]["resourceVersion"]:
            raise failures.conflict(resource, name, failures.MODIFIED)
        if metadata.get("uid") and metadata["uid"] != uid_of(before) and verb == "update":
            why = (
                f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta:"
                f" {uid_of(before)}"
            )
            raise failures.conflict(resource, name, why)
        strategies.check_immutable_metadata(resource, obj, before)
        metadata["resourceVersion"] = before["metadata"]["resourceVersion"]
        if subresource == "status":
            obj = strategies.prepare_status(resource, obj, before)
        else:
            fill_defaults(obj)
        schema = resource.schema()
        if applied is not None:
            obj["metadata"]["managedFields"] = applied.managed
        elif schema is not None and self._tracks(resource, caller):
            if "managedFields" not in obj["metadata"] and "managedFields" in before["metadata"]:
                obj["metadata"]["managedFields"] = before["metadata"]["managedFields"]
            manager = options.field_manager or caller.default_manager
            key = ManagerKey(manager, "Update", subresource, resource.api_version)
            owns_status = subresource == "status" or not strategies.keeps_status(resource)
            now = timestamp(self.clock())
            managed_fields.record_update(before, obj, schema, key, now, owns_status=owns_status)
            if subresource == "scale" and obj["spec"].get("replicas") == 0:
                # A Scale of 0 leaves its replicas out when it is encoded, and so nobody owns them.
                managed_fields.release_everywhere(obj, ("f:spec", "f:replicas"))
        elif "managedFields" in before["metadata"]:
            obj["metadata"]["managedFields"] = before["metadata"]["managedFields"]
        if subresource != "status":
            strategies.prepare_update(resource, obj, before, self.addresses)
        causes = validate(resource, obj, before)
        if causes:
            raise failures.invalid(resource, name, causes)
        for check in self.admission:
            check(resource, obj, before, caller)
        if options.dry_run:
            return obj
        if obj == before:
            return before
        if (
            is_terminating(obj)
            and not obj["metadata"].get("finalizers")
            and self._may_go(resource, obj)
        ):
            self.store.put(resource, obj)
            gone = self.store.remove(resource, namespace_of(obj), name)
            self._remember(verb, resource, subresource, caller, options, gone)
            return gone
        stored = self.store.put(resource, obj)
        self._remember(verb, resource, subresource, caller, options, stored)
        return stored

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
        schema = resource.schema()
        if schema is None:
            raise failures.bad_request(f"{resource.kind} cannot be applied")
        if not options.field_manager:
            cause = failures.required("fieldManager", "is required for apply patch")
            raise failures.invalid_options("PatchOptions", cause)
        if (config.get("metadata") or {}).get("managedFields"):
            raise failures.bad_request("metadata.managedFields must be nil")
        self._decoded(resource, config, options, apply=True)
        config = {"apiVersion": resource.api_version, "kind": resource.kind, **copy_json(config)}
        metadata = config.setdefault("metadata", {})
        metadata["name"] = metadata.get("name") or name
        if metadata["name"] != name:
            raise failures.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL"
                f" ({name})"
            )
        self._adopt_namespace(resource, metadata, namespace)
        before = self.store.get(resource, namespace, name)
        now = timestamp(self.clock())
        key = ManagerKey(options.field_manager, "Apply", subresource, resource.api_version)
        if before is None:
            if subresource:
                raise failures.not_found(resource, name)
            return (
                self._create_applied(resource, namespace, config, schema, key, caller, options),
                True,
            )
        sent_version = metadata.pop("resourceVersion", None)
        if sent_version and sent_version != before["metadata"]["resourceVersion"]:
            raise failures.conflict(resource, name, failures.MODIFIED)
        applied = self._applied(resource, before, config, schema, key, now, options)
        merged = self._decoded(resource, copy_json(applied.merged), options)
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
        obj = self._decoded(resource, copy_json(applied.merged), options)
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
        self._check_preconditions(resource, before, options)
        if resource.key == NAMESPACES.key:
            return self._begin_namespace_deletion(before, caller, options)
        finalizers = self._finalizers_for(before, options)
        grace = self._grace_of(resource, before, options)
        write = WriteOptions(dry_run=options.dry_run)
        if not finalizers and grace == 0:
            if options.dry_run:
                return before, True
            gone = self.store.remove(resource, namespace, name)
            self._remember("delete", resource, "", caller, write, gone)
            return gone, True
        metadata = {**before["metadata"]}
        if finalizers:
            metadata["finalizers"] = finalizers
        else:
            metadata.pop("finalizers", None)
        if not is_terminating(before) or grace < metadata.get("deletionGracePeriodSeconds", 0):
            metadata["deletionTimestamp"] = timestamp(self.clock() + grace)
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata and not is_terminating(before):
                metadata["generation"] += 1
        obj = {**before, "metadata": metadata}
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

    def _check_preconditions(self, resource: Resource, obj: Json, options: DeleteOptions) -> None:
        metadata = obj["metadata"]
        if options.uid and options.uid != metadata["uid"]:
            raise failures.kind_conflict(
                resource,
                metadata["name"],
                f"the UID in the precondition ({options.uid}) does not match the UID in record"
                f" ({metadata['uid']}). The object might have been deleted and then recreated",
            )
        if options.resource_version and options.resource_version != metadata["resourceVersion"]:
            raise failures.kind_conflict(
                resource,
                metadata["name"],
                f"the ResourceVersion in the precondition ({options.resource_version}) does not"
                f" match the ResourceVersion in record ({metadata['resourceVersion']})."
                " The object might have been modified",
            )

    def _finalizers_for(self, obj: Json, options: DeleteOptions) -> list[str]:
        finalizers = [
            item
            for item in obj["metadata"].get("finalizers") or ()
            if item not in (FOREGROUND, ORPHAN)
        ]
        present = obj["metadata"].get("finalizers") or []
        match options.propagation:
            case "Foreground":
                finalizers.append(FOREGROUND)
            case "Orphan":
                finalizers.append(ORPHAN)
            case "":
                finalizers += [item for item in present if item in (FOREGROUND, ORPHAN)]
            case _:
                pass
        return finalizers

    def _grace_of(self, resource: Resource, obj: Json, options: DeleteOptions) -> int:
        if resource.key != PODS.key:
            return 0
        if not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in (
            "Succeeded",
            "Failed",
        ):
            return 0
        if options.grace_period is not None:
            return max(0, options.grace_period)
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30))

    def _may_go(self, resource: Resource, obj: Json) -> bool:
        """Whether an object under deletion, with no finalizer left, is waited for by nobody
        else."""
        if resource.key == NAMESPACES.key:
            return not obj["spec"].get("finalizers")
        return resource.key != PODS.key or obj["metadata"].get("deletionGracePeriodSeconds", 0) == 0

    def write_directly(
        self, resource: Resource, obj: Json, caller: Caller, verb: str = "update"
    ) -> Json:
        """A controller's write of an object it has just read and copied: no decoding, no
        validation."""
        before = self.store.get(resource, namespace_of(obj), name_of(obj))
        if before == obj:
            return obj
        stored = self.store.put(resource, obj)
        self._remember(verb, resource, "", caller, WriteOptions(), stored)
        return stored

    def create_directly(self, resource: Resource, obj: Json, caller: Caller) -> Json:
        """A controller's creation of an object whose defaults are complete."""
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

    def _decoded(
        self, resource: Resource, obj: Json, options: WriteOptions, *, apply: bool = False
    ) -> Json:
        if not isinstance(obj, dict):
            raise failures.bad_request("the body of the request is no object")
        found = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
        if found != (resource.api_version, resource.kind):
            raise failures.bad_request(
                f"the API version in the data ({found[0]}) does not match the expected API version"
                f" ({resource.api_version})"
                if found[0] != resource.api_version
                else (
                    f"{found[1]} in version {resource.version!r} cannot be handled as a"
                    f" {resource.kind}"
                )
            )
        schema = resource.schema()
        if schema is None:
            return {"apiVersion": resource.api_version, "kind": resource.kind, **copy_json(obj)}
        decoder = Decoder(resource.kind)
        try:
            decoded = decoder.decode(obj, schema)
        except DecodingError as error:
            raise failures.bad_request(str(error)) from None
        if decoder.unknown:
            if apply or options.validation == "Strict":
                self._refuse_unknown(resource, obj, decoder.unknown, apply=apply)
            elif options.validation == "Warn":
                options.warnings += [f'unknown field "{path}"' for path in decoder.unknown]
        decoded["apiVersion"], decoded["kind"] = resource.api_version, resource.kind
        return decoded

    def _refuse_unknown(
        self, resource: Resource, obj: Json, unknown: list[str], *, apply: bool
    ) -> None:
        if apply and not resource.is_custom:
            name = (obj.get("metadata") or {}).get("name", "")
            namespace = (obj.get("metadata") or {}).get("namespace", "")
            gvk = f"{resource.group}/{resource.version}, Kind={resource.kind}"
            shown = f"{namespace}/{name}; {gvk}"
            texts = "\n  ".join(f".{path}: field not declared in schema" for path in unknown)
            raise ApiFailure(500, "", f"failed to create typed patch object ({shown}): {texts}")
        texts = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise failures.bad_request(
            f'{resource.kind} in version "{resource.version}" cannot be handled as a'
            f" {resource.kind}: strict decoding error: {texts}"
        )

    def _adopt_namespace(self, resource: Resource, metadata: Json, namespace: str) -> None:
        if not resource.namespaced:
            metadata.pop("namespace", None)
            return
        if metadata.get("namespace", namespace) != namespace:
            raise failures.bad_request(
                "the namespace of the provided object does not match the namespace sent on the"
                " request"
            )
        metadata["namespace"] = namespace

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
        """Whether managedFields are kept; not for what controllers write thousands of."""
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


_CONTROLLERS = frozenset({CONTROLLER_MANAGER.user, "system:node", "system:kube-scheduler"})


def apply_conflict(found: ApplyConflicts) -> ApiFailure:
    """The 409 of server-side apply, naming each manager and field."""
    causes: list[Json] = []
    by_owner: dict[str, list[str]] = {}
    for conflict in found.conflicts:
        owner = managed_fields.owner_text(conflict.owner)
        path = managed_fields.path_text(conflict.path)
        causes.append(
            {"reason": "FieldManagerConflict", "message": f"conflict with {owner}", "field": path}
        )
        by_owner.setdefault(owner, []).append(path)
    if len(causes) == 1:
        owner, paths = next(iter(by_owner.items()))
        message = f"Apply failed with 1 conflict: conflict with {owner}: {paths[0]}"
    else:
        parts: list[str] = []
        for owner, paths in sorted(by_owner.items()):
            parts.append(f"conflicts with {owner}:")
            parts += [f"- {path}" for path in paths]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(parts)
    return ApiFailure(409, "Conflict", message, {"causes": causes})


def as_list_item(resource: Resource, obj: Any) -> Json:
    """Items of typed lists carry neither kind nor apiVersion; those of custom resources do."""
    if resource.is_custom:
        return dict(obj)
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}
