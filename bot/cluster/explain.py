"""What kubectl explain prints, from the cluster's own OpenAPI v3, so that custom resources are
explained as well.

A port of kubectl's template (kubectl/pkg/explain/v2/templates/plaintext.tmpl, 1.36), its quirks
included: the same text for the same path. Beyond it, letter case does not matter and a wrong path
is answered with the nearest right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import orjson
from rapidfuzz import process

from bot.cluster import errors
from bot.cluster.connect import Connection
from bot.cluster.discovery import Resource, all_resources
from bot.ports import Refused, Shelf, UnknownField

Schema = Mapping[str, Any]
_LINE = 76
_ENUMS_SHOWN = 4
_SUGGESTIONS = 3
_LIKENESS = 60.0


def explain(
    connection: Connection, path: str, *, recursive: bool, shelf: Shelf | None = None
) -> str:
    """``shelf`` keeps documents for the next time. Raises UnknownField that names the nearest
    fields, ClusterUnreachable, Refused."""
    name, *fields = [part for part in path.strip().strip(".").split(".") if part] or [""]
    index = connection.start(connection.get, "/openapi/v3")
    resource = _resource(connection, name)
    document = _document(connection, resource.api_version, index, shelf)
    explained = _Explained(document)
    schema = explained.of_kind(resource)
    if schema is None:
        raise UnknownField(
            f"the cluster does not describe {resource.kind} of {resource.api_version}"
        )
    right = explained.corrected(schema, fields, resource.kind)
    group = f"GROUP:      {resource.group}\n" if resource.group else ""
    head = f"{group}KIND:       {resource.kind}\nVERSION:    {resource.version}\n\n"
    return (head + explained.output(schema, right, {}, recursive=recursive)).rstrip("\n")


def _resource(connection: Connection, name: str) -> Resource:
    resources = all_resources(connection)
    wanted = name.lower()
    found = next((one for one in resources if wanted in one.names), None)
    if found is not None:
        return found
    names = sorted({one.singular for one in resources} | {one.plural for one in resources})
    raise UnknownField(f"the cluster has no resource `{name}`{_nearest(wanted, names)}")


def _nearest(wrong: str, names: Sequence[str]) -> str:
    found = [
        one
        for one, _, _ in process.extract(wrong, names, limit=_SUGGESTIONS, score_cutoff=_LIKENESS)
    ]
    return f"; nearest: {', '.join(found)}" if found else ""


# --- documents ------------------------------------------------------------------------------------


def _document(
    connection: Connection, api_version: str, index: Future[Any], shelf: Shelf | None
) -> Any:
    """One group's document. Its address carries a hash of the content, so it is asked for once as
    long as nothing changes."""
    key = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
    try:
        entry = index.result()["paths"].get(key)
        if entry is None:
            raise UnknownField(f"the cluster does not describe {api_version}")
        address = str(entry["serverRelativeURL"])
        name = f"{connection.server}{address}"
        known = shelf.fetch(name) if shelf is not None and "hash=" in address else None
        content = connection.send("GET", address) if known is None else known
    except errors.NotThere as gone:
        raise Refused("the cluster has no OpenAPI v3 (Kubernetes 1.27 and later have)") from gone
    if known is None and shelf is not None:
        shelf.keep(name, content)
    return orjson.loads(content)


# --- the template ---------------------------------------------------------------------------------


class _Explained:
    """One document, and the parts of the template that resolve references in it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})

    def of_kind(self, resource: Resource) -> Schema | None:
        wanted = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        for name in sorted(self._schemas):
            if wanted in (self._schemas[name].get("x-kubernetes-group-version-kind") or ()):
                return self._schemas[name]
        return None

    def corrected(self, schema: Schema, fields: Sequence[str], kind: str) -> list[str]:
        """The path in the schema's own letter case. Raises UnknownField at the first field that is
        not there."""
        right: list[str] = []
        for field in fields:
            names = sorted(self._names(schema, right))
            exact = next((one for one in names if one == field), None)
            alike = next((one for one in names if one.lower() == field.lower()), None)
            if exact is None and alike is None:
                where = ".".join((kind, *right))
                if not names:
                    raise UnknownField(f"{where} has no fields")
                near = _nearest(field, names) or "; it has: " + ", ".join(names[:20]) + (
                    ", …" if len(names) > 20 else ""
                )
                raise UnknownField(f"{where} has no field `{field}`{near}")
            right.append(exact or alike or field)
        return right

    def _names(self, schema: Schema, path: Sequence[str]) -> set[str]:
        """Fields of what the path leads to."""
        found: set[str] = set()
        for one in self._reached(schema, path, frozenset()):
            found |= set(one.get("properties") or ())
        return found

    def _reached(
        self, schema: Schema, path: Sequence[str], history: frozenset[str]
    ) -> Iterator[Schema]:
        """Every schema the path leads to, through references, lists, maps and alternatives."""
        reference = schema.get("$ref", "")
        if reference in history:
            return
        history = history | {reference} if reference else history
        resolved = self._resolve(reference) or schema
        if not path:
            yield resolved
        elif path[0] in (resolved.get("properties") or {}):
            yield from self._reached(resolved["properties"][path[0]], path[1:], frozenset())
        for inner in self._inner(resolved):
            yield from self._reached(inner, path, history)

    def _inner(self, schema: Schema) -> Iterator[Schema]:
        if schema.get("items"):
            yield schema["items"]
        if isinstance(schema.get("additionalProperties"), Mapping):
            yield schema["additionalProperties"]
        yield from schema.get("allOf") or ()

    def _resolve(self, reference: str) -> Schema | None:
        if not reference.startswith("#/"):
            return None
        current: Any = self._document
        for part in reference[2:].split("/"):
            current = current.get(part) if isinstance(current, Mapping) else None
        return current if isinstance(current, Mapping) else None

    def output(
        self, schema: Schema, path: Sequence[str], history: Mapping[str, int], *, recursive: bool
    ) -> str:
        reference = schema.get("$ref", "")
        after = {**history, reference: 1}
        resolved = self._resolve(reference) or schema
        if not path:
            return self._whole(resolved, recursive=recursive)
        if reference and history.get(reference):
            return ""
        properties = resolved.get("properties") or {}
        if path[0] in properties:
            inner = properties[path[0]]
            text = ""
            if len(path) == 1:
                text = f"FIELD: {path[0]} <{self._type(inner)}>\n{_long_enum(inner)}\n\n"
            return text + self.output(inner, path[1:], {}, recursive=recursive)
        if resolved.get("items"):
            return self.output(resolved["items"], path, after, recursive=recursive)
        if (
            isinstance(resolved.get("additionalProperties"), Mapping)
            and resolved["additionalProperties"]
        ):
            return self.output(resolved["additionalProperties"], path, after, recursive=recursive)
        for alternative in resolved.get("allOf") or ():
            if text := self.output(alternative, path, after, recursive=recursive):
                return text
        return ""

    def _whole(self, resolved: Schema, *, recursive: bool) -> str:
        text = (
            "DESCRIPTION:\n"
            + _indent(4, _wrap(_LINE, self._description(resolved) or "<empty>"))
            + "\n"
        )
        if documents := _external_documents(resolved, 0):
            text += "\n" + documents
        if fields := self._fields(resolved, 1, {}, recursive=recursive):
            text += "FIELDS:\n" + fields
        return text

    def _fields(
        self, schema: Schema, level: int, history: Mapping[str, int], *, recursive: bool
    ) -> str:
        reference = schema.get("$ref", "")
        if reference and history.get(reference):
            return ""
        after = {**history, reference: 1}
        resolved = self._resolve(reference) or schema
        properties = resolved.get("properties") or {}
        text = ""
        for name in sorted(properties):
            text += self._detail(resolved, name, level, short=recursive)
            if recursive:
                text += self._fields(properties[name], level + 1, after, recursive=True)
        for inner in resolved.get("allOf") or ():
            text += self._fields(inner, level, after, recursive=recursive)
        for key in ("items", "additionalProperties"):
            if isinstance(resolved.get(key), Mapping) and resolved[key]:
                text += self._fields(resolved[key], level, after, recursive=recursive)
        return text

    def _detail(self, schema: Schema, name: str, level: int, *, short: bool) -> str:
        amount = 2 * level
        field = schema["properties"][name]
        required = " -required-" if name in (schema.get("required") or ()) else ""
        shown = f"{self._type(field)}>{required}{_short_enum(field, amount)}"
        text = f"{_indent(amount, name)}\t<{shown}\n"
        if short:
            return text
        text += (
            _indent(amount + 2, _wrap(78 - amount, field.get("description") or "<no description>"))
            + "\n"
        )
        if documents := _external_documents(field, amount + 2):
            text += "\n" + documents
        return text + "\n"

    def _description(self, schema: Schema) -> str:
        resolved = self._resolve(schema.get("$ref", "")) or schema
        text = f"{resolved['description']}\n" if resolved.get("description") else ""
        for inner in resolved.get("allOf") or ():
            text += self._description(inner)
        for key in ("items", "additionalProperties"):
            if isinstance(resolved.get(key), Mapping) and resolved[key]:
                text += self._description(resolved[key])
        return text

    def _type(self, schema: Schema) -> str:
        all_of = schema.get("allOf") or ()
        if schema.get("items"):
            return "[]" + self._type(schema["items"])
        if (
            isinstance(schema.get("additionalProperties"), Mapping)
            and schema["additionalProperties"]
        ):
            return "map[string]" + self._type(schema["additionalProperties"])
        if len(all_of) == 1 and not schema.get("properties"):
            return self._type(next(iter(all_of)))
        if "$ref" in schema:
            kind = (self._resolve(schema["$ref"]) or {}).get("type")
            return (
                str(kind)
                if kind and kind != "object"
                else schema["$ref"].rpartition("/")[2].rpartition(".")[2] or "Object"
            )
        kind = schema.get("type")
        return "Object" if kind in (None, "", "object") else str(kind)


