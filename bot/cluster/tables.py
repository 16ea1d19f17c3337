"""Tables with kubectl's columns, drawn by the API server itself, of what belongs to one app.

kubectl's columns, ages and pod states are computed by the API server (``as=Table``, stable since 1.15), so they are its own, and so
is whether a column is wide. Rows carry their object's metadata, which tells by ownerReferences what belongs to the app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bot.cluster import errors, reading
from bot.cluster.connect import Connection, label_query, path_of
from bot.cluster.observe import last_seen
from bot.ports import Refused, Table
from bot.releases.model import Target, usual_candidates

_AS_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_Keeps = Callable[[Mapping[str, Any]], bool]
KINDS = ("deployments", "replicasets", "pods", "services", "events")


@dataclass(frozen=True)
class _Family:
    """The app's Deployments (its own, and candidates beside it) and what they own."""

    deployments: tuple[Any, ...]
    replica_sets: tuple[Any, ...]

    @property
    def uids(self) -> frozenset[str]:
        return frozenset(one["metadata"]["uid"] for one in (*self.deployments, *self.replica_sets))


def table(connection: Connection, target: Target, kind: str, *, wide: bool) -> Table:
    """``kind``: one of KINDS. Raises ClusterUnreachable, Refused (no Deployment of that name, or the bot may not look)."""
    if kind not in KINDS:
        raise Refused(f"there is no table of {kind}; there are {', '.join(KINDS)}")
    namespace = target.namespace
    if kind == "services":
        keep = _named(target.services)
        return _drawn(connection, kind, namespace, {}, keep, wide=wide) if target.services else _empty(kind, namespace)
    family = _family(connection, target)
    if not family.deployments:
        raise Refused(f"there is no Deployment {target.deployment} in namespace {namespace}")
    names = {one["metadata"]["name"] for one in family.deployments}
    query = label_query(family.deployments[0]["spec"]["selector"]) if len(family.deployments) == 1 else {}
    match kind:
        case "deployments":
            return _drawn(connection, kind, namespace, {}, _named(names), wide=wide)
        case "replicasets":
            uids = {one["metadata"]["uid"] for one in family.deployments}
            return _drawn(connection, kind, namespace, query, _owned(uids), wide=wide)
        case "pods":
            return _drawn(connection, kind, namespace, query, _owned(family.uids), wide=wide)
        case _:
            return _events(connection, target, family, wide=wide)


def _family(connection: Connection, target: Target) -> _Family:
    names = [target.deployment, *usual_candidates(target.deployment)]
    reads = [connection.start(connection.existing, path_of("deployments", target.namespace, name)) for name in names]
    deployments = [item for read in reads if (item := read.result()) is not None]
    lists: list[Future[Any]] = [
        connection.start(connection.required, path_of("replicasets", target.namespace), label_query(one["spec"]["selector"]))
        for one in deployments
    ]
    uids = {one["metadata"]["uid"] for one in deployments}
    owned = {item["metadata"]["uid"]: item for one in lists for item in one.result().get("items") or () if reading.owner_of(item) in uids}
    return _Family(tuple(deployments), tuple(owned.values()))


def _named(names: Sequence[str] | set[str]) -> _Keeps:
    return lambda item: item["metadata"]["name"] in names


def _owned(uids: set[str] | frozenset[str]) -> _Keeps:
    return lambda item: reading.owner_of(item) in uids


def _drawn(connection: Connection, kind: str, namespace: str, query: Mapping[str, str], keep: _Keeps, *, wide: bool) -> Table:
    answer = _ask(connection, kind, namespace, {**query, "includeObject": "Metadata"})
    rows = [row for row in answer["rows"] if keep(row["object"])]
    return _table(kind, namespace, answer, rows, wide=wide)


def _events(connection: Connection, target: Target, family: _Family, *, wide: bool) -> Table:
    pods = connection.required(path_of("pods", target.namespace)).get("items") or ()
    uids = family.uids | {one["metadata"]["uid"] for one in pods if reading.owner_of(one) in family.uids}
    answer = _ask(connection, "events", target.namespace, {"includeObject": "Object"})
    services = frozenset(target.services)

    def is_ours(event: Mapping[str, Any]) -> bool:
        about = event.get("involvedObject") or {}
        return about.get("uid") in uids or (about.get("kind") == "Service" and about.get("name") in services)

    rows = sorted((row for row in answer["rows"] if is_ours(row["object"])), key=lambda row: last_seen(row["object"]))
    return _table("events", target.namespace, answer, rows, wide=wide)


def _ask(connection: Connection, kind: str, namespace: str, query: Mapping[str, str]) -> Any:
    try:
        answer = connection.get(path_of(kind, namespace), query, accept=_AS_TABLE)
    except errors.NotThere as gone:
        raise Refused(f"the API server has no {kind}: {gone}") from gone
    if answer.get("kind") != "Table":
        raise Refused("the API server does not draw tables (as=Table); it is older than Kubernetes 1.15")
    return {**answer, "rows": answer.get("rows") or []}


def _table(kind: str, namespace: str, answer: Mapping[str, Any], rows: Sequence[Any], *, wide: bool) -> Table:
    # A narrow column has priority 0. kubectl puts the wide ones wherever the server put them: they come last in practice.
    order = [index for index, one in enumerate(answer["columnDefinitions"]) if wide or not one.get("priority")]
    return Table(
        title=f"{kind} in {namespace}",
        columns=tuple(answer["columnDefinitions"][index]["name"].upper() for index in order),
        rows=tuple(tuple(_cell(row["cells"][index]) for index in order) for row in rows),
        note="" if rows else f"No {kind} found.",
    )


def _empty(kind: str, namespace: str) -> Table:
    return Table(f"{kind} in {namespace}", (), (), "This app has no Service in the catalog.")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "<none>"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
