"""Numbers with their noun and lists of names, as people write them."""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "pod"), counted(3, "pod"), counted(0, "restart")
    ('1 pod', '3 pods', '0 restarts')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some_of(names: Sequence[str], most: int) -> str:
    """
    >>> some_of(["hello", "auth"], 2), some_of(["hello", "auth", "shop", "cart"], 2)
    ('hello, auth', 'hello, auth and 2 more')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
