"""Manifests into the cluster by server-side apply, after a dry run in which the server itself
reports the changes.

Never forced against others: only our own two field managers give way to each other. Each write is
bound to the version that was read, and compared again after a conflict. On the app's
Deployment the live image and replicas are filled in before anything is sent, since releases and
scaling own them and since a field that an applier leaves out is removed; whatever else changes in
its pod template is handed back for a release to roll. So are the selector's values of a Service
that a release switched. Objects are of the app's namespace or of the whole cluster (Namespace first
of all); a refusal by RBAC names the permission that the bot's service account lacks.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml

from bot.cluster import errors
from bot.cluster.connect import APPLY_PATCH, Connection
from bot.cluster.discovery import Resource, resources_of, served_versions
from bot.cluster.managed_fields import Path, entries, leaves, remove_at
from bot.policy.concealment import concealed_pair
from bot.policy.manifests import brought_by
from bot.ports import Applied, ClusterUnreachable, ObjectChange, PreconditionFailed, Refused
from bot.releases.facts.target import Target

FIELD_MANAGER = "pilothouse-apply"
WRITE_ATTEMPTS = 3
_OURS = ("pilothouse", FIELD_MANAGER)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_RESTARTED = ("f:metadata", "f:annotations", "f:kubectl.kubernetes.io/restartedAt")
# An object comes before those that refer to it (helm: InstallOrder, shortened).
_FIRST = (
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Role",
    "RoleBinding",
    "Service",
)
_LAST = ("Deployment", "HorizontalPodAutoscaler", "Ingress")
_CONTEXT_LINES = 1
_CONCEALED = ("data", "stringData")  # of a Secret


@dataclass(frozen=True)
class _Manifest:
    source: Mapping[str, Any]  # as the files have it
    resource: Resource
    body: dict[str, Any]
    live: Any | None
    is_target: bool
    waits_for_namespace: bool = False  # which the same manifests create

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])


def plan_manifests(
    connection: Connection, target: Target, manifests: Sequence[Mapping[str, Any]]
) -> tuple[ObjectChange, ...]:
    """What would change. Raises Refused for what the server will not take, ClusterUnreachable."""
    return _planned(connection, target, _prepared(connection, target, manifests))


def apply_manifests(
    connection: Connection,
    target: Target,
    manifests: Sequence[Mapping[str, Any]],
    *,
    skip_template_of: str,
    may_write: Callable[[ObjectChange], bool],
) -> Applied:
    """Plan all; then, if no other manager's field is in the way, apply one after another."""
    target = replace(target, deployment=skip_template_of)
    prepared = _prepared(connection, target, manifests)
    planned = _planned(connection, target, prepared)
    _refuse_conflicts(planned)
    run = _Run(connection, target, may_write)
    if not _makes_namespace(target, prepared):
        return run.write_all(prepared, planned)
    made = run.write_all(prepared[:1], planned[:1])
    if not made.changes:
        return replace(made, left=planned)
    # Only now can the server check what goes into the namespace; none of it is written before
    # the server accepts all of it.
    try:
        later = [replace(one, waits_for_namespace=False) for one in prepared[1:]]
        rest = _planned(connection, target, later)
        _refuse_conflicts(rest)
    except (ClusterUnreachable, Refused) as why:
        return Applied(made.changes, planned[1:], why)
    done = run.write_all(later, rest)
    return replace(done, changes=(*made.changes, *done.changes))


