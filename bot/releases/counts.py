"""Numbers with their noun, as people write them."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "pod"), counted(3, "pod"), counted(0, "restart")
    ('1 pod', '3 pods', '0 restarts')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
