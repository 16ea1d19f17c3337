"""What a worker and a bot serve at /metrics."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import Metric
from redis import Redis

from bot.metric_table import METRICS, Of
from bot.operations.context import App, Catalog
from bot.operations.delivery.budgets import EDITS, posts_in
from bot.policy.permissions import Access
from bot.readiness import Readiness
from bot.releases.facts.changes import Scale
from bot.releases.facts.release import Phase
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.request_metrics import RequestMetrics
from bot.store import Leases, RedisReleaseStore
from bot.tally import Tally
from bot.work_queue import RqWorkQueue
from jobs.metrics import WorkerCollector, budgets_of
from jobs.supervisor import Board
from tests.builders import T0, a_release, a_target

OF_THE_LIBRARY = ("process_", "python_")


def collected(redis: Redis) -> WorkerCollector:
    leases, board = Leases(redis), Board(["ticker"])
    board.note("ticker", pid=os.getpid(), restarts=0)
    budgets = (EDITS, posts_in("C0RELEASES"))
    return WorkerCollector(leases, RqWorkQueue(redis, wake=leases.wake), board, budgets)


def described(found: Metric) -> tuple[str, str, str]:
    return found.name, found.type, found.documentation


def test_everything_that_is_served_is_in_the_table_and_all_of_it(redis_client: Redis) -> None:
    bot = RequestMetrics()
    bot.watch_redis(Readiness(RedisReleaseStore(redis_client).now))
    served = {described(one) for one in collected(redis_client).collect()}
    served |= {
        described(one) for one in bot.registry.collect() if not one.name.startswith(OF_THE_LIBRARY)
    }
    assert served == {(one.name, one.kind, one.help) for one in METRICS}


def test_figures_of_the_installation_are_reported_by_one_worker(redis_client: Redis) -> None:
    RedisReleaseStore(redis_client)
    shared = {one.name for one in METRICS if one.of is Of.INSTALLATION}
    first, second = collected(redis_client), collected(redis_client)
    for _ in range(2):
        assert shared <= {one.name for one in first.collect()}
        assert shared.isdisjoint({one.name for one in second.collect()})


def test_a_process_shows_what_it_uses(redis_client: Redis) -> None:
    found = {one.name: one for one in collected(redis_client).collect()}
    (memory,) = found["pilothouse_process_resident_bytes"].samples
    assert memory.labels == {"process": "ticker"} and memory.value > 1_000_000
    (cpu,) = found["pilothouse_process_cpu_seconds"].samples
    assert cpu.value == pytest.approx(sum(os.times()[:2]), abs=2)


def samples(collector: WorkerCollector, name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels."""
    (family,) = (one for one in collector.collect() if one.name == name)
    return {(one.name, *one.labels.values()): one.value for one in family.samples}


def ended(redis: Redis, number: int, phase: Phase, took_ms: int, **about: Any) -> None:
    store = RedisReleaseStore(redis)
    draft = replace(a_release(**about), id="")
    release = store.create(draft, dedup_key="", same_as="", operation=f"create {number}").release
    over = replace(release, phase=phase, started_at=T0, finished_at=T0 + took_ms if took_ms else 0)
    for _ in range(2):  # the second is sent again: its first reply was lost
        store.save(over, (), operation=f"save {number}")


def test_releases_are_counted_once_by_outcome_strategy_and_cluster(redis_client: Redis) -> None:
    collector = collected(redis_client)
    ended(redis_client, 1, Phase.SUCCEEDED, 45_000)
    ended(redis_client, 2, Phase.SUCCEEDED, 75_000)
    ended(redis_client, 3, Phase.REJECTED, 0)
    ended(redis_client, 4, Phase.FAILED, 200_000_000, change=Scale(3))
    found = samples(collector, "pilothouse_releases")
    total = "pilothouse_releases_total"
    assert found == {
        (total, "succeeded", "rolling", "local"): 2,
        (total, "rejected", "rolling", "local"): 1,
        (total, "failed", "scale", "local"): 1,
    }
    times = samples(collector, "pilothouse_release_seconds")
    name = "pilothouse_release_seconds"
    rolled = ("succeeded", "rolling", "local")
    within = {bound: times[f"{name}_bucket", *rolled, bound] for bound in ("30", "60", "120")}
    assert within == {"30": 0, "60": 1, "120": 2}
    assert times[f"{name}_sum", *rolled] == 120.0
    assert times[f"{name}_count", "failed", "scale", "local"] == 1
    assert (f"{name}_count", "rejected", "rolling", "local") not in times, "it never began"


