"""What people are shown of a Kubernetes object: every value that may be a secret is hidden.

The value of an environment variable is shown only where it is plainly harmless
(config.redaction.is_harmless). Annotations that hold a copy of an object, values under a secret's
name and tokens of known formats are hidden wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from config.redaction import HIDDEN, is_harmless, is_secret_name, redact, without_tokens

Path = tuple[str, ...]
_PART = 12_000
_COPIES = ('"stringData"', '"data"', '"kind":"Secret"', "stringData:", "kind: Secret")


def concealed(value: Any) -> Any:
    """The object with everything hidden that may be a secret."""
    return _shown(value, (), lambda _path, _old, shown: shown)


def concealed_pair(before: Any, after: Any) -> tuple[Any, Any]:
    """Both, so that what is hidden in the same place and differs can still be told apart."""
    hidden = dict(_hidden(before)), dict(_hidden(after))

    def marked(mine: int, word: str) -> Callable[[Path, str, str], str]:
        def mark(path: Path, old: str, shown: str) -> str:
            other = hidden[1 - mine].get(path)
            return f"{shown} ({word})" if other is not None and other != old else shown

        return mark

    return _shown(before, (), marked(0, "before")), _shown(after, (), marked(1, "after"))


def _hidden(value: Any) -> Iterator[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []

    def note(path: Path, old: str, shown: str) -> str:
        found.append((path, old))
        return shown

    _shown(value, (), note)
    yield from found


def _shown(value: Any, path: Path, mark: Callable[[Path, str, str], str]) -> Any:
    match value:
        case dict():
            return {
                key: _shown(one, (*path, *_named(value, str(key)), str(key)), mark)
                for key, one in value.items()
            }
        case list() if path[-1:] in (("args",), ("command",)):
            return [
                _shown(one, (*path, *_flag(value, index), str(index)), mark)
                for index, one in enumerate(value)
            ]
        case list():
            return [
                _shown(one, (*path, _name(one) or str(index)), mark)
                for index, one in enumerate(value)
            ]
        case str():
            shown = _text(value, path)
            return value if shown == value else mark(path, value, shown)
        case _:
            return value


def _name(item: Any) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""


def _named(item: dict[Any, Any], key: str) -> Path:
    """A value with a name beside it counts as what has this name."""
    return (_name(item),) if key == "value" else ()


def _flag(words: list[Any], index: int) -> Path:
    before = words[index - 1] if index else ""
    flagged = isinstance(before, str) and before.startswith("-") and is_secret_name(before)
    return ("--secret",) if flagged else ()


def _text(value: str, path: Path) -> str:
    if path[-1:] == ("value",) and len(path) > 1:
        return value if is_harmless(path[-2], value) else HIDDEN
    if "annotations" in path[:-1]:
        copy = any(sign in value for sign in _COPIES)
        return HIDDEN if copy or is_secret_name(path[-1]) else redact(value)
    if path[-2:-1] == ("--secret",):
        return HIDDEN
    if {"args", "command", "data"} & set(path[:-1]):
        return HIDDEN if is_secret_name(path[-1]) else _by_line(value)
    return without_tokens(value)


def _by_line(value: str) -> str:
    """All of a long text, a few lines at a time: a ConfigMap's file is not cut because it is
    long."""
    parts: list[list[str]] = [[]]
    size = 0
    for line in value.split("\n"):
        size += len(line) + 1
        if size > _PART and parts[-1]:
            parts.append([])
            size = len(line) + 1
        parts[-1].append(line)
    return "\n".join(redact("\n".join(lines)) for lines in parts)
