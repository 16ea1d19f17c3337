"""The head of the audit reaches Slack, and what Slack has of it finds a tampered Redis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from redis import Redis

from bot.operations.context import Catalog, Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.post_head import HOUR_MS, post_hourly_head
from bot.policy.permissions import Access
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase
from bot.slack.blocks.rendering import SlackRendering
from bot.store import Leases, RedisReleaseStore
from bot.store.audit_chain import heads_in
from bot.work_queue import RqWorkQueue
from tests.builders import T0, a_release
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.unit.store.test_audit import TAMPERING, rewrite, seal_again, stored, verdict

CHANNEL = "C0AUDIT"


@pytest.fixture
def context(redis_client: Redis) -> Context:
    return Context(
        RedisReleaseStore(redis_client),
        RqWorkQueue(redis_client, wake=Leases(redis_client).wake),
        cast(Any, {}),
        RecordingMessenger(),
        InMemoryDirectory(),
        Catalog({}, ("local",), Access(), CHANNEL),
        SlackRendering(),
        cast(Any, None),
    )


def messenger_of(context: Context) -> RecordingMessenger:
    return cast(RecordingMessenger, context.messenger)


def ended(context: Context) -> str:
    made = context.store.create(a_release(), dedup_key="", same_as="", operation="c").release
    over = replace(made, phase=Phase.SUCCEEDED, finished_at=T0)
    context.store.save(over, [Event(T0, EventKind.FINISHED, "hello is on 2")], operation="e")
    deliver_release(context, made.id)
    return made.id


def deliver_all(context: Context, redis: Redis, release_id: str) -> None:
    """As if a minute had passed: what may be posted is not short."""
    for _ in range(3):
        for key in redis.scan_iter("pilothouse:budget*"):
            redis.delete(key)
        deliver_release(context, release_id)


def heads(context: Context) -> list[str]:
    texts = [one.message.text for one in messenger_of(context).sent]
    return [text for text in texts if "sha256:" in text]


def test_the_thread_of_a_final_card_gets_the_head_once_its_end_is_sealed(
    context: Context, redis_client: Redis
) -> None:
    release_id = ended(context)
    assert heads(context) == []
    head = context.store.seal_audit()
    deliver_all(context, redis_client, release_id)
    assert heads(context) == [str(head)]
    posted = messenger_of(context).sent[-1]
    assert posted.how == "post"
    assert posted.thread_ts == context.store.card(release_id)[1]


def test_sealing_wakes_the_delivery_of_a_release_that_is_over(
    context: Context, redis_client: Redis
) -> None:
    release_id = ended(context)
    redis_client.delete("pilothouse:due")
    context.store.seal_audit()
    assert redis_client.zscore("pilothouse:due", f"deliver:{release_id}") is not None


@pytest.mark.parametrize("kind", TAMPERING)
def test_a_tampered_redis_is_found_from_the_messages_in_slack_alone(
    context: Context, redis_client: Redis, kind: str
) -> None:
    """Whoever did it had all of Redis at hand, and made numbers, hashes and seals anew."""
    store = cast(RedisReleaseStore, context.store)
    release_id = ended(context)
    store.write_audit(replace(store.audit()[0], kind="written"), operation="w")
    store.write_audit(replace(store.audit()[0], kind="noted"), operation="n")
    store.seal_audit()
    deliver_all(context, redis_client, release_id)
    witness = tuple(heads_in("\n".join(heads(context))))
    assert witness and not verdict(store, *witness).findings
    rewrite(redis_client, TAMPERING[kind])
    redis_client.hset("pilothouse:audit-state", "number", len(stored(redis_client)))
    seal_again(store, redis_client)
    assert not verdict(store).findings
    assert verdict(store, *witness).findings


class Hours:
    def __init__(self) -> None:
        self.now = 1_000 * HOUR_MS

    def __call__(self) -> int:
        return self.now


def test_the_audit_channel_gets_one_head_an_hour_where_anything_was_recorded(
    context: Context,
) -> None:
    clock = Hours()
    store = InMemoryReleaseStore(clock=clock)
    context = replace(context, store=store)
    post_hourly_head(context)
    assert heads(context) == []  # nothing was ever recorded
    store.create(a_release(), dedup_key="", same_as="", operation="c")
    first = store.seal_audit()
    for _ in range(3):
        post_hourly_head(context)
        clock.now += HOUR_MS
    assert heads(context) == [str(first)]
    store.write_audit(replace(store.audit()[0], kind="noted"), operation="n")
    second = store.seal_audit()
    for _ in range(3):
        post_hourly_head(context)
    assert heads(context) == [str(first), str(second)]
    assert {one.where for one in messenger_of(context).sent} == {CHANNEL}