def test_calls_of_all_processes_add_up(redis_client: Redis) -> None:
    collector = collected(redis_client)
    for _ in range(2):
        tally = Tally()
        tally.add({"kubernetes:GET:200:eu": 3, "kubernetes_ms:eu": 250})
        tally.add({"kubernetes:PATCH:timeout:eu:1": 1, "slack:chat.update:ratelimited": 1})
        Leases(redis_client).report(tally)
        assert tally.take() == {}
    assert samples(collector, "pilothouse_kubernetes_requests") == {
        ("pilothouse_kubernetes_requests_total", "eu", "GET", "200"): 6,
        ("pilothouse_kubernetes_requests_total", "eu:1", "PATCH", "timeout"): 2,
    }
    assert samples(collector, "pilothouse_kubernetes_request_seconds") == {
        ("pilothouse_kubernetes_request_seconds_total", "eu"): 0.5
    }
    assert samples(collector, "pilothouse_slack_calls") == {
        ("pilothouse_slack_calls_total", "chat.update", "ratelimited"): 2
    }


def test_what_is_left_of_a_budget_and_who_waits_for_it(redis_client: Redis) -> None:
    store, collector = RedisReleaseStore(redis_client), collected(redis_client)
    for number in range(3):
        store.book(posts_in("C0RELEASES"), f"deliver:hello-{number}")
    left = samples(collector, "pilothouse_slack_budget_left")
    assert left["pilothouse_slack_budget_left", "edits"] == EDITS.burst
    assert left["pilothouse_slack_budget_left", "posts C0RELEASES"] < 0.5
    waiting = samples(collector, "pilothouse_slack_budget_waiting")
    assert waiting["pilothouse_slack_budget_waiting", "posts C0RELEASES"] == 1
    store.close(EDITS, for_ms=30_000)
    left = samples(collector, "pilothouse_slack_budget_left")
    assert left["pilothouse_slack_budget_left", "edits"] == 0


def test_each_channel_of_the_catalog_has_a_budget() -> None:
    app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
    named = [budget.name for budget in budgets_of(Catalog({"hello": app}, ("local",), Access()))]
    assert named == ["slack edits", "slack posts C0RELEASES"]


def test_a_fork_reports_nothing_that_its_parent_counted() -> None:
    tally = Tally()
    tally.add({"kubernetes:GET:200:eu": 1})
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, str(tally.take()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as told:
        assert told.read() == "{}"
    assert tally.take() == {"kubernetes:GET:200:eu": 1}


def test_the_least_that_any_process_has_left_is_shown(redis_client: Redis) -> None:
    collector, leases = collected(redis_client), Leases(redis_client)
    name = "pilothouse_kubernetes_budget_left"
    for noted in ((150, 30, 120), (90,)):
        tally = Tally()
        tally.add({"kubernetes_ms:eu": 10, "kubernetes_ms:us": 10})
        for value in noted:
            tally.note_least("budget left eu", value)
        leases.report(tally)
    assert samples(collector, name) == {(name, "eu"): 30, (name, "us"): 200}


def test_a_cluster_that_is_left_alone_shows_until_it_answers(redis_client: Redis) -> None:
    collector, leases, tally = collected(redis_client), Leases(redis_client), Tally()
    tally.add({"kubernetes_ms:eu": 3_000, "kubernetes_ms:us": 10})
    tally.note("left alone eu", 15_000)
    leases.report(tally)
    name = "pilothouse_cluster_left_alone"
    assert samples(collector, name) == {(name, "eu"): 1, (name, "us"): 0}
    tally.note("left alone eu", 0)
    leases.report(tally)
    assert samples(collector, name) == {(name, "eu"): 0, (name, "us"): 0}


def test_withheld_writes_are_counted_by_promise(redis_client: Redis) -> None:
    store = RedisReleaseStore(redis_client)
    store.count("withheld:floor")
    store.count("withheld:floor")
    assert samples(collected(redis_client), "pilothouse_writes_withheld") == {
        ("pilothouse_writes_withheld_total", "floor"): 2
    }
