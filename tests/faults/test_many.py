"""Several bots and workers as processes on one Redis: even use, no double effects, and all work
continues after a restart of everything."""

from __future__ import annotations

import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from bot.ports import StoreUnavailable
from bot.releases.facts.release import Phase
from bot.store.records import READABLE_BY, SCHEMA_VERSION, unpack
from tests.faults.invariants import judge
from tests.faults.people import People, many_at_once, wait_until
from tests.faults.points import RAN, TICKED, now_ms
from tests.faults.stage import Stage, add, open_stage, upgrade_bot

pytestmark = pytest.mark.slow
MOVES_AGAIN_WITHIN_S = 45.0
STRATEGIES = ("rolling", "canary", "bluegreen")


def start_all(people: People, apps: tuple[str, ...]) -> None:
    many_at_once(
        [
            partial(people.say, f"/deploy {app} 2.0.0 {STRATEGIES[number % 3]}")
            for number, app in enumerate(apps)
        ]
    )
    assert len(people.accepted) == len(apps), people.refused


def test_three_bots_and_four_workers_do_nothing_twice() -> None:
    with open_stage(12, workers=4, bots=3) as stage:
        people = People(stage, seed=4)
        with people.at_work():
            start_all(people, stage.apps)
            is_quiet = wait_until(stage.is_quiet, 120)
        verdict = judge(stage, people.accepted)
        ran = {
            int(pid): int(times)
            for pid, times in cast(dict[bytes, bytes], stage.redis.hgetall(RAN)).items()
        }
        shares = [
            sum(ran.get(pid, 0) for pid in stage.descendants(stage.pid(name)))
            for name in stage.names("worker")
        ]
        asked = dict(stage.turns.taken) if stage.turns else {}
    assert is_quiet and verdict.is_clean, verdict
    assert len(asked) == 3 and min(asked.values()) > 0
    assert len(shares) == 4 and min(shares) >= sum(shares) / 12, f"ticks by worker: {shares}"


def _next_version(folder: Path) -> Path:
    """A copy of the code that writes a newer schema, as the next release of Pilothouse may."""
    top = Path(__file__).parents[2]
    for name in ("bot", "jobs", "config", "sandbox", "tests"):
        shutil.copytree(
            top / name,
            folder / name,
            ignore=shutil.ignore_patterns("__pycache__", "node_modules", "page"),
        )
    records = folder / "bot" / "store" / "records.py"
    text = records.read_text(encoding="utf-8")
    newer = text.replace(
        f"SCHEMA_VERSION = {SCHEMA_VERSION}\n", f"SCHEMA_VERSION = {SCHEMA_VERSION + 1}\n"
    )
    newer = newer.replace(f"READABLE_BY = {READABLE_BY}\n", f"READABLE_BY = {SCHEMA_VERSION + 1}\n")
    newer = newer.replace(
        "    1: lambda body: body,\n",
        f"    {SCHEMA_VERSION}: lambda body: body,\n    1: lambda body: body,\n",
    )
    assert newer.count(str(SCHEMA_VERSION + 1)) >= text.count(str(SCHEMA_VERSION + 1)) + 2
    assert f"    {SCHEMA_VERSION}: lambda body" in newer
    records.write_text(newer, encoding="utf-8")
    return folder


def test_workers_of_two_adjacent_versions_finish_every_release(
    tmp_path: Path,
) -> None:
    with open_stage(6, workers=1) as stage:
        newer = _next_version(tmp_path)
        upgrade_bot(
            stage,
            newer,
            # first, as the how-to says: an older bot accepts no click on what a newer worker has
            # written
        )
        add(stage, "worker", 2, folder=newer)
        people = People(stage, seed=8)

        def ends() -> list[str]:
            found = cast(list[bytes], stage.redis.zrange("pilothouse:recent", 0, -1))
            return [
                cast(
                    bytes, stage.redis.hget(f"pilothouse:release:{one.decode()}", "phase")
                ).decode()
                for one in found
            ]

        with people.at_work():
            start_all(people, stage.apps)
            assert wait_until(lambda: all(Phase(phase).is_final for phase in ends()), 120), ends()
        documents = [
            cast(bytes, stage.redis.hget(key, "document"))
            for key in stage.redis.scan_iter("pilothouse:release:*")
        ]
        schemas = {unpack(document)["schema_version"] for document in documents}
        left = [
            item["metadata"]["name"]
            for item in stage.objects("/apis/apps/v1/namespaces/default/deployments")
        ]
        assert wait_until(lambda: not list(stage.redis.scan_iter("pilothouse:outbox:*")), 60)
    assert SCHEMA_VERSION + 1 in schemas
    assert sorted(left) == sorted(stage.apps)


def _restart_everything(stage: Stage) -> None:
    names = [*stage.names("bot"), *stage.names("worker")]
    before = {name: stage.pid(name) for name in names}
    doomed = [pid for name in names for pid in (before[name], *stage.descendants(before[name]))]
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    stage.sandbox.redis.kill()
    stage.sandbox.redis.restart()
    assert wait_until(lambda: all(stage.pid(name) != before[name] for name in names), 20)


def _all_ticked_since(stage: Stage, began: int) -> bool:
    try:
        active = [release.id for release in stage.store.active()]
        ticked = {
            name.decode(): int(at)
            for name, at in cast(dict[bytes, bytes], stage.redis.hgetall(TICKED)).items()
        }
    except StoreUnavailable:
        return False
    return all(ticked.get(one, 0) >= began for one in active)


def _moves_again_after(stage: Stage) -> float:
    """Kill everything; seconds from the restart of all processes and Redis until each running
    release was observed."""
    _restart_everything(stage)
    began, since = time.monotonic(), now_ms(stage.redis)
    assert wait_until(partial(_all_ticked_since, stage, since), MOVES_AGAIN_WITHIN_S)
    assert len(stage.store.active()) > 1
    return time.monotonic() - began


def test_every_release_resumes_by_itself_after_a_total_crash() -> None:
    """Releases that wait for people included: someone may have changed their objects meanwhile.
    The bound is generous on purpose: a lease that must expire takes 20 s, and on a busy machine the
    start of the processes alone takes several. `make faults` reports the recovery it measures."""
    with open_stage(6) as stage:
        people = People(stage, seed=6)
        stage.redis.config_set("appendfsync", "always")
        start_all(people, stage.apps)
        assert wait_until(
            lambda: any(
                release.phase.value.startswith("awaiting") for release in stage.store.active()
            ),
            30,
        )
        took_s = _moves_again_after(stage)
        with people.at_work():
            assert wait_until(stage.is_quiet, 120)
        verdict = judge(stage, people.accepted)
    assert verdict.is_clean, verdict
    assert took_s <= MOVES_AGAIN_WITHIN_S
