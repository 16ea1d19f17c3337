"""`pilothouse schema`: the JSON schema of the catalog, for editors, made from the catalog's own
models.

It knows the shape of a catalog and what each key means. `pilothouse check` knows more: that steps
rise, that a name is one of the catalog's, that a file is there.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from config import access_entries, entries, watch_entry
from config.durations import PATTERN, format_duration
from config.entries import CatalogFile
from config.entry_types import Entry

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What helm and the editors' language servers read."""

Schema = dict[str, Any]


def catalog_schema(*, at: str = "#") -> Schema:
    """``at``: where it will stand in another schema, as a JSON pointer."""
    found = CatalogFile.model_json_schema(ref_template=f"{at}/$defs/{{model}}")
    modules = (entries, access_entries, watch_entry)
    for name, key, text in (one for module in modules for one in described(module, Entry)):
        entry = found if name == CatalogFile.__name__ else found["$defs"].get(name)
        if entry is not None:
            entry["properties"][key]["description"] = text
    return {str(key): for_people(value) for key, value in found.items() if key != "title"}


def described(module: ModuleType, base: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Model, key and what is written below it. Read from the source here: pydantic would read it
    whenever the models are imported, 40 ms of each process."""
    for node in ast.parse(inspect.getsource(module)).body:
        kind = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not (isinstance(kind, type) and issubclass(kind, base)):
            continue
        assert isinstance(node, ast.ClassDef)
        for field, below in pairwise(node.body):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    yield kind.__name__, kind.model_fields[name].alias or name, text
                case _:
                    pass


def for_people(part: Any) -> Any:
    """A schema without titles, which repeat the key, and with defaults as they are written."""
    if isinstance(part, list):
        return [for_people(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    result = {
        key: for_people(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str)) and key not in ("default", "const")
    }
    if "const" in part:
        result["const"] = part["const"]
    if "patternProperties" in part:
        result["additionalProperties"] = False  # a name that does not match is a mistake
    if isinstance(part.get("description"), str):
        about = " ".join(part["description"].replace("``", "`").split())
        result = {"description": about, **{k: v for k, v in result.items() if k != "description"}}
    default = _default(part)
    return result if default is None else {**result, "default": default}


def _default(part: Mapping[str, Any]) -> Any:
    """As it is written in a catalog; None for what follows from the parts, and for null."""
    value = part.get("default")
    if isinstance(value, Mapping):
        return None
    is_duration = any(
        isinstance(one, Mapping) and one.get("pattern") == PATTERN for one in part.get("anyOf", ())
    )
    return format_duration(value) if is_duration and isinstance(value, int) else value


def main(arguments: Sequence[str] | None = None) -> int:
    argparse.ArgumentParser(
        prog="pilothouse schema",
        description="Print the JSON schema of the catalog, for editors.",
    ).parse_args(arguments)
    print(json.dumps({"$schema": DIALECT, **catalog_schema()}, indent=2, ensure_ascii=False))
    return 0
