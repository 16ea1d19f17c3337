"""OpenAPI v3, made from the published types: an index with hashes and one document per group and
version."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from sandbox.cluster.api_server.resources import Resource, ResourceTable
from sandbox.cluster.api_server.schemas import definitions, names_by_kind, plain_type
from sandbox.cluster.objects import Json

_REFERENCE = "#/components/schemas/"
_HIDDEN = frozenset({"x-kubernetes-unions", "$schema"})


class OpenApi:
    """Documents are made on first use and kept until the resources change."""

    def __init__(self, table: ResourceTable) -> None:
        self._table = table
        self._documents: dict[str, tuple[bytes, str]] = {}
        self._seen: list[Resource] = []

    def index(self) -> Json:
        self._refresh()
        paths = {}
        for name in self._names():
            content, digest = self._document(name)
            del content
            paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={digest}"}
        return {"paths": paths}

    def document(self, name: str) -> tuple[bytes, str] | None:
        """A document and its hash, by a path such as apis/apps/v1."""
        self._refresh()
        return self._document(name) if name in self._names() else None

    def _refresh(self) -> None:
        present = self._table.all()
        if present != self._seen:
            self._documents.clear()
            self._seen = present

    def _names(self) -> list[str]:
        found = dict.fromkeys(
            f"apis/{item.group}/{item.version}" if item.group else f"api/{item.version}"
            for item in self._table.all()
        )
        return list(found)

    def _document(self, name: str) -> tuple[bytes, str]:
        cached = self._documents.get(name)
        if cached is None:
            content = orjson.dumps(self._build(name))
            cached = self._documents[name] = (content, hashlib.sha512(content).hexdigest().upper())
        return cached

    def _build(self, name: str) -> Json:
        parts = name.split("/")
        group, version = (parts[1], parts[2]) if parts[0] == "apis" else ("", parts[1])
        schemas: dict[str, Json] = {}
        paths: Json = {}
        for resource in self._table.all():
            if (resource.group, resource.version) != (group, version):
                continue
            kind = {"group": group, "version": version, "kind": resource.kind}
            schema_name = self._collect(resource, schemas)
            base = f"/{name}"
            for prefix in ["", "/namespaces/{namespace}"] if resource.namespaced else [""]:
                paths[f"{base}{prefix}/{resource.plural}"] = _operations(
                    kind,
                    schema_name,
                    ("get", "post") if prefix or not resource.namespaced else ("get",),
                )
            prefix = "/namespaces/{namespace}" if resource.namespaced else ""
            paths[f"{base}{prefix}/{resource.plural}/{{name}}"] = _operations(
                kind, schema_name, ("get", "put", "patch", "delete")
            )
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.36.3"},
            "paths": paths,
            "components": {"schemas": schemas},
        }

    def _collect(self, resource: Resource, schemas: dict[str, Json]) -> str:
        """Puts the resource's type and everything it refers to into the schemas; returns its
        name."""
        if resource.custom_schema is not None:
            reversed_group = ".".join(reversed(resource.group.split(".")))
            name = f"{reversed_group}.{resource.version}.{resource.kind}"
            reference = f"{_REFERENCE}io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
            schema: Json = {**resource.custom_schema}
            schema["properties"] = {
                "apiVersion": {"type": "string", "description": _about("Deployment", "apiVersion")},
                "kind": {"type": "string", "description": _about("Deployment", "kind")},
                "metadata": {
                    "allOf": [{"$ref": reference}],
                    "description": _about("Deployment", "metadata"),
                },
                **{
                    key: value
                    for key, value in (schema.get("properties") or {}).items()
                    if key not in ("apiVersion", "kind", "metadata")
                },
            }
            gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
            schemas[name] = {**schema, "x-kubernetes-group-version-kind": [gvk]}
            _add_definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", schemas)
            return name
        name = names_by_kind().get((resource.group, resource.version, resource.kind), "")
        if name:
            _add_definition(name, schemas)
            if f"{name}List" in definitions():
                _add_definition(f"{name}List", schemas)
        return name


def _about(kind: str, field: str) -> str:
    properties = definitions()[f"io.k8s.api.apps.v1.{kind}"]["properties"]
    return str(properties[field].get("description", ""))


def _operations(kind: Json, schema_name: str, methods: tuple[str, ...]) -> Json:
    actions = {"get": "get", "post": "post", "put": "put", "patch": "patch", "delete": "delete"}
    content = {"application/json": {"schema": {"$ref": _REFERENCE + schema_name}}}
    operations: Json = {}
    for method in methods:
        parameters = [
            {"name": item, "in": "query", "schema": {"type": "string"}}
            for item in ("dryRun", "fieldManager", "fieldValidation")
        ]
        operations[method] = {
            "x-kubernetes-action": actions[method],
            "x-kubernetes-group-version-kind": kind,
            "parameters": parameters if method != "get" else [],
            "responses": {"200": {"description": "OK", "content": content}},
        }
    return operations


def _add_definition(name: str, schemas: dict[str, Json]) -> None:
    if name in schemas:
        return
    schemas[name] = {}
    waiting: list[str] = []
    schemas[name] = _converted(definitions()[name], waiting)
    for field, schema in (schemas[name].get("properties") or {}).items():
        enumeration = enumerations().get(f"{name}.{field}")
        if enumeration is not None:
            (schema["items"] if enumeration.get("items") else schema)["enum"] = enumeration[
                "values"
            ]
            if enumeration["about"] not in schema.get("description", ""):
                schema["description"] = schema.get("description", "") + enumeration["about"]
    for found in waiting:
        _add_definition(found, schemas)


def _converted(schema: Any, references: list[str]) -> Any:
    """JSON schema of the wheel to OpenAPI 3.0: no null types, references to components."""
    if isinstance(schema, list):
        return [_converted(item, references) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and isinstance(schema["$ref"], str):
        target = schema["$ref"].rpartition("/")[2]
        references.append(target)
        reference = {"$ref": _REFERENCE + target}
        rest = {
            key: _converted(value, references) for key, value in schema.items() if key != "$ref"
        }
        if not rest:
            return reference
        return {**rest, "default": {}, "allOf": [reference]}
    result: Json = {}
    for key, value in schema.items():
        if key in _HIDDEN:
            continue
        if key == "type" and isinstance(value, str | list):
            result["type"] = plain_type(schema)
        elif key == "enum" and isinstance(value, list):
            result["enum"] = [item for item in value if item is not None]
        elif key == "properties" and isinstance(value, dict):
            result["properties"] = {
                name: _converted(item, references) for name, item in value.items()
            }
        else:
            result[key] = _converted(value, references)
    return result


@cache
def enumerations() -> dict[str, Json]:
    """Values of enumerated fields, which the wheel's schemas omit (from Kubernetes' OpenAPI v3,
    Apache License 2.0)."""
    found: dict[str, Json] = orjson.loads(
        Path(__file__).with_name("enumerations.json").read_bytes()
    )
    return found


def is_document_path(path: str) -> re.Match[str] | None:
    return re.fullmatch(r"/openapi/v3/(api/[^/]+|apis/[^/]+/[^/]+)/?", path)
