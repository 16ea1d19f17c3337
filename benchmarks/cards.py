"""Forty releases that move at once in one channel, told within the rates that Slack publishes: how far are their cards behind?

Real releases on the simulated cluster (some that wait for an approval, some that end early, some that fail), real workers, and the
local Slack enforcing Slack's rates. How far a card is behind is read from the store: from when a version of a release was saved to
when Slack had taken a card that shows it.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.rows import Row
from bot.releases.model import Phase
from bot.store import RedisReleaseStore, connect
from sandbox.main import DEMO, Sandbox, run_sandbox

CARDS, GATED, SHORT, BROKEN, SECONDS, EVERY = 40, 6, 10, 4, 240, 0.1
CHANNEL, DEVELOPER = "C0RELEASES", "U0DEV1"


@dataclass
class Behind:
    """What is saved and not yet shown of one release; ``asked`` and ``over`` are the versions at which it opened a gate and ended."""

    unshown: dict[int, float] = field(default_factory=dict)
    shown: int = 0
    phase: Phase = Phase.QUEUED
    asked: int = 0
    over: int = 0


@dataclass
class Lags:
    """Seconds; ``failures`` from the event to the message of its own."""

    every: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)


def folder_of_apps(folder: Path) -> Path:
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    manifest = (demo / "manifests" / "hello.yaml").read_text(encoding="utf-8").replace("replicas: 5", "replicas: 3")
    for path in (demo / "manifests").glob("*.yaml"):
        path.unlink()
    hello, catalog["apps"] = catalog["apps"]["hello"], {}
    for number in range(CARDS):
        app = f"app{number}"
        canary: dict[str, object] = {"steps": [25, 40, 50], "hold": f"{40 + 2 * number}s", "promote": "automatic"}
        if number < GATED:
            canary |= {"steps": [25], "hold": f"{20 + 8 * number}s", "promote": "approval"}
        elif number < GATED + SHORT:
            canary |= {"steps": [25], "hold": f"{20 + 8 * number}s"}
        catalog["apps"][app] = {**hello, "images": [f"pilothouse/{app}"], "manifests": [], "canary": canary}
        (demo / "manifests" / f"{app}.yaml").write_text(manifest.replace("hello", app), encoding="utf-8")
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    return demo


def follow(store: RedisReleaseStore, ended: threading.Event, lags: Lags) -> None:
    seen: dict[str, Behind] = {}
    while not ended.wait(EVERY):
        for release in store.recent(limit=CARDS):
            behind = seen.setdefault(release.id, Behind())
            now = time.monotonic()
            if release.version > behind.shown:
                behind.unshown.setdefault(release.version, now)
            if release.phase is not behind.phase:
                behind.asked = release.version if release.phase in (Phase.AWAITING_PROMOTION, Phase.PAUSED) else behind.asked
                behind.over = release.version if release.phase.is_final else behind.over
                behind.phase = release.phase
            if store.outbox(release.id)[1]:
                continue
            behind.shown = release.version
            for version in [version for version in behind.unshown if version <= release.version]:
                lag = now - behind.unshown.pop(version)
                lags.every.append(lag)
                lags.asked += [lag] if version == behind.asked else []
                lags.over += [lag] if version == behind.over else []


def loud_lags(sandbox: Sandbox, store: RedisReleaseStore) -> list[float]:
    failed = {line.release_id: line.at / 1000 for line in store.audit(limit=10_000) if line.kind == "failure"}
    posted: dict[str, float] = {}
    for message in sandbox.slack.messages(CHANNEL):
        for release_id in failed:
            if " failed: " in message["text"] and message["text"].startswith(f"{release_id.rpartition('-')[0]} "):
                posted.setdefault(release_id, float(message["ts"]))
    return [posted.get(release_id, time.time()) - at for release_id, at in failed.items()]


def run() -> list[Row]:
    lags = Lags()
    with tempfile.TemporaryDirectory() as folder, run_sandbox(demo=folder_of_apps(Path(folder)), ready_after=4.0) as sandbox:
        store, ended = RedisReleaseStore(connect(sandbox.redis.url)), threading.Event()
        watcher = threading.Thread(target=follow, args=(store, ended, lags))
        watcher.start()
        for number in range(CARDS):
            version = "missing" if number >= CARDS - BROKEN else "2.0.0"
            sandbox.slack.command(DEVELOPER, CHANNEL, f"/deploy app{number} {version} canary")
        time.sleep(SECONDS)
        ended.set()
        watcher.join()
        lags.failures = loud_lags(sandbox, store)
        refused = len([call for call in sandbox.slack.log(kind="call") if call.get("status") == 429])
        over = sum(release.phase.is_final for release in store.recent(limit=CARDS))
    settings = f"{CARDS} canaries at once in one channel, {over} over after {SECONDS} s, Slack's published rates"
    return [
        Row("calls that Slack refused (429)", "", refused, "none", refused == 0, None, settings),
        _row("a card is behind, at most", lags.every, 60, settings),
        _row("a card behind an opened gate, at most", lags.asked, 5, settings),
        _row("a failure untold, at most", lags.failures, 5, settings),
        _row("a final state unshown, at most", lags.over, 3, settings),
    ]


def _row(what: str, lags: list[float], most: float, settings: str) -> Row:
    worst = max(lags, default=float("inf"))
    return Row(f"{what} ({len(lags)} seen)", "s", worst, f"<= {most:.0f} s", worst <= most, None, settings)