@dataclass(frozen=True)
class _Run:
    """The writes of one `apply_manifests`."""

    connection: Connection
    target: Target
    may_write: Callable[[ObjectChange], bool]

    def write_all(
        self, prepared: Sequence[_Manifest], planned: tuple[ObjectChange, ...]
    ) -> Applied:
        done: list[ObjectChange] = []
        for manifest, change in zip(prepared, planned, strict=True):
            try:
                written = self._write(manifest, change)
            except (ClusterUnreachable, Refused) as why:
                return Applied(tuple(done), planned[len(done) :], why)
            if written is None:
                return Applied(tuple(done), planned[len(done) :])
            done.append(written)
        return Applied(tuple(done))

    def _write(self, manifest: _Manifest, change: ObjectChange) -> ObjectChange | None:
        """None where the caller stops it."""
        live = manifest.live
        if change.does == "unchanged" and live is not None and _applied_before(live):
            return change  # nothing to write, so no version moves
        for _ in range(WRITE_ATTEMPTS):
            if not self.may_write(change):
                return None
            try:
                _send(self.connection, manifest, _as_written(manifest), dry_run=False)
            except PreconditionFailed:
                manifest = _prepare(
                    self.connection, self.target, manifest.source, manifest.resource
                )
                change = _plan(self.connection, self.target, manifest)
                _refuse_conflicts((change,))
            except errors.FieldConflicts as late:
                raise Refused(
                    f"another manager took a field meanwhile: {'; '.join(late.lines(_OURS))}"
                ) from late
            else:
                return change
        # A Deployment that is being scaled has a new version with each pod.
        raise ClusterUnreachable(f"{manifest.kind} {manifest.name} keeps changing")


def _as_written(manifest: _Manifest) -> dict[str, Any]:
    """Bound to the version that was read: a write never meets what nobody compared."""
    body, live = copy.deepcopy(manifest.body), manifest.live
    if live is not None:
        body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        if manifest.is_target:
            body["spec"]["template"] = live["spec"]["template"]
    return body


def _planned(
    connection: Connection, target: Target, prepared: Sequence[_Manifest]
) -> tuple[ObjectChange, ...]:
    reads = [connection.start(_plan, connection, target, one) for one in prepared]
    return tuple(read.result() for read in reads)


def _refuse_conflicts(planned: Sequence[ObjectChange]) -> None:
    conflicts = [f"{one.kind} {one.name}: {line}" for one in planned for line in one.conflicts]
    if conflicts:
        raise Refused(
            "nothing was applied: other managers own fields that the manifests set:"
            f" {'; '.join(conflicts)}"
        )


def _applied_before(live: Mapping[str, Any]) -> bool:
    return any(
        one.get("manager") == FIELD_MANAGER for one in live["metadata"].get("managedFields") or ()
    )


# --- one manifest ---------------------------------------------------------------------------------


def _prepared(
    connection: Connection, target: Target, manifests: Sequence[Mapping[str, Any]]
) -> list[_Manifest]:
    versions = {one["apiVersion"] for one in manifests} & served_versions(connection)
    asked = {
        version: connection.start(resources_of, connection, version) for version in sorted(versions)
    }
    served = {version: answer.result() for version, answer in asked.items()}
    prepared = [
        _prepare(connection, target, one, _resource(target, one, served.get(one["apiVersion"], ())))
        for one in manifests
    ]
    seen: set[tuple[str, str]] = set()
    for one in prepared:
        if (one.kind, one.name) in seen:
            raise Refused(f"{one.kind} {one.name} is in the manifests twice")
        seen.add((one.kind, one.name))
    prepared.sort(key=lambda one: (not _is_namespace(target, one), _rank(one.kind)))
    if _makes_namespace(target, prepared):
        prepared = [replace(one, waits_for_namespace=one.resource.namespaced) for one in prepared]
    return prepared


def _is_namespace(target: Target, manifest: _Manifest) -> bool:
    return (
        manifest.resource.group == ""
        and manifest.kind == "Namespace"
        and manifest.name == target.namespace
    )


def _makes_namespace(target: Target, prepared: Sequence[_Manifest]) -> bool:
    return bool(prepared) and _is_namespace(target, prepared[0]) and prepared[0].live is None


def _rank(kind: str) -> int:
    if kind in _FIRST:
        return _FIRST.index(kind)
    return len(_FIRST) + (1 + _LAST.index(kind) if kind in _LAST else 0)


