"""Two versions of Pilothouse on one Redis: a record that only the newer can read is left to it,
unharmed and soon."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import orjson
import pytest
from redis import Redis

from bot.operations.context import NEWER_AGAIN_MS, Catalog, Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.sweep import sweep
from bot.policy.permissions import Access
from bot.ports import UnknownSchema
from bot.releases.facts.requests import Pause
from bot.slack.blocks.rendering import SlackRendering
from bot.store import Leases, RedisReleaseStore
from bot.store.connection import PREFIX
from bot.store.records import SCHEMA_VERSION
from bot.work_queue import RqWorkQueue
from tests.builders import DEVELOPER, a_release
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.recording_messenger import RecordingMessenger


@pytest.fixture
def context(redis_client: Redis) -> Context:
    unused = cast(
        Any, None
    )  # whoever looked at a cluster here would act on a record that it cannot read
    catalog = Catalog({}, ("local",), Access(frozenset(), {}))
    queue = RqWorkQueue(redis_client, wake=Leases(redis_client).wake)
    return Context(
        RedisReleaseStore(redis_client),
        queue,
        unused,
        RecordingMessenger(),
        InMemoryDirectory(),
        catalog,
        SlackRendering(),
        unused,
    )


@pytest.fixture
def newer(context: Context, redis_client: Redis) -> str:
    """A release as the next version would have written it: another schema, another shape."""
    created = context.store.create(
        replace(a_release(), id=""), dedup_key="", same_as="", operation="create"
    ).release
    document = orjson.dumps({"schema_version": SCHEMA_VERSION + 1, "release": {"stage": "rolling"}})
    redis_client.hset(f"{PREFIX}release:{created.id}", "document", document)
    return created.id


def test_a_newer_record_is_offered_again_within_a_second(context: Context, newer: str) -> None:
    for work in (advance_release, deliver_release):
        again = work(context, newer)
        assert again is not None and 0 < again - context.store.now() <= NEWER_AGAIN_MS


def test_a_newer_record_is_unchanged(context: Context, newer: str, redis_client: Redis) -> None:
    before = redis_client.hgetall(f"{PREFIX}release:{newer}")
    advance_release(context, newer)
    deliver_release(context, newer)
    sweep(context)
    with pytest.raises(UnknownSchema, match="newer Pilothouse"):
        control_release(context, newer, Pause(DEVELOPER), "paused")
    assert redis_client.hgetall(f"{PREFIX}release:{newer}") == before
    assert cast(RecordingMessenger, context.messenger).sent == []


def test_other_releases_are_still_active(context: Context, newer: str) -> None:
    other = context.store.create(
        replace(a_release(), id=""), dedup_key="", same_as="", operation="another"
    ).release
    assert [release.id for release in context.store.active()] == [other.id]
