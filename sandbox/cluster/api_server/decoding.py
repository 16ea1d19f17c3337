"""Decodes and encodes an object as Go does: checks types, finds unknown fields, drops zero values.

A request body arrives as the client wrote it and leaves as the API server would store it:
canonical quantities, no empty optional fields (`paused: false` vanishes, `replicas: 0`
stays, since Go keeps pointers and drops plain values).
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.cluster.api_server.quantities import QuantityError, canonical_quantity
from sandbox.cluster.api_server.schemas import SchemaType
from sandbox.cluster.objects import Json

# Optional fields that are not pointers in Go: false, 0 and "" are not written back.
_PLAIN_BOOLEANS = frozenset(
    [
        "paused",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "readOnly",
        "stdin",
        "stdinOnce",
        "tty",
        "publishNotReadyAddresses",
        "unschedulable",
    ]
)
_PLAIN_NUMBERS = frozenset(
    {
        "minReadySeconds",
        "initialDelaySeconds",
        "hostPort",
        "nodePort",
        "healthCheckNodePort",
        "observedGeneration",
        "updatedReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "readyReplicas",
        "fullyLabeledReplicas",
        "count",
        "generation",
    }
)
_KEPT_EMPTY_TEXT = frozenset(
    [
        "stringData",
        "data",
        "storageClassName",
        "appProtocol",
        "containerName",
        "volumeName",
        "clusterIP",
        "nodeName",
        "ingressClassName",
    ]
)
_KEPT_EMPTY_LISTS = frozenset(["rules", "endpoints"])
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/=\r\n]")


class DecodingError(Exception):
    """A value of the wrong type, in the words of the Go decoder."""


class Decoder:
    """Decodes one object; `unknown` collects the paths of unknown fields, in the order met."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.unknown: list[str] = []

    def decode(self, obj: Json, schema: SchemaType) -> Json:
        decoded = self._value(obj, schema, "", self._kind)
        assert isinstance(decoded, dict)
        return decoded

    def _value(self, value: Any, schema: SchemaType, path: str, owner: str) -> Any:
        match schema.shape:
            case "struct":
                return self._struct(value, schema, path, schema.name or owner)
            case "map":
                if not isinstance(value, dict):
                    raise self._mismatch(value, "map", path, owner)
                element = schema.element
                return {
                    key: self._value(item, element, f"{path}.{key}" if path else key, owner)
                    for key, item in value.items()
                    if item is not None or element.scalar == "string"
                }
            case "list":
                if not isinstance(value, list):
                    raise self._mismatch(value, "slice", path, owner)
                element = schema.element
                return [
                    self._value(item, element, f"{path}[{at}]", owner)
                    for at, item in enumerate(value)
                ]
            case "scalar":
                return self._scalar(value, schema, path, owner)
            case _:
                return value

    def _struct(self, value: Any, schema: SchemaType, path: str, owner: str) -> Json:
        if not isinstance(value, dict):
            raise self._mismatch(value, "struct", path, owner)
        result: Json = {}
        for key, item in value.items():
            field = schema.field(key)
            where = f"{path}.{key}" if path else key
            if field is None:
                self.unknown.append(where)
                continue
            if item is None:
                continue
            decoded = self._value(item, field, where, owner)
            if _vanishes(key, decoded, field, required=key in schema.required):
                continue
            result[key] = decoded
        return result

    def _scalar(self, value: Any, schema: SchemaType, path: str, owner: str) -> Any:
        match schema.scalar:
            case "quantity":
                return self._quantity(value, path, owner)
            case "string":
                return self._text(value, schema, path, owner)
            case "integer":
                if isinstance(value, float) and value.is_integer():
                    return int(value)
                name, types = schema.format or "int64", _INTEGER
            case scalar if scalar in _OTHER_SCALARS:
                name, types = _OTHER_SCALARS[scalar]
            case _:
                return value
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise self._mismatch(value, name, path, owner)
        return value

    def _quantity(self, value: Any, path: str, owner: str) -> str:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise self._mismatch(value, "quantity", path, owner)
        try:
            return canonical_quantity(str(value))
        except QuantityError as error:
            raise self._unusable(str(error)) from None

    def _text(self, value: Any, schema: SchemaType, path: str, owner: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._mismatch(value, "string", path, owner)
        wrong = _NO_BASE64.search(value) if schema.format == "byte" else None
        if wrong is not None:
            raise self._unusable(f"illegal base64 data at input byte {wrong.start()}")
        return value

    def _unusable(self, why: str) -> DecodingError:
        kind = self._kind
        return DecodingError(f'{kind} in version "v1" cannot be handled as a {kind}: {why}')

    def _mismatch(self, value: Any, wanted: str, path: str, owner: str) -> DecodingError:
        match value:
            case bool():
                found = "bool"
            case str():
                found = "string"
            case int() | float():
                found = "number"
            case list():
                found = "array"
            case dict():
                found = "object"
            case _:
                found = "null"
        kind = self._kind
        return DecodingError(
            f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal {found}'
            f" into Go struct field {owner}.{path} of type {wanted}"
        )


_INTEGER: tuple[type, ...] = (int,)
_OTHER_SCALARS: dict[str, tuple[str, tuple[type, ...]]] = {
    "boolean": ("bool", (bool,)),
    "int-or-string": ("int32", (str, int)),
}
"""Of each scalar: its type in messages, and the types of its values."""


def _vanishes(key: str, value: Any, schema: SchemaType, *, required: bool) -> bool:
    if required:
        return False
    match value:
        case bool():
            return not value and key in _PLAIN_BOOLEANS
        case int():
            return value == 0 and key in _PLAIN_NUMBERS
        case str():
            return value == "" and key not in _KEPT_EMPTY_TEXT
        case list():
            return not value and key not in _KEPT_EMPTY_LISTS
        case dict():
            return not value and schema.shape == "map"
        case _:
            return False
