"""Does a reason say enough for those who read it later?"""

from __future__ import annotations

LEAST_WORDS = 3
"""Of the reason to override a freeze, or to use an emergency strategy."""


def explains(reason: str) -> bool:
    return len(reason.split()) >= LEAST_WORDS