def _resource(target: Target, manifest: Mapping[str, Any], served: Sequence[Resource]) -> Resource:
    resource = next((one for one in served if one.kind == manifest["kind"]), None)
    if resource is None:
        raise Refused(
            f"the cluster {target.cluster} does not serve {manifest['kind']} of"
            f" {manifest['apiVersion']}"
        )
    return resource


def _prepare(
    connection: Connection, target: Target, manifest: Mapping[str, Any], resource: Resource
) -> _Manifest:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    body = copy.deepcopy(dict(manifest))
    body.pop("status", None)
    for key in ("managedFields", "resourceVersion", "uid"):
        body["metadata"].pop(key, None)
    namespace = body["metadata"].get("namespace")
    if not resource.namespaced:
        if namespace:
            raise Refused(
                f"{kind} {name} belongs to the whole cluster: remove `namespace: {namespace}` from"
                " its manifest"
            )
    else:
        if namespace not in (None, target.namespace):
            raise Refused(
                f"{kind} {name} is for namespace {namespace}; {target.app} lives in"
                f" {target.namespace}"
            )
        body["metadata"]["namespace"] = target.namespace
    live = _read(connection, resource, target.namespace, kind, name)
    is_target = kind == "Deployment" and resource.group == "apps" and name == target.deployment
    if is_target and live is not None:
        _fill_in(body, live, target)
    if kind == "Service" and live is not None and name in target.services:
        _keep_switch(body, live)
    return _Manifest(manifest, resource, body, live, is_target)


def _read(
    connection: Connection, resource: Resource, namespace: str, kind: str, name: str
) -> Any | None:
    try:
        return connection.get(resource.path(namespace, name))
    except errors.NotThere:
        return None
    except Refused as refused:
        raise Refused(
            f"{kind} {name}:"
            f" {_permission(resource, refused) or f'it cannot be compared: {refused}'}"
        ) from refused


def _permission(resource: Resource, refused: Refused) -> str:
    """What to grant, where RBAC is why; "" for any other refusal."""
    missing = errors.missing_permission(str(refused))
    if not missing:
        return ""
    rules = "rbac.extraRules" if resource.namespaced else "rbac.extraClusterRules"
    name = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    return (
        f"{missing}; its service account needs get, create and patch of {name} (the chart's"
        f" `{rules}`)"
    )


def _fill_in(body: dict[str, Any], live: Mapping[str, Any], target: Target) -> None:
    """The live replicas, the live image of the app's container, and the label that follows the
    image."""
    spec, live_spec = body.setdefault("spec", {}), live["spec"]
    spec["replicas"] = live_spec.get("replicas", 1)
    template = spec.setdefault("template", copy.deepcopy(live_spec["template"]))
    images = {one["name"]: one.get("image") for one in live_spec["template"]["spec"]["containers"]}
    for container in (template.get("spec") or {}).get("containers") or ():
        name = container.get("name")
        if name in images and (target.container is None or name == target.container):
            container["image"] = images[name]
    label = target.version_label
    live_labels = (live_spec["template"].get("metadata") or {}).get("labels") or {}
    if label is not None and label in live_labels:
        template.setdefault("metadata", {}).setdefault("labels", {})[label] = live_labels[label]


def _keep_switch(body: dict[str, Any], live: Mapping[str, Any]) -> None:
    """The live values of a selector that a release switched: the manifest's own would send traffic
    back, or to no pod at all."""
    wanted, now = body.get("spec", {}).get("selector") or {}, live["spec"].get("selector") or {}
    switched = any(
        path[:2] == ("f:spec", "f:selector")
        for entry in entries(live)
        if entry.get("manager") == "pilothouse" and entry.get("operation") == "Update"
        for path in leaves(entry.get("fieldsV1") or {})
    )
    if switched and wanted:
        body["spec"]["selector"] = {key: now.get(key, value) for key, value in wanted.items()}


