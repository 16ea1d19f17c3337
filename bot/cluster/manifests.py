"""Manifests from files: read, checked, and never from outside their folder. Touches the disk, not
the cluster.

An error never quotes a Secret: messages name files, lines and keys.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bot.ports import Refused

MOST_BYTES = 1024 * 1024
"""A ConfigMap or Secret holds at most 1 MiB, and no manifest needs more."""
MOST_NODES = 50_000
"""Of one file, each alias counted with all that it stands for: a List of two thousand objects
fits, and ten lines of aliases to aliases do not."""
DEEPEST = 100
_LONGEST_NUMBER = 100
_KEY = re.compile(r"[-._a-zA-Z0-9]+")


class FileManifests:
    """The ManifestSource port."""

    def load(
        self,
        folder: str,
        manifests: Sequence[str],
        files: Mapping[str, Mapping[str, Sequence[str] | str]],
    ) -> tuple[Mapping[str, Any], ...]:
        """The objects of the manifest files, then the Secrets and ConfigMaps made of ``files``.
        Raises Refused."""
        root = _Folder(folder)
        return (
            *(item for name in manifests for item in _objects(root, name)),
            *(
                _secret(root, name, sources)
                for name, sources in (files.get("secrets") or {}).items()
            ),
            *(
                _config_map(root, name, sources)
                for name, sources in (files.get("configmaps") or {}).items()
            ),
        )


class _Folder:
    """Reads only files inside it, after resolving every symbolic link."""

    def __init__(self, folder: str) -> None:
        try:
            self._root = Path(folder).resolve(strict=True)
        except OSError as error:
            raise Refused(
                f"the folder of the manifests cannot be read: {error.strerror}"
            ) from error

    def path(self, name: str) -> Path:
        asked = Path(name)
        if ".." in asked.parts:
            raise Refused(f"{name}: a path must not contain `..`")
        try:
            found = (self._root / asked).resolve(strict=True)
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise Refused(
                f"{name} cannot be read: there is no such file beside the catalog"
            ) from error
        if not found.is_relative_to(self._root):
            raise Refused(f"{name} is outside the catalog's folder")
        return found

    def read(self, path: Path, name: str) -> bytes:
        try:
            if not path.is_file():
                raise Refused(f"{name} is not a file")
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise Refused(f"{name} cannot be read: {error.strerror}") from error
        if len(content) > MOST_BYTES:
            raise Refused(f"{name} is larger than 1 MiB")
        return content


# --- manifests ------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: dates are strings, and a duplicate key is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        known: set[str] = set()
        for key_node, _ in node.value:
            key = _key_text(self.construct_object(key_node, deep=True))
            if key in known:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is given twice", key_node.start_mark
                )
            known.add(key)
        return super().construct_mapping(node, deep=deep)

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        """The scanner looks at every open bracket for each token, and reads far ahead of who
        counts levels."""
        if self.flow_level > DEEPEST:
            raise _TooMuch(f"is nested deeper than {DEEPEST} levels")
        super().fetch_flow_collection_start(token)

    def documents(self) -> Iterator[Any]:
        """Each document, measured before anything is made of it."""
        measured = _Measured()
        while self.check_node():
            node = self.get_node()
            if node is not None:
                measured.add(node)
            yield self.construct_document(node)


class _Measured:
    """How much a file becomes once its aliases are replaced by what they stand for. Every node is
    visited once, so measuring never costs what it prevents."""

    def __init__(self) -> None:
        self._left = MOST_NODES
        self._sizes: dict[int, int] = {}
        self._kept: list[yaml.Node] = []  # an id names a node for as long as the node lives

    def add(self, document: yaml.Node) -> None:
        self._kept.append(document)
        self._left -= self._size(document, 0)
        if self._left < 0:
            raise _TooMuch(f"becomes more than {MOST_NODES:,} values")

    def _size(self, node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise _TooMuch(f"is nested deeper than {DEEPEST} levels")
        size = self._sizes.get(id(node))
        if size is None:
            self._sizes[id(node)] = MOST_NODES + 1  # until it is known: an alias within its anchor
            size = 1 + sum(self._size(part, depth + 1) for part in _parts(node))
            self._sizes[id(node)] = size
        return size


class _TooMuch(Exception):
    """A file that would grow beyond what a manifest may be."""


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    match node:
        case yaml.MappingNode():
            yield from (part for pair in node.value for part in pair)
        case yaml.SequenceNode():
            yield from node.value
        case _:
            number = node.tag.endswith((":int", ":float"))
            if number and len(node.value) > _LONGEST_NUMBER:
                raise _TooMuch(f"has a number of more than {_LONGEST_NUMBER} characters")


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _objects(root: _Folder, name: str) -> Iterator[Mapping[str, Any]]:
    content = root.read(root.path(name), name)
    try:
        documents = list(_Loader(content).documents())
    except _TooMuch as much:
        raise Refused(f"{name} {much}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise Refused(
            f"{name}{line} is not valid YAML: {_without_quotes(error.problem or '')}"
        ) from None
    except (
        *(yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError),
        *(RecursionError, TypeError),
    ):
        # Also what PyYAML's constructors raise for `!!int text` and the like, with the value in
        # their words.
        raise Refused(f"{name} is not valid YAML") from None
    for number, document in enumerate(documents, start=1):
        where = f"{name}, document {number}" if len(documents) > 1 else name
        if document is None:
            continue
        if (
            isinstance(document, dict)
            and document.get("kind") == "List"
            and isinstance(document.get("items"), list)
        ):
            for index, item in enumerate(document["items"], start=1):
                yield _checked(item, f"{where}, item {index}")
        else:
            yield _checked(document, where)


def _without_quotes(problem: str) -> str:
    """PyYAML quotes what it stumbled over: an unquoted value that begins with ``*``, ``&`` or ``!``
    may be a password."""
    return re.sub(r"'.*'|\".*\"", "…", problem, flags=re.DOTALL)


def _checked(document: Any, where: str) -> Mapping[str, Any]:
    item = _with_text_keys(document)
    if not isinstance(item, dict):
        raise Refused(f"{where} is not a Kubernetes object")
    for key in ("apiVersion", "kind"):
        if not isinstance(item.get(key), str) or not item[key]:
            raise Refused(f"{where} has no {key}")
    meta = item.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        raise Refused(
            f"{where} has no metadata.name"
            + (" (generateName is not taken)" if _generates(meta) else "")
        )
    return item


def _generates(meta: Any) -> bool:
    return isinstance(meta, dict) and "generateName" in meta


def _with_text_keys(value: Any) -> Any:
    """JSON has no other keys: `1: x` is `"1": x` to Kubernetes too."""
    match value:
        case dict():
            return {_key_text(key): _with_text_keys(one) for key, one in value.items()}
        case list():
            return [_with_text_keys(one) for one in value]
        case _:
            return value


def _key_text(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


# --- ConfigMaps and Secrets from files ------------------------------------------------------------


def _config_map(root: _Folder, name: str, sources: Sequence[str] | str) -> Mapping[str, Any]:
    item: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    for key, content in _contents(root, f"configmap {name}", sources).items():
        try:
            item.setdefault("data", {})[key] = content.decode("utf-8")
        except UnicodeDecodeError:
            item.setdefault("binaryData", {})[key] = base64.b64encode(content).decode("ascii")
    return item


def _secret(root: _Folder, name: str, sources: Sequence[str] | str) -> Mapping[str, Any]:
    data = {
        key: base64.b64encode(content).decode("ascii")
        for key, content in _contents(root, f"secret {name}", sources).items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "Opaque",
        "data": data,
    }


def _contents(root: _Folder, what: str, sources: Sequence[str] | str) -> dict[str, bytes]:
    """As ``kubectl create --from-file``: a file under its name or ``KEY=FILE``, a folder's regular
    files, not deeper."""
    found: dict[str, bytes] = {}
    for source in (sources,) if isinstance(sources, str) else sources:
        given, equals, name = source.partition("=")
        name = name if equals else source
        path = root.path(name)
        if path.is_dir():
            if equals:
                raise Refused(f"{what}: a key cannot be given to the folder {name}")
            chosen = [
                (one.name, one)
                for one in sorted(path.iterdir())
                if one.is_file() and not one.is_symlink()
            ]
        else:
            chosen = [(given if equals else Path(name).name, path)]
        for key, file in chosen:
            if (
                not _KEY.fullmatch(key)
                or key in (".", "..")
                or key.startswith("..")
                or len(key) > 253
            ):
                raise Refused(
                    f"{what}: `{key}` is not a valid key (letters, digits, `-`, `_` and `.`)"
                )
            if key in found:
                raise Refused(f"{what}: two files have the key {key}")
            found[key] = root.read(file, f"{name.rstrip('/')}/{key}" if path.is_dir() else name)
    if sum(map(len, found.values())) > MOST_BYTES:
        raise Refused(f"{what}: its files are larger than 1 MiB together")
    return found
