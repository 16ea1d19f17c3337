"""What only Redis can show: concurrency, what is written, and what happens when the server is
unwell."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

import orjson
import pytest
from redis import Redis

from bot.ports import AuditLine, StoreUnavailable, UnknownSchema, VersionConflict
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.people import Person, Vote
from bot.releases.facts.release import GateState, Phase, Progress, Release
from bot.store import RedisReleaseStore, Retention, connect, records
from bot.store.connection import PREFIX
from bot.store.health import check_settings
from bot.store.releases import TIME_STANDS_S
from sandbox.redis_server import EmbeddedRedis
from tests.builders import DEVELOPER, T0, a_release, a_target
from tests.transitions.test_requests import holding


@pytest.fixture
def store(redis_client: Redis) -> RedisReleaseStore:
    return RedisReleaseStore(redis_client)


def test_fifty_people_who_type_the_same_command_start_one_release(
    store: RedisReleaseStore, redis_url: str
) -> None:
    def type_it(number: int) -> tuple[str, bool]:
        mine = RedisReleaseStore(Redis.from_url(redis_url))
        created = mine.create(
            a_release(),
            dedup_key=f"trigger-{number}",
            same_as="hello 2.0.0 rolling",
            operation=f"o-{number}",
        )
        return created.release.id, created.fresh

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(type_it, range(50)))
    assert {release_id for release_id, _ in answers} == {"hello-1"}
    assert sum(fresh for _, fresh in answers) == 1
    assert len(store.active()) == 1


class OwnClock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def times_asked(client: Redis) -> int:
    return int(client.info("commandstats").get("cmdstat_time", {"calls": 0})["calls"])


def test_a_worker_asks_for_the_time_once_and_counts_on(redis_client: Redis) -> None:
    clock = OwnClock()
    store, asked = RedisReleaseStore(redis_client, monotonic=clock), times_asked(redis_client)
    first = store.now()
    clock.seconds += TIME_STANDS_S / 2
    assert store.now() - first in (249, 250, 251)
    assert times_asked(redis_client) == asked + 1


def test_a_worker_soon_learns_that_the_clock_was_set(redis_client: Redis) -> None:
    clock = OwnClock()
    store = RedisReleaseStore(redis_client, monotonic=clock)
    first = store.now()
    clock.seconds += TIME_STANDS_S  # Redis' own time passes otherwise: as after a jump
    assert store.now() < first + 1000 * TIME_STANDS_S


def test_an_id_does_not_come_again_after_redis_lost_everything(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    def start(operation: str) -> str:
        created = store.create(a_release(), dedup_key="", same_as="", operation=operation)
        return created.release.id

    before = {start("first"), start("second")}
    redis_client.flushall()
    after = {start("third"), start("fourth")}
    assert len(before | after) == 4


def test_an_installation_with_releases_keeps_its_numbers(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    """From before a first number was kept."""
    redis_client.delete("pilothouse:first_number")
    redis_client.hset("pilothouse:counter", "hello", 41)
    created = store.create(a_release(), dedup_key="", same_as="", operation="next")
    assert created.release.id == "hello-42"


def test_of_many_who_save_the_same_version_one_wins(
    store: RedisReleaseStore, redis_url: str
) -> None:
    release = store.create(a_release(), dedup_key="", same_as="", operation="create").release

    def save(number: int) -> bool:
        try:
            RedisReleaseStore(Redis.from_url(redis_url)).save(
                replace(release, reason=f"{number}"), (), operation=f"s-{number}"
            )
        except VersionConflict:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(save, range(20))) == 1
    assert store.load(release.id).version == 2


def test_a_record_of_a_newer_schema_is_left_alone(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    other = store.create(a_release(), dedup_key="", same_as="", operation="create another").release
    newer = b'{"schema_version":99,"release":{}}'
    redis_client.hset(f"{PREFIX}release:{release.id}", "document", newer)
    with pytest.raises(UnknownSchema, match="newer Pilothouse"):
        store.load(release.id)
    assert [r.id for r in store.active()] == [other.id]
    assert redis_client.hget(f"{PREFIX}release:{release.id}", "document") == newer


def test_a_skipped_record_is_logged_once(
    store: RedisReleaseStore, redis_client: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    newer = b'{"schema_version":99,"release":{}}'
    redis_client.hset(f"{PREFIX}release:{release.id}", "document", newer)
    for _ in range(3):
        with pytest.raises(UnknownSchema):
            store.load(release.id)
        store.active()
    assert [line.getMessage() for line in caplog.records] == [
        (
            f"skipped: release {release.id} was written by a newer Pilothouse (schema 99, this"
            f" one reads {records.SCHEMA_VERSION}): upgrade"
        )
    ]


def test_a_record_that_lacks_a_newer_field_gets_its_default(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    document = records.unpack(
        cast(bytes, redis_client.hget(f"{PREFIX}release:{release.id}", "document"))
    )
    del document["release"]["judgements"]
    redis_client.hset(f"{PREFIX}release:{release.id}", "document", orjson.dumps(document))
    assert store.load(release.id) == release


def test_names_are_forgotten_after_their_time_and_ids_are_not(redis_client: Redis) -> None:
    store = RedisReleaseStore(redis_client, retention=Retention(names_ms=-1_000))
    vote = Vote(Person("T1", "U0MANAGER", "the manager"), T0)
    draft = a_release(
        requested_by=DEVELOPER, progress=Progress(gate=GateState(0, 0, T0, votes=(vote,)))
    )
    release = store.create(draft, dedup_key="", same_as="", operation="create").release
    store.reconcile()
    assert store.load(release.id).requested_by.name == DEVELOPER.name
    over = store.save(replace(release, phase=Phase.SUCCEEDED), (), operation="save")
    store.reconcile()
    kept = store.load(release.id)
    assert (kept.version, kept.requested_by.user, kept.requested_by.name) == (
        over.version,
        DEVELOPER.user,
        "",
    )
    assert kept.progress.gate is not None and (
        kept.progress.gate.votes[0].by.user,
        kept.progress.gate.votes[0].by.name,
    ) == (
        "U0MANAGER",
        "",
    )


def test_a_lock_whose_holder_is_gone_is_freed(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    gone = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    waiting = store.create(
        a_release(), dedup_key="", same_as="", operation="create another"
    ).release
    store.acquire(gone, ["deployment"])
    assert store.acquire(waiting, ["deployment"]).behind == gone.id
    redis_client.delete(f"{PREFIX}release:{gone.id}")
    assert any("freed" in line for line in store.reconcile())
    assert store.acquire(waiting, ["deployment"]).behind == ""


def test_many_workers_run_the_releases_of_an_app_in_the_order_of_acceptance(
    store: RedisReleaseStore, redis_url: str
) -> None:
    accepted = [
        store.create(a_release(), dedup_key="", same_as="", operation=f"create {number}").release
        for number in range(12)
    ]
    ran: list[str] = []

    def work(release: Release) -> None:
        mine = RedisReleaseStore(Redis.from_url(redis_url))
        while mine.acquire(release, ["deployment", "service"]).behind:
            pass
        ran.append(release.id)
        mine.save(replace(release, phase=Phase.SUCCEEDED), (), operation=f"end {release.id}")

    with ThreadPoolExecutor(len(accepted)) as pool:  # the newest asks first
        list(pool.map(work, reversed(accepted)))
    assert ran == [release.id for release in accepted]


def test_a_release_that_left_the_queue_blocks_no_other(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    holder, gone, waiting = (
        store.create(
            a_release(target=a_target(app=app)), dedup_key="", same_as="", operation=f"create {app}"
        ).release
        for app in ("hello", "cart", "shop")
    )
    store.acquire(holder, ["deployment"])
    assert store.acquire(gone, ["deployment"]).behind == holder.id
    assert store.acquire(waiting, ["deployment"]).behind == gone.id
    redis_client.delete(f"{PREFIX}release:{gone.id}")
    store.save(replace(holder, phase=Phase.SUCCEEDED), (), operation="over")
    # As it is when the locks were handed to a release that is gone, and freed.
    redis_client.delete(f"{PREFIX}lock-owner")
    redis_client.zadd(f"{PREFIX}lock-queue:deployment", {gone.id: 0})
    assert store.acquire(waiting, ["deployment"]).behind == gone.id
    assert any("that are over" in line for line in store.reconcile())
    assert store.acquire(waiting, ["deployment"]).behind == ""


def test_a_release_that_waits_takes_little_of_redis_memory(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    """A thousand in a hold take at most 20 MB, their audit lines included; measured with the
    template of the demo app."""
    releases = 25

    def used() -> int:
        return int(redis_client.info("memory")["used_memory"])

    before = used()
    for number in range(releases):
        place = replace(holding().target, app=f"app{number}", deployment=f"app{number}")
        release = store.create(
            replace(holding(), id="", target=place),
            dedup_key=f"{number}",
            same_as="",
            operation=f"c{number}",
        ).release
        store.acquire(release, [f"Deployment/app{number}", f"Service/app{number}"])
        for step in range(7):
            told = (
                Event(
                    T0,
                    EventKind.STEP_DONE,
                    "share 50 %: 1 of 2 pods are candidates: done",
                    DEVELOPER,
                    "share-50",
                ),
            )
            release = store.save(release, told, operation=f"{number}-{step}")
        store.delivered(release.id, through=99, card_version=release.version)
    assert (used() - before) / releases < 20_000


@pytest.mark.parametrize("letter", ["a", "/", '"', "\\", "\n", "\x01", "ä", "🚢"])
def test_an_audit_entry_takes_at_most_a_kilobyte(
    store: RedisReleaseStore, redis_client: Redis, letter: str
) -> None:
    asked = f'deploy hello 2.0.0 reason="{letter * 3_000}"'
    app = "a" * 50
    draft = a_release(command=asked, target=a_target(app=app))
    release = store.create(draft, dedup_key="", same_as="", operation="create").release
    events = [
        Event(T0, kind, letter * 3_000, DEVELOPER) for kind in (EventKind.FAILURE, EventKind.WROTE)
    ]
    store.save(release, events, operation="s")
    store.write_audit(
        AuditLine(T0, release.id, app, "froze", letter * 3_000, "U1"), operation="write"
    )
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], redis_client.xrange(f"{PREFIX}audit"))
    sizes = [sum(map(len, (*fields, *fields.values()))) for _, fields in entries]
    assert len(sizes) == 4 and max(sizes) <= 1024, sizes
    words = [len(one) for one in cast(list[bytes], redis_client.hvals(f"{PREFIX}audit-words"))]
    assert len(words) == 3 and min(words) > 900 and max(words) <= 1024, words
    assert {line.release_id for line in store.audit()} == {release.id}


def test_a_final_release_that_is_saved_again_is_counted_once(
    store: RedisReleaseStore, redis_client: Redis
) -> None:
    """Log lines of what failed come after the end."""
    made = store.create(a_release(), dedup_key="", same_as="", operation="create").release
    ended = replace(made, phase=Phase.FAILED, started_at=T0, finished_at=T0 + 45_000)
    over = store.save(ended, (), operation="end")
    store.save(over, (Event(T0, EventKind.EVIDENCE, "lines"),), operation="lines")
    counted = redis_client.hgetall(f"{PREFIX}counters")
    assert counted == {
        b"releases:failed:rolling:local": b"1",
        b"release_ms:failed:rolling:local": b"45000",
        b"release_within:60:failed:rolling:local": b"1",
    }


def test_the_audit_of_an_app_without_releases_goes_after_its_time(redis_client: Redis) -> None:
    store = RedisReleaseStore(redis_client, retention=Retention(audit_ms=60_000))
    store.create(a_release(), dedup_key="", same_as="", operation="create")
    store.reconcile()
    assert len(store.audit(app="hello")) == 1
    RedisReleaseStore(redis_client, retention=Retention(audit_ms=-60_000)).reconcile()
    assert store.audit(app="hello") == ()


def test_a_taken_value_is_given_again_only_to_the_call_that_took_it(redis_client: Redis) -> None:
    store = RedisReleaseStore(redis_client)
    store.put("draft", "value", ttl_ms=60_000)
    scripts = store._scripts
    assert scripts.run("take", "one call", "draft") == b"value"
    assert scripts.run("take", "one call", "draft") == b"value"
    assert scripts.run("take", "another call", "draft") is None


def test_everything_is_under_one_prefix(store: RedisReleaseStore, redis_client: Redis) -> None:
    release = store.create(a_release(), dedup_key="d", same_as="s", operation="create").release
    store.acquire(release, ["a"])
    store.save(replace(release, phase=Phase.SUCCEEDED), (), operation="save")
    assert list(redis_client.scan_iter()) == list(redis_client.scan_iter(f"{PREFIX}*"))


def test_a_full_redis_is_reported_and_nothing_is_half_done() -> None:
    with EmbeddedRedis() as server:
        store = RedisReleaseStore(connect(server.url))
        release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
        connect(server.url).config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="maxmemory"):
            store.save(replace(release, phase=Phase.PROGRESSING), (), operation="save")
        assert store.load(release.id) == release
        connect(server.url).config_set("maxmemory", "0")
        assert (
            store.save(replace(release, phase=Phase.PROGRESSING), (), operation="save").version == 2
        )


def test_a_read_only_redis_is_reported() -> None:
    with EmbeddedRedis() as server:
        client = connect(server.url)
        store = RedisReleaseStore(client)
        release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
        client.config_set("replica-read-only", "yes")
        client.replicaof("127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match=r"read-only|refuses writes|read only"):
            store.save(release, (), operation="save")


def test_an_unreachable_redis_is_reported_soon_enough_for_slack() -> None:
    with EmbeddedRedis() as server:
        store = RedisReleaseStore(connect(server.url))
        store.now()
        server.kill()
        with pytest.raises(StoreUnavailable, match="REDIS_URL"):
            store.now()
        with pytest.raises(StoreUnavailable):
            store.create(a_release(), dedup_key="", same_as="", operation="create")
        server.restart()
        assert store.create(a_release(), dedup_key="", same_as="", operation="create").fresh


def test_what_was_written_survives_a_restart_of_redis() -> None:
    with EmbeddedRedis() as server:
        store = RedisReleaseStore(connect(server.url))
        connect(server.url).config_set("appendfsync", "always")
        release = store.create(a_release(), dedup_key="", same_as="", operation="create").release
        saved = store.save(replace(release, phase=Phase.PROGRESSING), (), operation="save")
        server.kill()
        server.restart()
        assert store.load(release.id) == saved
        assert store.save(release, (), operation="save").version == 2


def test_the_sandboxes_redis_is_set_as_the_bot_asks(redis_client: Redis) -> None:
    assert check_settings(redis_client) == ()


def test_settings_that_would_lose_records_are_named_with_what_to_set() -> None:
    with EmbeddedRedis(append_only=False) as server:
        client = connect(server.url)
        client.config_set("maxmemory-policy", "allkeys-lru")
        aof, policy = check_settings(client)
    assert "`appendonly yes`" in aof
    assert "allkeys-lru" in policy and "`maxmemory-policy noeviction`" in policy
