"""Connections to Redis that give up when the one who waits for the reply does (bot.patience)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry
from redis.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection

from bot.patience import Patience, current_patience

_WRITES = (b"EVALSHA", b"EXEC")
"""Commands whose effect is unknown while their reply is; everything else of a request only reads,
or keeps what passes."""


class PatientRetry(Retry):
    """Tries again only while there is time for it."""

    __hash__ = Retry.__hash__

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        def is_worth_it(error: Exception) -> bool:
            patience = current_patience()
            if patience is not None and patience.left_s <= 0:
                return False
            return is_retryable is None or is_retryable(error)

        return super().call_with_retry(do, fail, is_worth_it, with_failure_count)


class _Patient:
    """Put before a connection of redis-py."""

    socket_timeout: float | None
    socket_connect_timeout: float | None
    _sock: Any
    _is_limited = False

    def _connect(self) -> Any:
        patience = current_patience()
        if patience is None:
            return super()._connect()  # type: ignore[misc]
        left_s, usual = _time_left(patience), (self.socket_connect_timeout, self.socket_timeout)
        self.socket_connect_timeout, self.socket_timeout = (_at_most(one, left_s) for one in usual)
        try:
            self._is_limited = True
            return super()._connect()  # type: ignore[misc]
        finally:
            self.socket_connect_timeout, self.socket_timeout = usual

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        patience = current_patience()
        if self._sock:
            self._limit(patience)
        super().send_packed_command(command, check_health)  # type: ignore[misc]
        if patience is not None and _is_write(command):
            patience.was_sent = True

    def _limit(self, patience: Patience | None) -> None:
        if patience is not None:
            self._sock.settimeout(_at_most(self.socket_timeout, _time_left(patience)))
            self._is_limited = True
        elif self._is_limited:
            self._sock.settimeout(self.socket_timeout)
            self._is_limited = False


def _time_left(patience: Patience) -> float:
    """Raises redis-py's TimeoutError when nobody waits any more."""
    left_s = patience.left_s
    if left_s <= 0:
        raise RedisTimeout("nobody waits for the reply any more")
    return left_s


def _at_most(usual: float | None, left_s: float) -> float:
    return left_s if usual is None else min(usual, left_s)


def _is_write(command: Any) -> bool:
    parts = [command] if isinstance(command, str | bytes) else command
    return any(name in part for part in parts if isinstance(part, bytes) for name in _WRITES)


class _Plain(_Patient, Connection):
    pass


class _Encrypted(_Patient, SSLConnection):
    pass


class _Local(_Patient, UnixDomainSocketConnection):
    pass


class _OfSentinel(_Patient, SentinelManagedConnection):
    pass


class _OfSentinelEncrypted(_Patient, SentinelManagedSSLConnection):
    pass


_PATIENT: dict[type, type] = {
    Connection: _Plain,
    SSLConnection: _Encrypted,
    UnixDomainSocketConnection: _Local,
    SentinelManagedConnection: _OfSentinel,
    SentinelManagedSSLConnection: _OfSentinelEncrypted,
}


def make_patient(client: Redis) -> None:
    """Before its first connection."""
    pool = client.connection_pool
    with suppress(KeyError):
        pool.connection_class = _PATIENT[pool.connection_class]
