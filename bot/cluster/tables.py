"""Tables with kubectl's columns, drawn by the API server itself, of what belongs to one app or to
several.

kubectl's columns, ages and pod states are computed by the API server (``as=Table``, stable since
1.15), so they are its own, and so is whether a column is wide. Rows carry their object's metadata,
whose ownerReferences show what belongs to the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.cluster import errors, reading
from bot.cluster.connect import Connection, label_query, path_of
from bot.cluster.events import last_seen
from bot.ports import Refused, Table
from bot.releases.facts.counts import counted
from bot.releases.facts.target import Target, default_candidate_names

_AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_AS_METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
KINDS = ("deployments", "replicasets", "pods", "services", "events")


@dataclass(frozen=True)
class _Owners:
    """The app of each object in one namespace: by the uid of its owner, or by the name of a
    Service, which has no owner."""

    deployments: Mapping[str, str]
    services: Mapping[str, str]
    without: tuple[str, ...] = ()  # apps whose Deployment does not exist
    query: Mapping[str, str] = field(
        default_factory=dict
    )  # narrows lists of what Deployments own to one app's
    replica_sets: Mapping[str, str] = field(default_factory=dict)

    def with_replica_sets(self, items: Sequence[Any]) -> _Owners:
        return replace(
            self,
            replica_sets={
                one["metadata"]["uid"]: app
                for one in items
                if (app := self.app_of("replicasets", one))
            },
        )

    def app_of(self, kind: str, item: Mapping[str, Any]) -> str:
        """The empty name for what belongs to none of the apps."""
        meta = item["metadata"]
        match kind:
            case "deployments":
                return self.deployments.get(meta["uid"], "")
            case "replicasets":
                return self.deployments.get(reading.owner_of(item), "")
            case "pods":
                return self.replica_sets.get(reading.owner_of(item), "")
            case _:
                return self.services.get(meta["name"], "")


def table(connection: Connection, targets: Sequence[Target], kind: str, *, wide: bool) -> Table:
    """``kind``: one of KINDS; the first column names the app when there are several. The number of
    requests depends on the namespaces alone.

    Raises ClusterUnreachable, Refused (none of the Deployments exists, or a permission is missing).
    """
    if kind not in KINDS:
        raise Refused(f"no table of {kind}; there are {', '.join(KINDS)}")
    by_namespace = _by_namespace(targets)
    columns: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    without: list[str] = []
    for namespace, here in by_namespace.items():
        owners = _owners(connection, namespace, here, kind)
        without += owners.without
        if len(owners.without) < len(here):
            columns, found = _rows(connection, namespace, owners, kind, wide=wide)
            shown = [target.app for target in here]
            found = (
                found if kind == "events" else sorted(found, key=lambda row: shown.index(row[0]))
            )
            rows += [(row[0], namespace, *row[1:]) for row in found]
    if len(without) == len(targets):
        raise Refused(_missing(targets))
    lead = (0,) * (len(targets) > 1) + (1,) * (len(by_namespace) > 1)
    kept = tuple(tuple(row[index] for index in (*lead, *range(2, len(row)))) for row in rows)
    heads = tuple(("APP", "NAMESPACE")[index] for index in lead)
    return Table(
        _title(kind, targets), (*heads, *columns), kept, _note(kind, len(rows), without, targets)
    )


def _by_namespace(targets: Sequence[Target]) -> dict[str, list[Target]]:
    found: dict[str, list[Target]] = {}
    for target in targets:
        found.setdefault(target.namespace, []).append(target)
    return found


def _title(kind: str, targets: Sequence[Target]) -> str:
    name = {"replicasets": "ReplicaSets"}.get(kind, kind.capitalize())
    if len(targets) == 1:
        return f"{name} of {targets[0].app}"
    return f"{name} of {len(targets)} apps"


def _note(kind: str, count: int, without: Sequence[str], targets: Sequence[Target]) -> str:
    """The count, and what is missing."""
    if kind == "services" and not any(target.services for target in targets):
        return f"no Service in the catalog's entr{'y' if len(targets) == 1 else 'ies'}"
    places = {target.namespace for target in targets}
    where = next(iter(places)) if len(places) == 1 else f"{len(places)} namespaces"
    missing = f"; without a Deployment: {', '.join(without)}" if without else ""
    return f"{counted(count, kind.removesuffix('s'))} in {where}{missing}"


def _missing(targets: Sequence[Target]) -> str:
    if len(targets) == 1:
        only = targets[0]
        return f"There is no Deployment {only.deployment} in namespace {only.namespace}."
    names = ", ".join(f"{one.namespace}/{one.deployment}" for one in targets)
    return f"None of the Deployments exists: {names}."


def _owners(
    connection: Connection, namespace: str, targets: Sequence[Target], kind: str
) -> _Owners:
    services = {name: target.app for target in reversed(targets) for name in target.services}
    if kind == "services":
        return _Owners({}, services)
    wanted = {name: one.app for one in targets for name in default_candidate_names(one)}
    wanted |= {one.deployment: one.app for one in targets}
    if len(targets) == 1:
        reads = [
            connection.start(connection.existing, path_of("deployments", namespace, name))
            for name in wanted
        ]
        items = [item for read in reads if (item := read.result()) is not None]
        query = label_query(items[0]["spec"]["selector"]) if len(items) == 1 else {}
    else:
        items, query = (
            [
                item
                for item in _owned(connection, "deployments", namespace, {})
                if item["metadata"]["name"] in wanted
            ],
            {},
        )
    deployments = {item["metadata"]["uid"]: wanted[item["metadata"]["name"]] for item in items}
    names = {item["metadata"]["name"] for item in items}
    without = tuple(one.app for one in targets if one.deployment not in names)
    return _Owners(deployments, services, without, query)


def _owned(
    connection: Connection, kind: str, namespace: str, query: Mapping[str, str]
) -> Sequence[Any]:
    """The objects' metadata alone: it holds the owner references."""
    return (
        connection.required(path_of(kind, namespace), query, accept=_AS_METADATA).get("items") or ()
    )


