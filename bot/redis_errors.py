"""What a failure of Redis means to an operator: one line, the same for the store and the queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 — redis' own
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 — redis' own
)

from bot.ports import StoreUnavailable

_REFUSALS = (
    "MISCONF",
    "OOM",
    "READONLY",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
)
_IN_A_PIPELINE = "of pipeline caused error: "
"""redis-py puts the number of the command and this before the server's own text."""
_PROTECTED = (
    "Redis is in protected mode and takes no connection from outside:"
    " give it a password and put that into REDIS_URL or REDIS_PASSWORD"
)
_DENIED = "Redis denied a command: give the user in REDIS_URL the rules of docs/how-to/operate.md"
_REJECTED = (
    "Redis rejected the credentials; check the user in REDIS_URL, and its password there or in"
    " REDIS_PASSWORD"
)
_LOADING = "Redis is loading its data: it answers again when that is done"


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turns a failure of Redis into StoreUnavailable with one line that says what to do; a defect
    of ours stays what it is."""
    try:
        yield
    except RedisError as error:
        line = advice(error)
        if line is None:
            raise
        raise StoreUnavailable(line) from error


def advice(error: RedisError) -> str | None:
    """One clear line for an operator, or None where the error is not about Redis' state.

    redis-py derives AuthenticationError and BusyLoadingError from ConnectionError, so they come
    first. An error inside a script arrives as a plain ResponseError that begins with its code.
    """
    text = str(error).rpartition(_IN_A_PIPELINE)[2]
    match error:
        case AuthenticationError() | ResponseError() if _is_about_credentials(error, text):
            return _REJECTED
        case BusyLoadingError():
            return _LOADING
        case TimeoutError():
            return "Redis did not answer in time: check that it is running and not overloaded"
        case ConnectionError():
            return _unreachable(text)
        case OutOfMemoryError():
            return "Redis is full and refuses writes: raise its maxmemory"
        case ReadOnlyError():
            return "Redis is a read-only replica: point REDIS_URL at the primary"
        case NoPermissionError():
            return _DENIED
        case ResponseError():
            return _refused(text)
        case _:
            return None


def _is_about_credentials(error: RedisError, text: str) -> bool:
    return isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS"))


def _unreachable(text: str) -> str:
    if text.startswith("DENIED"):
        return _PROTECTED
    return "Redis is unreachable: check that it is running and that REDIS_URL is right"


def _refused(text: str) -> str | None:
    if text.startswith("DENIED"):
        return _PROTECTED
    if text.startswith("LOADING"):
        return _LOADING
    if text.startswith(_REFUSALS):
        return f"Redis refuses writes: {text.splitlines()[0][:200]}"
    return None
