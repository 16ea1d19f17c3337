"""A record that a newer Pilothouse wrote, and that this one can read: what it does not know is
written back as it was."""

from __future__ import annotations

from typing import Any


def with_unknown_fields(ours: Any, *, theirs: Any, known: Any) -> Any:
    """``ours``, with the fields of ``theirs`` that ``known`` lacks; ``known`` is how this version
    writes what it read of ``theirs``.

    An item of a list keeps its unknown fields as long as it is unchanged itself.

    >>> with_unknown_fields({"a": 2}, theirs={"a": 1, "b": 7}, known={"a": 1})
    {'a': 2, 'b': 7}
    >>> with_unknown_fields([{"a": 2}, {"a": 1}], theirs=[{"a": 1, "b": 7}], known=[{"a": 1}])
    [{'a': 2}, {'a': 1, 'b': 7}]
    """
    if isinstance(ours, dict) and isinstance(theirs, dict) and isinstance(known, dict):
        kept = {name: value for name, value in theirs.items() if name not in known}
        return kept | {
            name: with_unknown_fields(value, theirs=theirs[name], known=known[name])
            if name in theirs and name in known
            else value
            for name, value in ours.items()
        }
    if isinstance(ours, list) and isinstance(theirs, list) and isinstance(known, list):
        return [theirs[known.index(item)] if item in known else item for item in ours]
    return ours
