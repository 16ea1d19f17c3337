"""How every process logs: one line each, as text or as JSON, to standard error."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

from config.redaction import bounded, printable, redact

QUIET = ("rq", "rq.worker", "rq.job", "urllib3", "slack_bolt", "slack_sdk", "kubernetes")
"""Libraries whose own information is noise: they log from `warning` on, unless the level is
debug."""

MOST_OF_A_MESSAGE = 8_192
MOST_OF_A_TRACE = 8_192
"""Of its beginning and of its end, where the error is."""
CONTINUED = "\n  | "
"""Begins the further lines of a trace, so that no text in it can pass for a line of the log."""


def without_secrets(text: str) -> str:
    """One printable line, without secrets, whoever logs it and whatever its length."""
    return printable(redact(bounded(text, MOST_OF_A_MESSAGE)))


def _trace(text: str) -> list[str]:
    if len(text) > 2 * MOST_OF_A_TRACE:
        end = text[-MOST_OF_A_TRACE:].partition("\n")[2]
        text = f"{redact(bounded(text, MOST_OF_A_TRACE))}\n{redact(end)}"
    else:
        text = redact(text)
    return [printable(line) for line in text.split("\n")]


class TextLines(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's own name)
        record.message = without_secrets(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += _trace(self.formatException(record.exc_info))
        if record.stack_info:
            lines += _trace(self.formatStack(record.stack_info))
        return CONTINUED.join(lines)


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
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = "\n".join(_trace(self.formatException(record.exc_info)))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, log_format: Literal["text", "json"]) -> None:
    """``level``: debug, info, warning, error. Replaces what was configured before."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextLines("%(asctime)s %(levelname)-7s %(name)s[%(process)d] %(message)s")
    handler.setFormatter(JsonLines() if log_format == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
