"""Traces of what is done for a request, from the command to the last edit of a card. They are on
where the environment names a receiver; off, nothing is imported, and a span costs one comparison.

A trace belongs to the request that began it. Its ids follow from the request's own (see
bot.request_id), which is in Redis with every question and release: so each process finds the trace
of what it works on, also after a restart, and a request that Slack sends again stays one trace.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.otel import OtelTracer

log = logging.getLogger(__name__)

_NOTHING: AbstractContextManager[None] = nullcontext()
Value = str | int | float


NONE: Mapping[str, Value] = {}
_tracer: OtelTracer | None = None


def span(
    name: str, attributes: Mapping[str, Value] = NONE, *, of: str = "", begins: bool = False
) -> AbstractContextManager[None]:
    """What is done inside. ``of``: the id of the request whose trace it belongs to, "" for that of
    the span around it; without one there is no span. ``begins``: it is the first of its trace."""
    if _tracer is None:
        return _NOTHING
    return _tracer.span(name, of, begins, attributes)


def describe(name: str, attributes: Mapping[str, Value]) -> None:
    """The span that is open: what was not known when it began. ``name``: "" to keep it."""
    if _tracer is not None:
        _tracer.describe(name, attributes)


def wait_began(at_s: float) -> None:
    """Of the job that begins now: when it went into its queue, in seconds since 1970."""
    if _tracer is not None:
        _tracer.wait_began(at_s)


def headers() -> Mapping[str, str]:
    """Of a request to a server that may continue the trace (W3C Trace Context)."""
    return {} if _tracer is None else _tracer.headers()


def begin(process: str, *, wanted: bool) -> None:
    """In a process that will not fork any more: spans are sent from a thread. ``wanted``: see
    Settings.traces."""
    if not wanted:
        return
    try:
        from bot.otel import make_tracer
    except ModuleNotFoundError as missing:
        log.warning("no traces: %s is missing; install the extra otel", missing.name)
        return
    use(make_tracer(process))


def use(tracer: OtelTracer | None) -> None:
    global _tracer
    _tracer = tracer


def end() -> None:
    """Sends what is not sent yet."""
    if _tracer is not None:
        _tracer.end()
