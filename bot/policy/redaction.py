"""What may log lines show? Secrets in key=value, bearer tokens, passwords in URLs and e-mail
addresses are replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_LINES = 10
MAX_LENGTH = 300
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), r"\1 [redacted]"),
    (re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@]+@"), r"\1[redacted]@"),
    (
        re.compile(
            r"(?i)([\"']?[\w.-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credential|authorization)[\w.-]*[\"']?"
            r"\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
        ),
        r"\1[redacted]",
    ),
    (re.compile(r"\b(?:xox[a-z]|xapp|ghp|gho|glpat|AKIA)[-_A-Za-z0-9]{8,}"), "[redacted]"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "[redacted]"),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "[e-mail]"),
)


def redact(line: str) -> str:
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line[:MAX_LENGTH]


def redact_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The last ten lines, each at most 300 characters, redacted."""
    return tuple(redact(line) for line in tuple(lines)[-MAX_LINES:])