def _external_documents(schema: Schema, amount: int) -> str:
    documents = schema.get("externalDocs") or {}
    if not documents:
        return ""
    text = _indent(amount, "EXTERNAL DOCS:") + "\n"
    if documents.get("description"):
        text += _indent(amount + 4, _wrap(_LINE - amount, documents["description"])) + "\n"
    if documents.get("url"):
        text += _indent(amount + 4, f"URL: {documents['url']}") + "\n"
    return text


def _long_enum(schema: Schema) -> str:
    values = schema.get("enum") or ()
    return "ENUM:" + "".join(f"\n    {_enum_text(one)}" for one in values) if values else ""


def _short_enum(schema: Schema, amount: int) -> str:
    values = schema.get("enum") or ()
    if not values:
        return ""
    shown = ", ".join(map(_enum_text, values[:_ENUMS_SHOWN])) + (
        ", ...." if len(values) > _ENUMS_SHOWN else ""
    )
    return f"\n{' ' * amount}enum: {shown}"


def _enum_text(value: Any) -> str:
    return '""' if value == "" else str(value)


def _indent(amount: int, text: str) -> str:
    pad = " " * amount
    return pad + text.replace("\n", "\n" + pad)


def _wrap(limit: int, text: str) -> str:
    """github.com/mitchellh/go-wordwrap: WrapString. Words longer than the limit stay whole; spaces
    at a break go."""
    out: list[str] = []
    word = space = ""
    current = 0
    for char in text:
        if char == "\n":
            if not word:
                if current + len(space) <= limit:
                    out.append(space)
            else:
                out += (space, word)
            out.append(char)
            word, space, current = "", "", 0
        elif char.isspace() and char != "\u00a0":
            if not space or word:
                current += len(space) + len(word)
                out += (space, word)
                word, space = "", ""
            space += char
        else:
            word += char
            if current + len(space) + len(word) > limit and len(word) < limit:
                out.append("\n")
                current, space = 0, ""
    if word:
        out += (space, word)
    elif current + len(space) <= limit:
        out.append(space)
    return "".join(out)
