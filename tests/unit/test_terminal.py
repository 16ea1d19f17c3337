"""`pilothouse releases` beside a real Redis-compatible server: the table, what it does without
Redis, and following until Ctrl-C."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rich.console import Console

from bot.releases.facts.card_snapshot import PodLine
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, Release
from bot.stop_signal import StopSignal
from bot.store import RedisReleaseStore, connect
from bot.terminal import main, releases_table, watch
from bot.terminal_tree import main as release_main
from bot.terminal_tree import release_tree, watch_release
from sandbox.cluster import SimulatedCluster
from sandbox.redis_server import EmbeddedRedis
from tests.blocks.stories import AS_FOUND, PROMOTING, STORY
from tests.builders import T0, a_release
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import deployment


def make(store: RedisReleaseStore, app: str, version: str) -> Release:
    draft = a_release()
    target = replace(draft.target, app=app)
    draft = replace(
        draft,
        id="",
        version=0,
        target=target,
        created_at=store.now(),
        to_version=version,
        from_version="1.0.0",
    )
    return store.create(
        draft, dedup_key="", same_as=f"{app} {version}", operation=f"{app} {version}"
    ).release


def finish(store: RedisReleaseStore, release: Release, phase: Phase, **parts: Any) -> Release:
    final = replace(
        release, phase=phase, started_at=release.created_at, finished_at=store.now(), **parts
    )
    return store.save(
        final, (Event(store.now(), EventKind.FINISHED, "over"),), operation=f"finish {release.id}"
    )


@pytest.fixture
def store(redis_client: Redis) -> RedisReleaseStore:
    return RedisReleaseStore(redis_client)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("COLUMNS", "160")


def test_only_the_releases_in_one_cluster_are_listed(
    store: RedisReleaseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = replace(a_release(), id="", version=0, created_at=store.now())
    elsewhere = replace(elsewhere, target=replace(elsewhere.target, cluster="us"))
    store.create(elsewhere, dedup_key="", same_as="", operation="us")
    make(store, "hello", "4.0.0")
    assert main(["hello", "--in", "us"]) == 0
    told = capsys.readouterr().out
    assert "hello-1" in told and "hello-2" not in told


def test_running_ones_stand_first_and_then_those_that_are_over_newest_first(
    store: RedisReleaseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(store, make(store, "hello", "2.0.0"), Phase.SUCCEEDED)
    cause = Cause(FailureClass.PERMANENT, "2 of 3 new pods: ErrImagePull")
    finish(store, make(store, "auth", "3.0.0"), Phase.ROLLED_BACK, cause=cause)
    make(store, "hello", "4.0.0")
    assert main([]) == 0
    told = capsys.readouterr().out
    assert told.index("hello-2") < told.index("auth-1") < told.index("hello-1")
    assert "hello is on 2.0.0" in told
    assert "auth is on 1.0.0: 2 of 3 new pods: ErrImagePull" in " ".join(told.split())
    assert "1 running, 2 finished" in told


def test_an_app_and_a_limit_narrow_it(
    store: RedisReleaseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("2.0.0", "3.0.0"):
        finish(store, make(store, "hello", version), Phase.SUCCEEDED)
    make(store, "auth", "9.0.0")
    assert main(["hello", "--limit", "1"]) == 0
    told = capsys.readouterr().out
    assert "hello-2" in told
    assert "hello-1" not in told and "auth" not in told


def test_without_redis_one_line_explains_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "check that it is running" in line


def test_without_settings_it_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("REDIS_URL")
    assert main([]) == 2
    assert "REDIS_URL is not set" in capsys.readouterr().err


def test_words_of_people_neither_colour_nor_move_the_screen(store: RedisReleaseStore) -> None:
    cause = Cause(FailureClass.PERMANENT, "[red]no[/red]\x1b[2Jsuch\nimage")
    release = finish(store, make(store, "hello", "2.0.0"), Phase.FAILED, cause=cause)
    out = io.StringIO()
    Console(file=out, width=160, force_terminal=False).print(
        releases_table((), (release,), now=store.now())
    )
    assert "[red]no[/red] [2Jsuch image" in " ".join(out.getvalue().split())
    assert "\x1b" not in out.getvalue()


def test_a_release_is_a_tree_of_steps_traffic_and_pods_in_80_columns() -> None:
    release = PROMOTING
    pods = tuple(
        PodLine(
            f"hello-canary-1-{letter}",
            "candidate",
            "2.0.0",
            "hello:2.0.0",
            ready,
            "Running" if ready else "CrashLoopBackOff",
            0 if ready else 3,
            "node-1",
            T0,
            True,
            "1/1" if ready else "0/1",
            1,
        )
        for letter, ready in (("a", True), ("b", False))
    )
    shown = replace(release.card_snapshot, pods=(*release.card_snapshot.pods, *pods))
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=False).print(
        release_tree(
            replace(
                release,
                card_snapshot=shown,
                passed=("hold: manager",),
                timeline=STORY.timeline[:1],
            ),
            now=T0 + 60_000,
        )
    )
    told = out.getvalue()
    assert max(len(line) for line in told.splitlines()) <= 80
    for words in (
        "by developer, 2027-01-15 08:00:00 UTC: faster start",
        "hold approved by manager",
        "verdict 2027-01-15 08:02:00 UTC: good, 0 restarts of 3 candidate pods",
        "✔ 25% to 2.0.0: 1 canary pod beside 3 · 10 s, waited 2 min",
        "▶ 50% to 2.0.0: 3 canary pods beside 3",
        "50% on 2.0.0",
        "Deployment hello (stable)",
        "Deployment hello-canary (candidate)",
        "ReplicaSet revision 1 · 2.0.0 · candidate · 1/2 ready",
        "✖ hello-canary-1-b  CrashLoopBackOff · 0/1 · 3 restarts · 60s",
    ):
        assert words in told, told


def test_watching_a_release_ends_with_it(store: RedisReleaseStore) -> None:
    release = make(store, "hello", "2.0.0")
    out, stop = io.StringIO(), StopSignal()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    watching = threading.Thread(target=watch_release, args=(store, console, stop, release.id))
    watching.start()
    try:
        assert eventually(lambda: release.id in out.getvalue())
        finish(store, release, Phase.SUCCEEDED)
        watching.join(10)
        assert not watching.is_alive()
    finally:
        stop.request()
    assert "hello is on 2.0.0" in out.getvalue()


def test_a_release_that_does_not_exist_is_one_line(
    store: RedisReleaseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    del store
    assert release_main(["hello-99"]) == 1
    assert capsys.readouterr().err == "There is no release hello-99.\n"


def test_watching_follows_a_release_to_its_end(store: RedisReleaseStore) -> None:
    release = make(store, "hello", "2.0.0")
    out, stop = io.StringIO(), StopSignal()
    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    watching = threading.Thread(target=watch, args=(store, console, stop))
    watching.start()
    try:
        assert eventually(lambda: "1 running" in out.getvalue())
        finish(store, release, Phase.SUCCEEDED)
        assert eventually(lambda: "hello is on 2.0.0" in out.getvalue())
    finally:
        stop.request()
        watching.join(10)
    assert not watching.is_alive()


def test_watching_continues_while_redis_is_unavailable() -> None:
    out, stop = io.StringIO(), StopSignal()
    console = Console(file=out, width=160, force_terminal=True, color_system=None)
    with EmbeddedRedis(append_only=False) as server:
        store = RedisReleaseStore(connect(server.url))
        make(store, "hello", "2.0.0")
        watching = threading.Thread(target=watch, args=(store, console, stop))
        watching.start()
        seen = eventually(lambda: "hello-1" in out.getvalue())
    try:
        assert seen
        assert eventually(lambda: "out of date: Redis" in out.getvalue())
        assert "hello-1" in out.getvalue().rpartition("out of date")[0][-2_000:]
    finally:
        stop.request()
        watching.join(10)
    assert not watching.is_alive()


def test_ctrl_c_ends_following_quietly(store: RedisReleaseStore) -> None:
    make(store, "hello", "2.0.0")
    leader, follower = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "bot", "releases", "--watch"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    told, ends = b"", time.monotonic() + 30
    try:
        while b"hello-1" not in told and time.monotonic() < ends:
            if select.select([leader], [], [], 0.1)[0]:
                told += os.read(leader, 65_536)
        assert b"hello-1" in told
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 0
        assert b"Traceback" not in told
    finally:
        if running.poll() is None:
            running.kill()
            running.wait(10)
        os.close(leader)


# --- what a release changed -----------------------------------------------------------------------


def test_comparing_asks_the_cluster_of_the_catalog(
    store: RedisReleaseStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    release = finish(store, make(store, "hello", "2.0.0"), Phase.SUCCEEDED, as_found=AS_FOUND)
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        "clusters:\n  local: {kubeconfig: ./kubeconfig, context: sandbox}\n"
        "apps:\n  hello: {cluster: local, channel: C0RELEASES}\n"
    )
    monkeypatch.setenv("PILOTHOUSE_CONFIG", str(catalog))
    with SimulatedCluster() as cluster:
        cluster.kubeconfig(tmp_path / "kubeconfig")
        after = deployment()
        after["spec"]["template"]["spec"]["containers"][0]["image"] = "kelseyhightower/hello:2.0.0"
        cluster.seed(after)
        assert release_main([release.id, "--compare"]) == 0
    shown = capsys.readouterr().out
    assert "hello-1  hello before and after" in shown
    image = "containers.hello.image: kelseyhightower/hello:1.0.0 → kelseyhightower/hello:2.0.0"
    assert image in shown
    assert release_main([release.id, "--compare"]) == 1
    assert "API server" in capsys.readouterr().err


def test_comparing_names_the_setting_that_it_needs(
    store: RedisReleaseStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = finish(store, make(store, "hello", "2.0.0"), Phase.SUCCEEDED, as_found=AS_FOUND)
    monkeypatch.delenv("PILOTHOUSE_CONFIG", raising=False)
    assert release_main([release.id, "--compare"]) == 2
    assert "PILOTHOUSE_CONFIG is not set" in capsys.readouterr().err
