"""The Shelf port in Redis: several processes answer questions, and none of them for ever.
Compressed, and forgotten after a day."""

from __future__ import annotations

import hashlib
import zlib
from typing import cast

from redis import Redis

from bot.ports import StoreUnavailable
from bot.redis_errors import redis_errors
from bot.store.connection import PREFIX

KEPT_MS = 86_400_000


class RedisShelf:
    def __init__(self, client: Redis) -> None:
        self._client = client

    def fetch(self, name: str) -> bytes | None:
        """None also while Redis is unavailable."""
        try:
            with redis_errors():
                found = cast(bytes | None, self._client.get(_key(name)))
        except StoreUnavailable:
            return None
        return None if found is None else zlib.decompress(found)

    def keep(self, name: str, content: bytes) -> None:
        """A Redis that is unavailable or full keeps nothing."""
        try:
            with redis_errors():
                self._client.set(_key(name), zlib.compress(content, 1), px=KEPT_MS)
        except StoreUnavailable:
            return


def _key(name: str) -> str:
    return f"{PREFIX}shelf:{hashlib.sha256(name.encode()).hexdigest()[:32]}"
