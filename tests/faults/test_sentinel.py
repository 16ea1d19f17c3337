"""Redis with Sentinel: the primary is killed, and every acknowledged write survives."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from bot.ports import StoreUnavailable
from bot.releases.facts.release import Phase, Release
from bot.store import RedisReleaseStore, connect
from bot.store.health import check_settings
from bot.store.replication import SentinelGroup as Group
from tests.builders import a_release
from tests.conftest import eventually
from tests.faults.invariants import judge
from tests.faults.people import People, wait_until
from tests.faults.sentinel_group import SentinelGroup
from tests.faults.stage import open_stage

pytestmark = pytest.mark.slow


@pytest.fixture
def group() -> Iterator[SentinelGroup]:
    with SentinelGroup() as running:
        yield running


def test_an_acknowledged_write_survives_the_death_of_the_primary(group: SentinelGroup) -> None:
    store = RedisReleaseStore(connect(group.url))
    for round_ in range(2):
        first = group.primary()
        draft = a_release()
        release = store.create(
            draft, dedup_key="", same_as="", operation=f"create {round_}"
        ).release
        saved = store.save(
            replace(release, phase=Phase.PROGRESSING), (), operation=f"save {round_}"
        )
        group.kill(first)
        assert eventually(partial(_is_another, group, first), 30)
        assert eventually(partial(_loads, store, saved), 10)
        group.start(first)
        assert eventually(lambda: group.replicas_of(group.primary()) == 2, 30)


def _is_another(group: SentinelGroup, before: int) -> bool:
    return group.primary() not in (0, before)


def _loads(store: RedisReleaseStore, release: Release) -> bool:
    try:
        return store.load(release.id) == release
    except StoreUnavailable:
        return False


def test_a_write_without_a_replica_is_not_acknowledged(
    group: SentinelGroup,
) -> None:
    store = RedisReleaseStore(connect(group.url))
    for port in group.servers[1:]:
        group.kill(port)
    with pytest.raises(StoreUnavailable, match="NOREPLICAS 0 of 1"):
        store.create(a_release(), dedup_key="", same_as="", operation="create")
    assert any("0 of 1 replicas" in line for line in check_settings(connect(group.url)))
    group.start(group.servers[1])
    assert eventually(lambda: group.replicas_of(group.servers[0]) == 1, 20)
    assert not store.create(
        a_release(), dedup_key="", same_as="s", operation="create"
    ).release.phase.is_final
    assert len(store.active()) == 1
    assert check_settings(connect(group.url)) == ()


def test_releases_continue_when_the_primary_is_killed(group: SentinelGroup) -> None:
    with open_stage(4, redis_url=group.url) as stage:
        people = People(stage, seed=5)
        with people.at_work():
            people.starts.set()
            for _ in range(2):
                time.sleep(4)  # releases are under way
                first = group.primary()
                group.kill(first)
                assert wait_until(partial(_is_another, group, first), 30)
                time.sleep(2)
                group.start(first)
                assert wait_until(lambda: group.replicas_of(group.primary()) == 2, 30)
            people.starts.clear()
            is_quiet = wait_until(stage.is_quiet, 120)
        verdict = judge(stage, people.accepted)
    assert is_quiet and verdict.is_clean, verdict
    assert verdict.releases >= 4


def test_a_sentinel_url_names_service_credentials_and_replicas() -> None:
    parsed = Group.parse(
        "redis+sentinel://bot:p%40ss@a:26380,b/mymaster/2?replicas=2&sentinel_password=x"
    )
    assert parsed == Group((("a", 26380), ("b", 26379)), "mymaster", 2, "bot", "p@ss", "x", 2)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+sentinel://bot:secret@a:1", "names no Sentinel or no service"),
        ("redis+sentinel://bot:secret@a/s/x", "does not end in a database number"),
        ("redis+sentinel://bot:secret@a/s?quorum=2", "known are"),
        ("redis+sentinel://bot:secret@:1/s", "not HOST:PORT"),
    ],
)
def test_an_unusable_url_says_why_without_a_secret(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        Group.parse(url)
    assert "secret" not in str(refused.value)
