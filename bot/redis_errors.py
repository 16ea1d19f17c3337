"""What a failure of Redis means to an operator: one line, the same for the store and the queue."""

from __future__ import annotations

import re
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

from bot.patience import current_patience
from bot.ports import OutcomeUnknown, StoreUnavailable

TOO_LATE = "TOOLATE"
"""How a script begins its refusal to do what its sender no longer waits for."""

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
_SLOW = "Redis did not answer in time: check that it is running and not overloaded"
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
        patience = current_patience()
        kind = OutcomeUnknown if patience is not None and patience.was_sent else StoreUnavailable
        raise kind(line) from error


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
            return _SLOW
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


_CONNECTING = (
    (r"DENIED", _PROTECTED),
    (
        r"CERTIFICATE_VERIFY_FAILED.*(?:[Hh]ostname mismatch|IP address mismatch)",
        "The certificate of Redis is for another host: use the host that it names in REDIS_URL",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED.*expired",
        "The certificate of Redis has expired: renew it",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        (
            "The certificate of Redis is not trusted: name its authority's file in REDIS_URL with"
            " ?ssl_ca_certs=FILE"
        ),
    ),
    (
        r"certificate required|CERTIFICATE_REQUIRED|handshake failure",
        (
            "Redis asks for a client certificate: name it in REDIS_URL with ssl_certfile and"
            " ssl_keyfile"
        ),
    ),
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE",
        "Redis speaks no TLS at that port: use redis:// in REDIS_URL, or its port for TLS",
    ),
    (
        r"No master found.*(?:WRONGPASS|NOAUTH|Authentication)",
        "The Sentinels reject the credentials: check sentinel_password in REDIS_URL",
    ),
    (
        r"No master found.* - ",
        "No Sentinel could be reached: check their hosts and ports in REDIS_URL",
    ),
    (
        r"No master found",
        (
            "The Sentinels know no primary of that service: check the name after the hosts in"
            " REDIS_URL"
        ),
    ),
    (
        r"not known|No address associated|Temporary failure in name",
        "The host of Redis has no address: check its name in REDIS_URL",
    ),
    (
        r"[Cc]onnection closed by server|reset by peer",
        "Redis closed the connection: if it takes TLS alone, use rediss:// in REDIS_URL",
    ),
)
"""What a failed connection says, by redis-py and OpenSSL, and what to do; the first that fits."""


def _unreachable(text: str) -> str:
    for said, line in _CONNECTING:
        if re.search(said, text, re.DOTALL):
            return line
    return "Redis is unreachable: check that it is running and that REDIS_URL is right"


def _refused(text: str) -> str | None:
    if text.startswith("DENIED"):
        return _PROTECTED
    if text.startswith("LOADING"):
        return _LOADING
    if text.startswith(TOO_LATE):
        return _SLOW
    if text.startswith(_REFUSALS):
        return f"Redis refuses writes: {text.splitlines()[0][:200]}"
    return None