def _plan(connection: Connection, target: Target, manifest: _Manifest) -> ObjectChange:
    def change(
        does: Literal["create", "update", "unchanged", "conflict"],
        lines: tuple[str, ...] = (),
        conflicts: tuple[str, ...] = (),
        template: Any = None,
        result: Mapping[str, Any] | None = None,
    ) -> ObjectChange:
        namespace = target.namespace if manifest.resource.namespaced else ""
        concealed = (
            (_values(manifest.live or {}), _values(result or manifest.body))
            if manifest.kind == "Secret"
            else None
        )
        # A new object counts as it is written, without what admission adds for its own reasons.
        after = manifest.body if manifest.live is None else result or manifest.body
        brought = brought_by(manifest.live, after)
        return ObjectChange(
            manifest.kind,
            manifest.name,
            namespace,
            does,
            lines,
            conflicts,
            template,
            concealed,
            brought,
        )

    if manifest.waits_for_namespace:
        return change(
            "create",
            (*difference({}, manifest.body), "# the server checks it once its namespace is there"),
        )
    try:
        result = _send(connection, manifest, manifest.body, dry_run=True)
    except errors.FieldConflicts as found:
        return change("conflict", conflicts=found.lines(_OURS))
    except PreconditionFailed as moved:
        raise ClusterUnreachable(
            f"{manifest.kind} {manifest.name} is changing right now: try again"
        ) from moved
    live = manifest.live
    if live is None:  # as it is written: the server's defaults would bury it
        return change("create", difference({}, manifest.body), result=result)
    if manifest.kind == "Deployment":
        result["spec"]["template"] = without_abandoned(result)
        _refuse_foreign_rollout(target, manifest, live, result)
    before, after = shown(live), shown(result)
    template = None
    if manifest.is_target and after["spec"]["template"] != before["spec"]["template"]:
        template = result["spec"]["template"]
    rest_changed = (
        before != after if template is None else _but_template(before) != _but_template(after)
    )
    lines = difference(*masked(before, after))
    return change(
        "update" if rest_changed else "unchanged", lines, template=template, result=result
    )


