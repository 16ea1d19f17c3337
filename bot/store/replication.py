"""Redis with Sentinel: which server is the primary, and a write that counts only once a replica has
it too.

A write that the primary alone holds is lost when that primary dies, and Sentinel makes another
server the primary. So each write is followed by WAIT, and counts as done
once it will survive the failover. A write that is in effect at the primary, but at too few
replicas, is answered with an error; sending it again is safe, since every write carries an
operation id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import Redis
from redis.exceptions import ResponseError

from config.redis_url import (
    ENCRYPTED_SCHEMES,
    SENTINEL_SCHEMES,
    TLS_OPTIONS,
    mistake_in,
    options_of,
)

SENTINEL_PORT = 26_379
_NO = ("0", "f", "false", "n", "no")
WRITES = frozenset(
    {"EVALSHA", "SET", "HSET"}
)  # what bot.store sends alone; all else of it goes through scripts
WAIT_MS = 1_000


def is_sentinel_url(url: str) -> bool:
    return urlsplit(url).scheme in SENTINEL_SCHEMES


@dataclass(frozen=True)
class SentinelGroup:
    """``redis+sentinel://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT],…/SERVICE[/DATABASE][?replicas=1&sentinel_password=…]``

    ``tls``: how Sentinels and servers are reached by ``rediss+sentinel://``, in redis-py's words.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    username: str = ""
    password: str = ""
    sentinel_password: str = ""
    replicas: int = 1
    tls: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, url: str) -> SentinelGroup:
        """Raises ValueError with what is wrong, in words that show nothing secret."""
        parts = urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        service, _, database = parts.path.strip("/").partition("/")
        named = options_of(parts)
        if not service or not hosts:
            raise ValueError(
                "names no Sentinel or no service: use"
                " redis+sentinel://HOST:26379,HOST:26379/SERVICE"
            )
        if database and not database.isdigit():
            raise ValueError(
                "does not end in a database number: use redis+sentinel://HOST:26379/SERVICE/0"
            )
        if mistake := mistake_in(url):
            raise ValueError(mistake)
        if not named.get("replicas", "1").isdigit():
            raise ValueError("has `replicas` that are not a number")
        return cls(
            sentinels=tuple(_address(host) for host in hosts.split(",")),
            service=service,
            database=int(database or 0),
            username=unquote(username),
            password=unquote(password),
            sentinel_password=named.get("sentinel_password", ""),
            replicas=int(named.get("replicas", "1")),
            tls=_tls(parts.scheme, named),
        )


def _tls(scheme: str, named: Mapping[str, str]) -> Mapping[str, Any]:
    if scheme not in ENCRYPTED_SCHEMES:
        return {}
    found: dict[str, Any] = {name: named[name] for name in TLS_OPTIONS if name in named}
    if "ssl_check_hostname" in found:
        found["ssl_check_hostname"] = found["ssl_check_hostname"].lower() not in _NO
    return {"ssl": True, **found}


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    if not host or (port and not port.isdigit()):
        raise ValueError("names a Sentinel that is not HOST:PORT")
    return host, int(port or SENTINEL_PORT)


class ReplicatedRedis(Redis):
    """``replicas``: how many must have a write before it counts; 0 asks for none."""

    replicas = 0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if not self.replicas or args[0] not in WRITES:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        both = self.pipeline(
            transaction=False
        )  # one connection: WAIT is about the writes of its own
        both.execute_command(*args, **options)  # type: ignore[no-untyped-call]
        both.execute_command("WAIT", self.replicas, WAIT_MS)  # type: ignore[no-untyped-call]
        answer, reached = both.execute()
        if reached < self.replicas:
            raise ResponseError(f"NOREPLICAS {reached} of {self.replicas} replicas have the write")
        return answer
