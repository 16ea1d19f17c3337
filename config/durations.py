"""Durations as operators and people write them: ``90s``, ``2m``, ``1h30m``, ``400d``."""

from __future__ import annotations

import re

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", re.ASCII)
PATTERN = r"^\s*(0|([0-9]+(\.[0-9]+)?([mM][sS]|[smhdSMHD]))+)\s*$"
"""What parse_duration takes, for a JSON schema."""
_LONGEST = 40
_MOST_MS = 36_500 * _UNITS["d"]


def parse_duration(text: str) -> int:
    """Milliseconds. Raises ValueError with one line that shows the form."""
    word = text.strip().lower()
    if word == "0":
        return 0
    if len(word) > _LONGEST or not _WHOLE.fullmatch(word):
        raise ValueError(
            f"`{text[:_LONGEST]}` is not a duration: write a number and a unit, such as 90s, 2m or"
            " 1h30m"
        )
    total = round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(word)))
    if total > _MOST_MS:
        raise ValueError(f"`{text}` is too long: a duration is at most 36500d")
    return total


def format_duration(milliseconds: int) -> str:
    """The shortest exact form: ``90000`` is ``1m30s``."""
    rest, parts = max(0, milliseconds), []
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