_Rows = list[tuple[str, ...]]


def _rows(
    connection: Connection, namespace: str, owners: _Owners, kind: str, *, wide: bool
) -> tuple[tuple[str, ...], _Rows]:
    """The columns, and the rows that belong to an app, each with the app before it."""
    if kind == "events":
        return _events(connection, namespace, owners, wide=wide)
    query = owners.query if kind in ("replicasets", "pods") else {}
    replica_sets = (
        connection.start(_owned, connection, "replicasets", namespace, query)
        if kind == "pods"
        else None
    )
    answer = _ask(connection, kind, namespace, {**query, "includeObject": "Metadata"})
    owners = owners.with_replica_sets(replica_sets.result()) if replica_sets is not None else owners
    found = [(app, row) for row in answer["rows"] if (app := owners.app_of(kind, row["object"]))]
    return _cut(answer, found, wide=wide)


def _events(
    connection: Connection, namespace: str, owners: _Owners, *, wide: bool
) -> tuple[tuple[str, ...], _Rows]:
    """Newest first: what just happened is what people ask for."""
    replica_sets, pods = (
        connection.start(_owned, connection, kind, namespace, owners.query)
        for kind in ("replicasets", "pods")
    )
    answer = _ask(connection, "events", namespace, {"includeObject": "Object"})
    owners = owners.with_replica_sets(replica_sets.result())
    apps = {**owners.deployments, **owners.replica_sets}
    apps |= {
        one["metadata"]["uid"]: app for one in pods.result() if (app := owners.app_of("pods", one))
    }

    def app_of(event: Mapping[str, Any]) -> str:
        about = event.get("involvedObject") or {}
        if about.get("kind") == "Service":
            return owners.services.get(about.get("name", ""), "")
        return apps.get(about.get("uid", ""), "")

    found = [(app, row) for row in answer["rows"] if (app := app_of(row["object"]))]
    found.sort(key=lambda one: _recency(one[1]["object"]), reverse=True)
    columns, rows = _cut(answer, found, wide=wide)
    return columns, [tuple(map(reading.told, row)) for row in rows]


def _recency(event: Mapping[str, Any]) -> tuple[int, int]:
    """The times of events are whole seconds; within one the later write is the newer (Kubernetes
    1.35: resource versions are ordered)."""
    version = str(event["metadata"].get("resourceVersion") or "")
    return last_seen(event), int(version) if version.isdigit() else 0


def _ask(connection: Connection, kind: str, namespace: str, query: Mapping[str, str]) -> Any:
    try:
        answer = connection.get(path_of(kind, namespace), query, accept=_AS_TABLE)
    except errors.NotThere as gone:
        raise Refused(f"the API server has no {kind}: {gone}") from gone
    if answer.get("kind") != "Table":
        raise Refused(
            "the API server does not draw tables (as=Table); it is older than Kubernetes 1.15"
        )
    return {**answer, "rows": answer.get("rows") or []}


def _cut(
    answer: Mapping[str, Any], found: Sequence[tuple[str, Any]], *, wide: bool
) -> tuple[tuple[str, ...], _Rows]:
    # A narrow column has priority 0. kubectl puts the wide ones wherever the server put them: they
    # come last in practice.
    order = [
        index
        for index, one in enumerate(answer["columnDefinitions"])
        if wide or not one.get("priority")
    ]
    columns = tuple(answer["columnDefinitions"][index]["name"].upper() for index in order)
    return columns, [(app, *(_cell(row["cells"][index]) for index in order)) for app, row in found]


def _cell(value: Any) -> str:
    match value:
        case None:
            return "<none>"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
