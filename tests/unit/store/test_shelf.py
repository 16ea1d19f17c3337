"""What is kept between jobs, and that nothing depends on it."""

from __future__ import annotations

from redis import Redis

from bot.store import RedisShelf, connect
from bot.store.shelf import KEPT_MS

DOCUMENT = b'{"components": {"schemas": {}}}' * 500


def test_a_kept_document_is_compressed_and_expires(redis_client: Redis) -> None:
    shelf = RedisShelf(redis_client)
    assert shelf.fetch("https://cluster/openapi/v3/apis/apps/v1?hash=A") is None
    shelf.keep("https://cluster/openapi/v3/apis/apps/v1?hash=A", DOCUMENT)
    assert (
        RedisShelf(redis_client).fetch("https://cluster/openapi/v3/apis/apps/v1?hash=A") == DOCUMENT
    )
    assert shelf.fetch("https://cluster/openapi/v3/apis/apps/v1?hash=B") is None
    (key,) = redis_client.keys("*shelf*")
    assert redis_client.strlen(key) < len(DOCUMENT) / 10
    assert 0 < redis_client.pttl(key) <= KEPT_MS


def test_without_redis_nothing_is_kept_and_nothing_fails() -> None:
    away = RedisShelf(connect("redis://127.0.0.1:1/0"))
    away.keep("name", DOCUMENT)
    assert away.fetch("name") is None
