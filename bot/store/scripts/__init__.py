"""The Lua scripts, one change each, and how they are run.

Belongs here: the scripts' texts and their loading. Does not belong here: what goes in and what
comes out (the modules beside).
"""

from __future__ import annotations

import weakref
from collections.abc import MutableMapping
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ResponseError

from bot.patience import Patience, current_patience
from bot.redis_errors import TOO_LATE, redis_errors
from bot.runtime import SystemRuntime
from bot.store.connection import PREFIX

CLOCK_KNOWN_S = 60.0
_RUNTIME = SystemRuntime()


@cache
def source(name: str) -> str:
    folder = files(__package__)
    return "\n".join(
        folder.joinpath(f"{part}.lua").read_text("utf-8") for part in ("prelude", name)
    )


class Scripts:
    """Runs a script by name; the server keeps it by its digest and gets it again after a
    restart."""

    def __init__(self, client: Redis, prefix: str = PREFIX) -> None:
        self._client = client
        self._prefix = prefix
        self._known: dict[str, Script] = {}
        self._clock = _CLOCKS.setdefault(client, _RedisClock(client))

    def run(self, name: str, *arguments: str | bytes | int) -> Any:
        """Raises StoreUnavailable; OutcomeUnknown where the script may have run before its sender
        gave up. After that it has no effect any more: Redis itself compares the time."""
        script = self._known.get(name)
        if script is None:
            script = self._known[name] = self._client.register_script(source(name))
        patience = current_patience()
        with redis_errors():
            if patience is None:
                return script(keys=[self._prefix], args=("", *arguments))
            return self._run_in_time(script, arguments, patience)

    def _run_in_time(
        self, script: Script, arguments: tuple[str | bytes | int, ...], patience: Patience
    ) -> Any:
        not_after = self._clock.time_at(patience.ends)
        patience.was_sent = False
        try:
            found = script(keys=[self._prefix], args=(not_after, *arguments))
        except ResponseError as error:
            patience.was_sent = False
            if not str(error).startswith(TOO_LATE) or patience.left_s <= 0:
                raise
            # It came in time: one of the clocks was set.
            not_after = self._clock.time_at(patience.ends, anew=True)
            found = script(keys=[self._prefix], args=(not_after, *arguments))
        patience.was_sent = False
        return found


class _RedisClock:
    """The time of Redis at a moment of this process."""

    def __init__(self, client: Redis) -> None:
        self._client = weakref.proxy(client)
        self._read_at = float("-inf")
        self._ahead_ms = 0

    def time_at(self, monotonic: float, *, anew: bool = False) -> int:
        """Milliseconds; rather too early than too late, by as long as Redis took to answer."""
        if anew or _RUNTIME.monotonic() - self._read_at > CLOCK_KNOWN_S:
            seconds, microseconds = self._client.time()
            self._read_at = _RUNTIME.monotonic()
            at_redis = seconds * 1000 + microseconds // 1000
            self._ahead_ms = at_redis - round(self._read_at * 1000)
        return round(monotonic * 1000) + self._ahead_ms


_CLOCKS: MutableMapping[Redis, _RedisClock] = weakref.WeakKeyDictionary()
