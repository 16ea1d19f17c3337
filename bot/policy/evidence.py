"""What log lines of a failed container may show: the last ten, short, without secrets and
addresses of people."""

from __future__ import annotations

from collections.abc import Iterable

import re2

from config.redaction import bounded, printable, redact

MAX_LINES = 10
MAX_LENGTH = 300
_MOST_OF_A_LINE = 2_000
_E_MAIL = re2.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")


def redact_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The last ten lines, each at most 300 characters. They are read as one text, for a key in PEM
    form goes over several."""
    kept = [bounded(line, _MOST_OF_A_LINE) for line in tuple(lines)[-MAX_LINES:]]
    if not kept:
        return ()
    whole = "\n".join(line.replace("\n", " ").replace("\r", " ") for line in kept)
    shown = _E_MAIL.sub("[e-mail]", redact(whole)).split("\n")
    return tuple(printable(line)[:MAX_LENGTH] for line in shown)
