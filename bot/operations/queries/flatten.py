"""An object as lines of field and value, for a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Dotted paths and their values; a named list item appears under its name."""
    match value:
        case dict() if value:
            for key in value:
                yield from leaves(value[key], (*path, key))
        case list() if value:
            for index, one in enumerate(value):
                named = isinstance(one, dict) and isinstance(one.get("name"), str) and len(one) > 1
                inner = {key: part for key, part in one.items() if key != "name"} if named else one
                yield from leaves(inner, (*path, one["name"] if named else str(index)))
        case _:
            yield ".".join(path), str(value)
