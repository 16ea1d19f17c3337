"""Redis in this process: the product's own Lua scripts, run by an embedded Lua over values of
this process, under the virtual clock.

Only the commands that the product sends are here. The suite of the store's contract holds them to
what a real Redis replies, and a test holds whole worlds to a second embedded server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from lupa import lua51
from redis.exceptions import ResponseError

from bot.store import Leases, RedisReleaseStore
from bot.store.connection import PREFIX
from tests.simulation.redis_values import Reply, Values

RECORDS = f"{PREFIX}release:".encode()
NUDGE = f"{PREFIX}nudge".encode()


# --- scripts --------------------------------------------------------------------------------------


class Server(Protocol):
    """What a script's ``redis.call`` reaches."""

    def call(self, name: bytes, *arguments: bytes) -> Reply: ...


class _Lua:
    """One interpreter for all worlds of this process: it keeps nothing between two scripts but
    their compiled text. They run one at a time, each to its end."""

    def __init__(self) -> None:
        self._lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self._compiled: dict[str, Any] = {}
        self._server: Server | None = None
        make = self._lua.eval(
            """
            function(call, encode, decode)
              redis = {call = call, error_reply = function(text) return {err = text} end}
              cjson = {encode = encode, decode = decode}
            end
            """
        )
        make(self._call, self._encode, self._decode)

    def run(self, server: Server, text: str, keys: Sequence[Any], values: Sequence[Any]) -> Reply:
        script = self._compiled.get(text)
        if script is None:
            source = f"function(KEYS, ARGV) {text}\nend"
            script = self._compiled[text] = self._lua.eval(source.encode())
        self._server = server
        found = script(
            self._lua.table_from([_bytes(key) for key in keys]),
            self._lua.table_from([_bytes(value) for value in values]),
        )
        return self._reply(found)

    def _call(self, name: bytes, *arguments: Any) -> Any:
        assert self._server is not None
        return self._given(self._server.call(name, *map(_bytes, arguments)))

    def _given(self, reply: Reply) -> Any:
        if reply is None:
            return False
        if isinstance(reply, list):
            return self._lua.table_from([self._given(one) for one in reply])
        return reply

    def _reply(self, found: Any) -> Reply:
        if found is False or found is None:
            return None
        if found is True:
            return 1
        if isinstance(found, (bytes, int)):
            return found
        if isinstance(found, float):
            return int(found)
        if (error := found[b"err"]) is not None:
            raise ResponseError(error.decode())
        return [self._reply(found[index]) for index in range(1, len(found) + 1)]

    def _encode(self, table: Any) -> bytes:
        """A list of texts, the only thing that a script encodes."""
        return orjson.dumps([table[index].decode() for index in range(1, len(table) + 1)])

    def _decode(self, text: bytes) -> Any:
        return self._from_json(orjson.loads(text))

    def _from_json(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, list):
            return self._lua.table_from([self._from_json(one) for one in value])
        if isinstance(value, dict):
            return self._lua.table_from(
                {name.encode(): self._from_json(one) for name, one in value.items()}
            )
        return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return f"{value:.17g}".encode() if isinstance(value, float) else b"%d" % value


_LUA = _Lua()


class _Script:
    def __init__(self, server: Server, text: str) -> None:
        self._server, self._text = server, text

    def __call__(self, *, keys: Sequence[Any], args: Sequence[Any]) -> Reply:
        return _LUA.run(self._server, self._text, keys, args)


# --- the client -----------------------------------------------------------------------------------


