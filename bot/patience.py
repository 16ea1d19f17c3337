"""How long someone waits for a reply: what is asked of Redis meanwhile takes no longer.

Slack drops a request that is not acknowledged within three seconds. The deadline belongs to the
request and not to a call, since one request makes several calls.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ACKNOWLEDGE_WITHIN_S = 1.5
"""From the arrival of a request; a second is left for everything else, also on a busy machine."""


@dataclass
class Patience:
    """``ends``: monotonic seconds. ``was_sent``: a write went out whose reply has not come."""

    ends: float
    was_sent: bool = False

    @property
    def left_s(self) -> float:
        return self.ends - time.monotonic()


_current: ContextVar[Patience | None] = ContextVar("patience", default=None)


def current_patience() -> Patience | None:
    """None for a worker, for whom nobody waits with a clock."""
    return _current.get()


@contextmanager
def patience_of(seconds: float) -> Iterator[None]:
    """For what is done inside, on this thread. An earlier deadline around it stays."""
    outer, ends = _current.get(), time.monotonic() + seconds
    token = _current.set(Patience(ends if outer is None else min(ends, outer.ends)))
    try:
        yield
    finally:
        _current.reset(token)
