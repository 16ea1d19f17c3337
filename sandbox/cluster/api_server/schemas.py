"""Types of the Kubernetes API: fields, list and map kinds, merge keys, as Kubernetes publishes
them.

They are read from the JSON schemas in the wheel `kubernetes-validate`, the newest version up to the
one this server says it is. What those schemas leave out (which optional fields vanish when empty)
stands in decoding.py.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from sandbox.cluster.objects import Json

KUBERNETES_VERSION = (1, 36, 3)
KEY_DEFAULTS = {"protocol": "TCP"}  # the only keys of associative lists that have a default
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


class SchemasMissing(RuntimeError):
    """The wheel with the schemas is not installed."""


@cache
def definitions() -> dict[str, Json]:
    """Every published type by its name, e.g. io.k8s.api.apps.v1.DeploymentSpec."""
    spec = importlib.util.find_spec(
        "kubernetes_validate"
    )  # found, not imported: the import is slow
    if spec is None or not spec.submodule_search_locations:
        raise SchemasMissing(
            "install kubernetes-validate: the simulated cluster takes the API's types from it"
        )
    folder = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"
    versions: dict[tuple[int, int, int], Path] = {}
    for path in folder.glob("v*-local"):
        if found := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", path.name):
            versions[int(found[1]), int(found[2]), int(found[3])] = path
    usable = [version for version in versions if version <= KUBERNETES_VERSION] or list(versions)
    content = orjson.loads((versions[max(usable)] / "_definitions.json").read_bytes())
    found_definitions: dict[str, Json] = content["$defs"]
    return found_definitions


@cache
def names_by_kind() -> dict[tuple[str, str, str], str]:
    """Definition name by (group, version, kind), for kinds with exactly one."""
    names: dict[tuple[str, str, str], str] = {}
    for name, definition in definitions().items():
        kinds = definition.get("x-kubernetes-group-version-kind") or []
        if len(kinds) == 1:
            kind = kinds[0]
            names[kind["group"], kind["version"], kind["kind"]] = name
    return names


class SchemaType:
    """One type, compiled for speed. `shape` is scalar, struct, map, list or any."""

    __slots__ = (
        "_element",
        "_element_schema",
        "_field_schemas",
        "_fields",
        "atomic",
        "enum",
        "format",
        "keys",
        "list_type",
        "merge_key",
        "name",
        "patch_strategy",
        "required",
        "scalar",
        "schema",
        "shape",
    )

    def __init__(self, schema: Json) -> None:
        own = schema
        resolved = _resolve(schema)
        if "$ref" in own and len(own) > 1:
            resolved = {**resolved, **{key: value for key, value in own.items() if key != "$ref"}}
        self.schema = resolved
        self.name = str(own.get("$ref", "")).rpartition(".")[2]  # e.g. DeploymentSpec
        self._fields: dict[str, SchemaType] = {}
        self._element: SchemaType | None = None
        self._field_schemas: dict[str, Json] = resolved.get("properties") or {}
        self._element_schema: Any = None
        self.required: tuple[str, ...] = tuple(resolved.get("required") or ())
        self.enum: list[str] | None = resolved.get("enum")
        self.format: str = resolved.get("format", "")
        self.patch_strategy: tuple[str, ...] = tuple(
            part for part in (resolved.get("x-kubernetes-patch-strategy") or "").split(",") if part
        )
        self.merge_key: str = resolved.get("x-kubernetes-patch-merge-key", "")
        self.list_type = "atomic"
        self.keys: tuple[str, ...] = ()
        self.atomic = resolved.get("x-kubernetes-map-type") == "atomic"
        self.scalar = ""
        self.shape = self._shape_of(own, resolved)

    def _shape_of(self, own: Json, resolved: Json) -> str:
        reference = str(own.get("$ref", "")).rpartition("/")[2]
        if reference == _QUANTITY:
            self.scalar = "quantity"
            return "scalar"
        if reference == _INT_OR_STRING or resolved.get("x-kubernetes-int-or-string"):
            self.scalar = "int-or-string"
            return "scalar"
        kind = plain_type(resolved)
        if kind == "array":
            self._element_schema = resolved.get("items") or {}
            self.list_type = resolved.get("x-kubernetes-list-type", "")
            self.keys = tuple(resolved.get("x-kubernetes-list-map-keys") or ())
            if not self.list_type:
                merges = "merge" in self.patch_strategy
                self.list_type = ("map" if self.merge_key else "set") if merges else "atomic"
            if self.list_type == "map" and not self.keys:
                self.keys = (self.merge_key,)
            return "list"
        if self._field_schemas:
            if resolved.get("x-kubernetes-preserve-unknown-fields"):
                return "any"
            return "struct"
        additional = resolved.get("additionalProperties")
        if isinstance(additional, dict):
            self._element_schema = additional
            return "map"
        if kind in ("string", "integer", "number", "boolean"):
            self.scalar = kind
            return "scalar"
        return "any"

    def field(self, name: str) -> SchemaType | None:
        """The type of a struct's field, or of any key of a map; None for an unknown field."""
        if self.shape == "map":
            return self.element
        found = self._fields.get(name)
        if found is None and name in self._field_schemas:
            found = self._fields[name] = SchemaType(self._field_schemas[name])
        return found

    @property
    def element(self) -> SchemaType:
        if self._element is None:
            self._element = SchemaType(self._element_schema or {})
        return self._element


def plain_type(schema: Json) -> str:
    """`type` without the "null" that the wheel adds."""
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kind = next((item for item in kind if item != "null"), "")
    return str(kind)


def _resolve(schema: Json) -> Json:
    reference = schema.get("$ref")
    if not reference:
        return schema
    resolved: Json = definitions()[reference.rpartition("/")[2]]
    return resolved


@cache
def type_named(name: str) -> SchemaType:
    return SchemaType({"$ref": f"#/$defs/{name}"})


@cache
def type_of_kind(group: str, version: str, kind: str) -> SchemaType | None:
    """The type of a built-in kind."""
    name = names_by_kind().get((group, version, kind))
    return None if name is None else type_named(name)


def type_of_custom_resource(schema: Json) -> SchemaType:
    """The type of a custom resource from the openAPIV3Schema of its definition, with the standard
    metadata."""
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        **(schema.get("properties") or {}),
        "metadata": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
    }
    return SchemaType({**schema, "type": "object", "properties": properties})