def _refuse_foreign_rollout(
    target: Target, manifest: _Manifest, live: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    if not manifest.is_target and result["spec"]["template"] != live["spec"]["template"]:
        raise Refused(
            f"the pod template of Deployment {manifest.name} would change, and that Deployment is"
            f" not {target.app}'s: give it an entry of its own in the catalog"
        )


def _send(
    connection: Connection, manifest: _Manifest, body: Mapping[str, Any], *, dry_run: bool
) -> Any:
    """Raises errors.FieldConflicts when another manager owns a field that would change."""
    path = manifest.resource.path(body["metadata"].get("namespace", ""), manifest.name)
    try:
        try:
            return _patch(connection, path, body, dry_run=dry_run, force=False)
        except errors.FieldConflicts as found:
            if found.lines(_OURS):
                raise
            return _patch(connection, path, body, dry_run=dry_run, force=True)
    except errors.NotThere as gone:
        raise Refused(str(gone)) from gone
    except ClusterUnreachable as away:
        if manifest.kind == "Secret":
            raise ClusterUnreachable(
                "the API server did not take the Secret; its reply is not shown",
                away.retry_after_ms,
            ) from None
        raise
    except Refused as refused:
        if permission := _permission(manifest.resource, refused):
            raise Refused(f"{manifest.kind} {manifest.name}: {permission}") from None
        if manifest.kind == "Secret":  # the server quotes what it rejects
            raise Refused(
                f"the API server does not take Secret {manifest.name}; its words may hold values"
                " and are not shown"
            ) from None
        raise Refused(f"{manifest.kind} {manifest.name}: {refused}") from refused


def _patch(
    connection: Connection, path: str, body: Mapping[str, Any], *, dry_run: bool, force: bool
) -> Any:
    query = {
        "fieldManager": FIELD_MANAGER,
        "fieldValidation": "Strict",
        "force": "true" if force else "false",
    }
    if dry_run:
        query["dryRun"] = "All"
    return connection.patch(path, body, query, content_type=APPLY_PATCH)


# --- what our releases once wrote and the manifests no longer say ---------------------------------


def without_abandoned(result: Mapping[str, Any]) -> Any:
    """The template without the fields that only the manager of releases still owns. Pure.

    A release that rolled out an earlier manifest owns what it added, so the applier leaving it out
    does not remove it; no other manager wants it, so it goes. Images and the time of a restart are
    the releases' own.
    """
    template = copy.deepcopy(result["spec"]["template"])
    ours: set[Path] = set()
    others: set[Path] = set()
    for entry in entries(result):
        found = {
            path[2:]
            for path in leaves(entry.get("fieldsV1") or {})
            if path[:2] == ("f:spec", "f:template")
        }
        if entry.get("manager") == "pilothouse" and entry.get("operation") == "Update":
            ours |= found
        else:
            others |= found
    for path in sorted(ours - others, key=len, reverse=True):
        if path[-1] != "f:image" and path != _RESTARTED:
            remove_at(template, path)
    return template


# --- what people are shown ------------------------------------------------------------------------


def shown(item: Mapping[str, Any]) -> dict[str, Any]:
    """An object without what the server keeps for itself, and without kubectl's copy of it (which
    holds a Secret's values)."""
    result = {key: copy.deepcopy(value) for key, value in item.items() if key != "status"}
    meta = result["metadata"]
    for key in (
        "managedFields",
        "resourceVersion",
        "generation",
        "uid",
        "creationTimestamp",
        "selfLink",
    ):
        meta.pop(key, None)
    annotations = meta.get("annotations") or {}
    annotations.pop(_LAST_APPLIED, None)
    if not annotations:
        meta.pop("annotations", None)
    return result


def _without_copy(item: dict[str, Any]) -> dict[str, Any]:
    return shown(item) if item.get("metadata") else item


def _values(secret: Mapping[str, Any]) -> dict[str, Any]:
    return {section: secret[section] for section in _CONCEALED if secret.get(section)}


def masked(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both with the values of a Secret hidden, so that only the changed keys are visible (as
    kubectl diff does), and in other objects with everything hidden that may be a secret."""
    left, right = concealed_pair(_without_copy(before), _without_copy(after))
    if after.get("kind") != "Secret":
        return left, right
    changed = "*** (after)" if before else "***"
    for section in _CONCEALED:
        old, new = before.get(section) or {}, after.get(section) or {}
        for key in {*old, *new}:
            same = key in old and key in new and old[key] == new[key]
            if key in old:
                left[section][key] = "***" if same else "*** (before)"
            if key in new:
                right[section][key] = "***" if same else changed
    return left, right


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Lines as of ``diff -u``, without the file names."""
    if not before:
        _, after = masked({}, after)
        return tuple(f"+{line}" for line in _yaml(after))
    lines = difflib.unified_diff(_yaml(before), _yaml(after), lineterm="", n=_CONTEXT_LINES)
    return tuple(line for line in lines if not line.startswith(("---", "+++", "@@")))


class _Dumper(yaml.SafeDumper):
    """Text of several lines as a block, so that a change shows as the lines that changed."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def _yaml(item: dict[str, Any]) -> list[str]:
    text = yaml.dump(
        _named_first(item),
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        allow_unicode=True,
        width=120,
    )
    return text.splitlines()


def _named_first(value: Any) -> Any:
    """Keys in order, but a name first: then a list item keeps its first line when another key comes
    or goes."""
    match value:
        case dict():
            return {
                key: _named_first(value[key])
                for key in sorted(value, key=lambda one: (one != "name", one))
            }
        case list():
            return [_named_first(one) for one in value]
        case _:
            return value


def _but_template(item: dict[str, Any]) -> dict[str, Any]:
    return {
        **item,
        "spec": {key: value for key, value in item["spec"].items() if key != "template"},
    }
