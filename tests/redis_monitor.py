"""Which commands and keys each user of a Redis sends, read from MONITOR. What a script calls counts
for the user who ran it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

_LINE = re.compile(r'^[\d.]+ \[\d+ (\S+)\] (".*")$')
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_CONTAINERS = frozenset({"acl", "client", "command", "config", "script"})
_END = "the end of the recording"
_WORDS_THAT_TELL_KEYS_APART = 4


@dataclass
class Usage:
    """By user: command (``client|setname``) -> the keys it touched, and the digests of scripts."""

    by_user: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    scripts: dict[str, set[str]] = field(default_factory=dict)

    def commands(self, user: str) -> set[str]:
        return set(self.by_user.get(user, {}))

    def keys(self, user: str) -> set[str]:
        return {key for keys in self.by_user.get(user, {}).values() for key in keys}


def denials(url: str) -> list[str]:
    """What Redis denied its users since its start. ``url`` is an administrator's."""
    with closing(Redis.from_url(url, decode_responses=True)) as administrator:
        entries = cast(list[dict[str, str]], administrator.acl_log())
    return [f"{one['username']}: {one['reason']} {one['object']}" for one in entries]


@contextmanager
def monitored(url: str) -> Iterator[Usage]:
    """``url`` is an administrator's. The usage is there when the context has been left."""
    administrator = Redis.from_url(url, decode_responses=True, socket_timeout=600)
    recorder = _Recorder(administrator)
    with administrator.monitor() as monitor:  # type: ignore[no-untyped-call]
        reader = threading.Thread(target=recorder.read, args=(monitor.connection,))
        reader.start()
        try:
            yield recorder.usage
        finally:
            administrator.echo(_END)
            reader.join(120)
            assert not reader.is_alive(), "the recording is not complete"
    recorder.find_keys()
    administrator.close()


class _Recorder:
    """Redis sends every command of everybody: a reader that asked for the keys of each meanwhile
    fell behind on a busy machine, and the recording ended before its end."""

    def __init__(self, administrator: Redis) -> None:
        self.usage = Usage()
        self._administrator = administrator
        self._users: dict[str, str] = {}  # by address
        self._calls: dict[tuple[str, ...], list[str]] = {}  # one of each user and shape
        self._caller = ""

    def read(self, connection: Any) -> None:
        while True:
            found = _LINE.match(cast(str, connection.read_response()))
            assert found is not None
            words = [_plain(word) for word in _WORD.findall(found[2])]
            if words[-1] == _END:
                return
            if found[1] != "lua":
                self._caller = self._user_at(found[1])
            shape = words[:_WORDS_THAT_TELL_KEYS_APART]
            self._calls.setdefault((self._caller, *shape), words)

    def find_keys(self) -> None:
        keys: dict[tuple[str, ...], list[str]] = {}
        for (user, *shape), words in self._calls.items():
            if tuple(shape) not in keys:
                keys[tuple(shape)] = self._keys_of(words)
            self._record(user, words, keys[tuple(shape)])

    def _user_at(self, address: str) -> str:
        if address not in self._users:
            clients = self._administrator.client_list()
            self._users |= {one["addr"]: one["user"] for one in clients}
        return self._users.get(address, "?")

    def _record(self, user: str, words: list[str], keys: list[str]) -> None:
        command = words[0].lower()
        if command in _CONTAINERS:
            command += f"|{words[1].lower()}"
        if command == "evalsha":
            self.usage.scripts.setdefault(user, set()).add(words[1])
        self.usage.by_user.setdefault(user, {}).setdefault(command, set()).update(keys)

    def _keys_of(self, words: list[str]) -> list[str]:
        try:
            return cast(list[str], self._administrator.command_getkeys(*words))
        except RedisError:
            return []  # a command without keys


def _plain(word: str) -> str:
    return word.replace('\\"', '"').replace("\\\\", "\\")
