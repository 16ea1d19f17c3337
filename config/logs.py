"""How every process logs: one line each, as text or as JSON, to standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Literal

QUIET = ("rq", "rq.worker", "rq.job", "urllib3", "slack_bolt", "slack_sdk", "kubernetes")
"""Libraries whose own information is noise: they log from `warning` on, unless the level is
debug."""


_SECRETS = (
    (re.compile(r"\bx(?:ox[a-z]|app)-[\w-]+"), "x…"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@]+@"), r"\1:…@"),
    (re.compile(r"(?i)\b(bearer) +[\w.~+/=-]+"), r"\1 …"),
    (re.compile(r"(?i)\b(\w*(?:token|password|secret))=[^\s&]+"), r"\1=…"),
)


def without_secrets(text: str) -> str:
    """Removes tokens, passwords in URLs and bearer tokens."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """``level``: debug, info, warning, error. Replaces what was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextLines("%(asctime)s %(levelname)-7s %(name)s[%(process)d] %(message)s")
    handler.setFormatter(JsonLines() if log_format == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