class Client:
    """What the product calls of redis-py."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def register_script(self, text: str) -> _Script:
        return _Script(self._values, text)

    def pipeline(self, **_: bool) -> _Pipeline:
        return _Pipeline(self)

    def _send(self, name: bytes, *arguments: Any) -> Reply:
        return self._values.call(name, *map(_bytes, arguments))

    def time(self) -> tuple[int, int]:
        seconds, microseconds = self._send(b"TIME")
        return int(seconds), int(microseconds)

    def get(self, key: str) -> Reply:
        return self._send(b"GET", key)

    def set(self, key: str, value: str | bytes | int, *, px: int = 0, nx: bool = False) -> Reply:
        options = [*((b"PX", px) if px else ()), *((b"NX",) if nx else ())]
        return self._send(b"SET", key, value, *options)

    def delete(self, *keys: str) -> Reply:
        return self._send(b"DEL", *keys)

    def hget(self, key: str, name: str) -> Reply:
        return self._send(b"HGET", key, name)

    def hmget(self, key: str, names: Sequence[str | bytes]) -> Reply:
        return self._send(b"HMGET", key, *names)

    def hvals(self, key: str) -> Reply:
        return self._send(b"HVALS", key)

    def hgetall(self, key: str) -> Reply:
        found = self._send(b"HGETALL", key)
        return dict(zip(found[::2], found[1::2], strict=True))

    def hincrby(self, key: str, name: str, by: int) -> Reply:
        return self._send(b"HINCRBY", key, name, by)

    def lindex(self, key: str, at: int) -> Reply:
        return self._send(b"LINDEX", key, at)

    def lrange(self, key: str, first: int, last: int) -> Reply:
        return self._send(b"LRANGE", key, first, last)

    def zcard(self, key: str) -> Reply:
        return self._send(b"ZCARD", key)

    def zrange(self, key: str, first: int, last: int, *, withscores: bool = False) -> Reply:
        if not withscores:
            return self._send(b"ZRANGE", key, first, last)
        found = self._send(b"ZRANGE", key, first, last, b"WITHSCORES")
        return [*zip(found[::2], map(float, found[1::2]), strict=True)]

    def zrevrange(self, key: str, first: int, last: int) -> Reply:
        return self._send(b"ZREVRANGE", key, first, last)

    def zrangebyscore(self, key: str, least: Any, most: Any, start: int, num: int) -> Reply:
        return self._send(b"ZRANGEBYSCORE", key, least, most, b"LIMIT", start, num)

    def zscore(self, key: str, member: str) -> Reply:
        found = self._send(b"ZSCORE", key, member)
        return None if found is None else float(found)

    def xrevrange(self, key: str, *, count: int) -> Reply:
        return _entries(self._send(b"XREVRANGE", key, b"+", b"-", b"COUNT", count))

    def xrange(
        self, key: str, first: str | bytes, last: str | bytes, *, count: int | None = None
    ) -> Reply:
        options = () if count is None else (b"COUNT", count)
        return _entries(self._send(b"XRANGE", key, first, last, *options))


def _entries(found: Reply) -> Reply:
    return [(entry, dict(zip(fields[::2], fields[1::2], strict=True))) for entry, fields in found]


class _Pipeline:
    def __init__(self, client: Client) -> None:
        self._client, self._calls = client, list[Callable[[], Reply]]()

    def __getattr__(self, method: str) -> Callable[..., None]:
        send = getattr(self._client, method)
        return lambda *args, **kwargs: self._calls.append(lambda: send(*args, **kwargs))

    def execute(self) -> list[Reply]:
        return [send() for send in self._calls]


class RedisInProcess:
    """One server. ``now_ms`` is its clock."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._values = Values(now_ms)
        self.client: Any = Client(self._values)

    def store(self, new_id: Callable[[], str]) -> RedisReleaseStore:
        """As one process connects to it."""
        return RedisReleaseStore(self.client, new_id=new_id)

    def leases(self, new_id: Callable[[], str]) -> Leases:
        return Leases(self.client, new_id=new_id)

    def is_nudged(self) -> bool:
        """Whether something was woken since a ticker looked."""
        return NUDGE in self._values.kept

    def unnudge(self) -> None:
        self.client.delete(NUDGE)

    def remember(self) -> Any:
        """What is on its disk."""
        return self._values.copy()

    def go_back(self, remembered: Any) -> None:
        """As after a restart from what was on its disk."""
        self._values.kept, self._values.ends = remembered
        self._values.kept, self._values.ends = self._values.copy()

    # --- records, past the product ----------------------------------------------------------------

    def documents(self) -> dict[str, bytes]:
        """By the ids of the releases."""
        kept = self._values.kept.items()
        return {
            name.removeprefix(RECORDS).decode(): found[b"document"]
            for name, found in kept
            if name.startswith(RECORDS)
        }

    def rewrite(self, change: Callable[[str, bytes], bytes]) -> None:
        """As another process that saves them without a new version."""
        for release_id, document in self.documents().items():
            record = self._values.kept[RECORDS + release_id.encode()]
            record[b"document"] = change(release_id, document)
