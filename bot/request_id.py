"""Which request of a person the work of this thread is for: one short id, from Slack's command or
click to the calls to Kubernetes.

The id follows from the name that Slack gave the request, so that the bot and a worker agree on it
without passing it on, and a request that Slack sends again keeps it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

ID_LENGTH = 12


@dataclass(frozen=True)
class Work:
    """ "" where nobody asked, or for no release."""

    request: str = ""
    release: str = ""
    is_way_back: bool = False  # a rollback or an undo, which nothing may hold up


NOBODYS = Work()
_current: ContextVar[Work] = ContextVar("work", default=NOBODYS)


def request_id(dedup_key: str, user: str = "") -> str:
    """``dedup_key``: of the request; a click's may end with the ``user``. "" for "".

    >>> request_id("click:17.1:ph_undo:18.2:U1", "U1") == request_id("click:17.1:ph_undo:18.2")
    True
    """
    key = dedup_key.removesuffix(f":{user}") if user else dedup_key
    return hashlib.sha256(key.encode()).hexdigest()[:ID_LENGTH] if key else ""


def current_work() -> Work:
    return _current.get()


@contextmanager
def working_for(request: str, release: str = "", *, is_way_back: bool = False) -> Iterator[None]:
    """For what is done inside, on this thread, and in reads that it begins beside it."""
    token = _current.set(Work(request, release, is_way_back))
    try:
        yield
    finally:
        _current.reset(token)
