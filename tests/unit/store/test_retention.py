"""After ten thousand releases Redis holds what retention keeps, and no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import cast

import pytest
from redis import Redis

from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase
from bot.store import Leases, RedisReleaseStore, Retention
from bot.store.connection import PREFIX
from tests.builders import DEVELOPER, T0, a_release, a_target, a_template

APPS = tuple(f"app-{number}" for number in range(5))
KEPT = 20
DAY_MS = 86_400_000
NODE = 100
"""A stream is trimmed in nodes of so many entries."""


def release_all(client: Redis, retention: Retention, numbers: range) -> None:
    store, leases = RedisReleaseStore(client, retention=retention), Leases(client)
    over = []
    for number in numbers:
        over.append(release_it(store, number))
        if number % 10 == 9:
            run_jobs(leases)
            store.seal_audit()
            for release_id in over:
                assert store.head_wanted(release_id) is not None
                store.head_posted(release_id)
            over.clear()


def release_it(store: RedisReleaseStore, number: int) -> str:
    """One release from the command to its last message, with all that is learnt from it."""
    app = APPS[number % len(APPS)]
    draft = a_release(target=a_target(app=app, deployment=app), command=f"deploy {app} {number}")
    release = store.create(
        draft, dedup_key=f"{number}", same_as=draft.command, operation=f"c{number}"
    ).release
    store.acquire(release, [f"Deployment/{app}", f"Service/{app}"])
    template = a_template(f"{number}")
    store.remember_healthy(app, template, version=f"{number}", release_id=release.id)
    store.remember_duration(app, number, operation=f"d{number}")
    wrote = Event(T0, EventKind.WROTE, f"patch deployment {app}: template", DEVELOPER)
    ended = Event(T0, EventKind.FINISHED, f"{app} is on {number}")
    over = replace(release, phase=Phase.SUCCEEDED)
    release = store.save(over, (wrote, ended), operation=f"e{number}")
    store.delivered(release.id, through=99, card_version=release.version)
    return release.id


def run_jobs(leases: Leases) -> None:
    """All that is due, as a worker does it."""
    while claims := leases.claim()[0]:
        for claim in claims:
            leases.begin(claim.wake_id, claim.token)
            leases.finish(claim.wake_id, claim.token, None)


def kept(client: Redis) -> tuple[Counter[str], int]:
    """Keys by their kind, and all their bytes. What expires within a day is let go at once."""
    kinds: Counter[str] = Counter()
    size = 0
    for key in cast(list[bytes], list(client.scan_iter(count=1_000))):
        left = client.pttl(key)
        assert left <= DAY_MS, key
        if left >= 0:
            client.delete(key)
        elif (bytes_ := client.memory_usage(key, samples=0)) is not None:  # None: gone meanwhile
            kinds[key.decode().removeprefix(PREFIX).partition(":")[0]] += 1
            size += bytes_
    return kinds, size


@pytest.mark.slow
def test_ten_thousand_releases_leave_what_retention_keeps(redis_client: Redis) -> None:
    retention = Retention(releases=KEPT, audit_ms=1)
    release_all(redis_client, retention, range(1_000))
    early, early_size = kept(redis_client)
    release_all(redis_client, retention, range(1_000, 10_000))
    late, late_size = kept(redis_client)
    assert late == early
    assert (late["release"], late["outbox"]) == (KEPT * len(APPS), 0)
    assert late_size < 1.1 * early_size
    lines = RedisReleaseStore(redis_client).audit(limit=10_000)
    assert len(lines) <= 2 * NODE


def test_more_releases_leave_no_more_keys(redis_client: Redis) -> None:
    retention = Retention(releases=2, audit_ms=1)
    release_all(redis_client, retention, range(20))
    early, _ = kept(redis_client)
    release_all(redis_client, retention, range(20, 60))
    late, _ = kept(redis_client)
    assert late == early
