"""Which resources an API server serves, under which names and paths. Asked, never assumed: custom resources come and go."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bot.cluster import errors
from bot.cluster.connect import Connection
from bot.ports import ClusterUnreachable, Refused


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
        return f"{root}{place}/{self.plural}" + (f"/{quote(name, safe='')}" if name is not None else "")

    @property
    def names(self) -> tuple[str, ...]:
        """What people may call it, in lower case."""
        return (self.plural, self.singular, self.kind.lower(), *self.short_names)


def resources_of(connection: Connection, api_version: str) -> tuple[Resource, ...]:
    """Those of one group and version; none when it is not served. Raises ClusterUnreachable, Refused."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        answer = connection.get(root)
    except errors.NotThere:
        return ()
    return tuple(_resources(api_version, answer.get("resources") or ()))


def served_versions(connection: Connection) -> frozenset[str]:
    """Every group and version, also those that are not preferred. To an unknown one a real API server answers 404 without a Status."""
    groups = connection.get("/apis").get("groups") or ()
    return frozenset(("v1", *(version["groupVersion"] for group in groups for version in group["versions"])))


def all_resources(connection: Connection) -> tuple[Resource, ...]:
    """Those of every group in the group's preferred version, the core group first, then in the server's order."""
    groups = connection.get("/apis").get("groups") or ()
    versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
    reads: list[Future[tuple[Resource, ...]]] = [connection.start(resources_of, connection, one) for one in versions]
    found: list[Resource] = []
    for read in reads:
        try:
            found.extend(read.result())
        except (ClusterUnreachable, Refused):
            # An aggregated API whose server is away must not take the others with it (kubectl goes on as well).
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
