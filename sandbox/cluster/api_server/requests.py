"""A request as the API server sees it: its target, its options and the response."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import yaml

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import DeleteOptions, WriteOptions
from sandbox.cluster.api_server.resources import NAMESPACES, Resource, ResourceTable
from sandbox.cluster.objects import Json

AGGREGATED_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    client: str = "127.0.0.1"

    @property
    def product(self) -> str:
        """The user agent up to its first slash: the rest may differ with each request."""
        return self.agent.partition("/")[0]

    @property
    def agent(self) -> str:
        return self.headers.get("user-agent", "")

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "application/json").partition(";")[0].strip()

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    @property
    def wants_table(self) -> bool:
        return "as=Table" in self.headers.get("accept", "").partition(",")[0]

    @property
    def wants_metadata_only(self) -> bool:
        return "as=PartialObjectMetadata" in self.headers.get("accept", "").partition(",")[0]

    @property
    def wants_aggregated_discovery(self) -> bool:
        return self.headers.get("accept", "").partition(",")[0] == AGGREGATED_DISCOVERY

    def json(self) -> Json:
        if self.content_type == "application/vnd.kubernetes.protobuf":
            raise failures.unsupported_media_type(["application/json", "application/yaml"])
        try:
            body: Any = (
                yaml.safe_load(self.body)
                if "yaml" in self.content_type
                else orjson.loads(self.body)
            )
        except (orjson.JSONDecodeError, yaml.YAMLError) as error:
            raise failures.bad_request(
                f"couldn't get version/kind; json parse error: {error}"
            ) from None
        if not isinstance(body, dict):
            raise failures.bad_request("the body of the request is no object")
        return body

    def write_options(self) -> WriteOptions:
        dry_run = self.query.get("dryRun", "")
        if dry_run not in ("", "All"):
            kind = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(
                self.method, "PatchOptions"
            )
            raise failures.invalid_options(
                kind, failures.not_supported("dryRun", [dry_run], ["All"])
            )
        return WriteOptions(
            dry_run=dry_run == "All",
            field_manager=self.query.get("fieldManager", ""),
            force=self.flag("force"),
            validation=self.query.get("fieldValidation") or "Warn",
        )

    def delete_options(self) -> DeleteOptions:
        body: Json = self.json() if self.body.strip() else {}
        preconditions = body.get("preconditions") or {}
        grace: Any = body.get("gracePeriodSeconds", self.query.get("gracePeriodSeconds"))
        propagation = body.get("propagationPolicy") or self.query.get("propagationPolicy", "")
        if propagation not in ("", "Background", "Foreground", "Orphan"):
            words = (
                f'Unsupported value: "{propagation}": supported values: "Foreground", "Background",'
                ' "Orphan", "nil"'
            )
            cause = failures.Cause("propagationPolicy", words, "FieldValueNotSupported")
            raise failures.invalid_options("DeleteOptions", cause)
        if body.get("orphanDependents") is True:
            propagation = "Orphan"
        dry_run = body.get("dryRun") or ([self.query["dryRun"]] if self.query.get("dryRun") else [])
        return DeleteOptions(
            dry_run="All" in dry_run,
            grace_period=None if grace is None else int(grace),
            propagation=propagation,
            uid=preconditions.get("uid") or "",
            resource_version=preconditions.get("resourceVersion") or "",
        )


@dataclass
class Answer:
    """`content` is JSON or bytes; `stream`, when set, provides the body instead."""

    code: int
    content: Json | bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    stream: AsyncIterator[bytes] | None = None
    warnings: list[str] = field(default_factory=list)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        raw = [(b"content-type", self.content_type.encode())]
        raw += [
            (name.lower().encode(), value.encode("latin-1", "replace"))
            for name, value in self.headers.items()
        ]
        raw += [(b"warning", value.encode("latin-1", "replace")) for value in self.warnings]
        return raw


@dataclass(frozen=True)
class Target:
    """The resource, object and subresource of a path. `rest` follows the subresource."""

    resource: Resource
    namespace: str
    name: str
    subresource: str
    rest: str
    is_watch_path: bool = False

    @property
    def namespace_scope(self) -> str:
        """The namespace for authorization: a Namespace lies within itself."""
        return self.name if self.resource.key == NAMESPACES.key else self.namespace

    def verb(self, request: Request) -> str:
        match request.method:
            case "GET" | "HEAD":
                if self.subresource:
                    return "get"
                if self.is_watch_path or (request.flag("watch") and not self.name):
                    return "watch"
                if request.flag("watch"):
                    return "watch"
                return "get" if self.name else "list"
            case "POST":
                return "create"
            case "PUT":
                return "update"
            case "PATCH":
                return "patch"
            case "DELETE":
                return "delete" if self.name else "deletecollection"
            case _:
                return request.method.lower()


def parse_target(path: str, table: ResourceTable) -> Target | None:
    """The target of a path, or None for a path without a resource. Raises 404 for an unknown
    resource."""
    parts = path.strip("/").split("/")
    if parts[:2] == ["api", "v1"] and len(parts) > 2:
        group, version, parts = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    is_watch_path = parts[0] == "watch"
    if is_watch_path:
        parts = parts[1:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    resource = table.at(group, version, parts[0])
    if resource is None or (namespace and not resource.namespaced):
        raise failures.unknown_path()
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    rest = "/".join(parts[3:])
    if name and resource.namespaced and not namespace:
        raise failures.unknown_path()
    return Target(resource, namespace, name, subresource, rest, is_watch_path)
