"""The Lua scripts, one change each, and how they are run.

Belongs here: the scripts' texts and their loading. Does not belong here: what goes in and what
comes out (the modules beside).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script

from bot.redis_errors import redis_errors
from bot.store.connection import PREFIX


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

    def run(self, name: str, *arguments: str | bytes | int) -> Any:
        """Raises StoreUnavailable."""
        script = self._known.get(name)
        if script is None:
            script = self._known[name] = self._client.register_script(source(name))
        with redis_errors():
            return script(keys=[self._prefix], args=arguments)
