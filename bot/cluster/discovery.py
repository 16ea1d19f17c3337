"""Which resources an API server serves, under which names and paths. Asked, never assumed: custom
resources come and go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from bot.cluster import errors
from bot.cluster.connect import JSON, Connection
from bot.ports import ClusterUnreachable, Refused

_AGGREGATED = ",".join(
    (
        *(
            f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
            for version in ("v2", "v2beta1")
        ),
        JSON,
    )
)


@dataclass(frozen=True)
class Resource:
    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str | None = None) -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced else ""
        return f"{root}{place}/{self.plural}" + (
            f"/{quote(name, safe='')}" if name is not None else ""
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What people may call it, in lower case."""
        return (self.plural, self.singular, self.kind.lower(), *self.short_names)


def kubernetes_version(connection: Connection) -> tuple[int, int] | None:
    """Major and minor; None where the API server does not say. Raises ClusterUnreachable."""
    try:
        found = connection.get("/version")
        # A provider may append a plus sign to the minor: "29+".
        return int(found["major"]), int(found["minor"].rstrip("+"))
    except (errors.NotThere, Refused, KeyError, ValueError):
        return None


def resources_of(connection: Connection, api_version: str) -> tuple[Resource, ...]:
    """Those of one group and version; none when it is not served. Raises ClusterUnreachable,
    Refused."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        answer = connection.get(root)
    except errors.NotThere:
        return ()
    return tuple(_resources(api_version, answer.get("resources") or ()))


def served_versions(connection: Connection) -> frozenset[str]:
    """Every group and version, also those that are not preferred. To an unknown one a real API
    server answers 404 without a Status."""
    groups = connection.get("/apis").get("groups") or ()
    return frozenset(
        ("v1", *(version["groupVersion"] for group in groups for version in group["versions"]))
    )


def all_resources(connection: Connection) -> tuple[Resource, ...]:
    """Those of every group in the group's preferred version, the core group first, then in the
    server's order.

    Two requests side by side, as kubectl's: aggregated discovery (Kubernetes 1.27 and later). One
    for each group where there is none.
    """
    core, groups = (
        connection.start(partial(connection.get, accept=_AGGREGATED), path)
        for path in ("/api", "/apis")
    )
    documents = [core.result(), groups.result()]
    if any(one.get("kind") != "APIGroupDiscoveryList" for one in documents):
        return _resources_group_by_group(connection, documents[1].get("groups") or ())
    return tuple(
        found
        for one in documents
        for group in one.get("items") or ()
        for found in _aggregated(group)
    )


def _aggregated(group: Any) -> Iterator[Resource]:
    """The preferred version comes first. For an aggregated API whose server is unreachable it holds
    nothing, or the last known state."""
    preferred: Any = next(iter(group.get("versions") or ()), {})
    for entry in preferred.get("resources") or ():
        kind = (entry.get("responseKind") or {}).get("kind")
        if kind:  # without one it serves subresources alone (client-go: convertAPIResource)
            yield Resource(
                group=(group.get("metadata") or {}).get("name") or "",
                version=preferred["version"],
                kind=kind,
                plural=entry["resource"],
                singular=entry.get("singularResource") or kind.lower(),
                short_names=tuple(entry.get("shortNames") or ()),
                namespaced=entry.get("scope") == "Namespaced",
            )


def _resources_group_by_group(
    connection: Connection, groups: Iterable[Any]
) -> tuple[Resource, ...]:
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    reads: list[Future[tuple[Resource, ...]]] = [
        connection.start(resources_of, connection, one) for one in versions
    ]
    found: list[Resource] = []
    for read in reads:
        try:
            found.extend(read.result())
        except (ClusterUnreachable, Refused):
            # An aggregated API whose server is away must not hide the others (kubectl continues
            # too).
            if read is reads[0]:
                raise
    return tuple(found)


def _resources(api_version: str, entries: Any) -> Iterator[Resource]:
    group, _, version = api_version.rpartition("/")
    for entry in entries:
        if "/" not in entry["name"]:  # a subresource
            yield Resource(
                group=group,
                version=version,
                kind=entry["kind"],
                plural=entry["name"],
                singular=entry.get("singularName") or entry["kind"].lower(),
                short_names=tuple(entry.get("shortNames") or ()),
                namespaced=bool(entry.get("namespaced")),
            )
