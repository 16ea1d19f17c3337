"""Forty releases that move at once in one channel, within the rates that Slack publishes: how far
behind are their cards?

Real releases on the simulated cluster (some wait for an approval, some end early, some have
candidates that crash), real workers, and the local Slack enforcing Slack's rates. The lag of a card
is read from the store: from the save of a release's version until Slack accepted a card that shows
it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from redis import Redis

from benchmarks.rows import Row
from benchmarks.waiting import until, until_pods_are_ready
from bot.releases.facts.release import Phase
from bot.store import RedisReleaseStore, connect
from bot.store.connection import PREFIX
from sandbox.main import DEMO, Sandbox, run_sandbox
from tests.receipts import type_and_read

CARDS, GATED, SHORT, BROKEN = 40, 6, 10, 4
REPLICAS = 3
LOOKS_EVERY_S, SEEN_WITHIN_S = 0.1, 360.0
CHANNEL, DEVELOPER = "C0RELEASES", "U0DEV1"
WAITED_FOR = (Phase.AWAITING_PROMOTION, Phase.PAUSED)


class Void(Exception):
    """The run did not produce what it measures: there is no figure."""


@dataclass
class Card:
    """One release as the store has it; ``unshown``: version -> when its save was observed."""

    unshown: dict[int, float] = field(default_factory=dict)
    phase: str = ""
    asked: int = 0
    over: int = 0


@dataclass
class Lags:
    """Seconds; ``at_once``: the most releases that were running at the same time."""

    every: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    over: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)
    at_once: int = 0


def folder_of_apps(folder: Path) -> Path:
    """Approvals come up one after the other, as people's decisions do, while all the other releases
    move."""
    demo = Path(shutil.copytree(DEMO, folder / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    manifest = (
        (demo / "manifests" / "hello.yaml")
        .read_text(encoding="utf-8")
        .replace("replicas: 5", f"replicas: {REPLICAS}")
    )
    for path in (demo / "manifests").glob("*.yaml"):
        path.unlink()
    hello, catalog["apps"] = catalog["apps"]["hello"], {}
    for number in range(CARDS):
        app = f"app{number}"
        entry: dict[str, object] = {
            "canary": {"steps": [25, 40, 50], "hold": f"{30 + number}s", "promote": "automatic"}
        }
        if number < GATED:
            entry = {
                "canary": {"steps": [25], "hold": f"{20 + 12 * number}s", "promote": "approval"}
            }
        elif number < GATED + SHORT:
            entry = {
                "canary": {"steps": [25], "hold": f"{20 + 8 * number}s", "promote": "automatic"}
            }
        elif is_broken(number):
            entry = {
                "canary": {"steps": [40], "hold": "1m"},
                "crash_loop": {"restarts": 3, "for": f"{75 + 15 * (CARDS - number)}s"},
            }
        catalog["apps"][app] = {**hello, "images": [f"pilothouse/{app}"], "manifests": [], **entry}
        (demo / "manifests" / f"{app}.yaml").write_text(
            manifest.replace("hello", app), encoding="utf-8"
        )
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    return demo


def is_broken(number: int) -> bool:
    return number >= CARDS - BROKEN


class Watch:
    """Reads only the numbers of the records: reading them whole would take time from the workers
    that are measured."""

    def __init__(self, redis: Redis, releases: Sequence[str]) -> None:
        self._redis = redis
        self.lags = Lags()
        self.cards = {release: Card() for release in releases}

    def look(self) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for release in self.cards:
            pipeline.hmget(f"{PREFIX}release:{release}", "card_wanted", "card_shown", "phase")
        found, now = pipeline.execute(), time.monotonic()
        for card, (wanted, shown, phase) in zip(self.cards.values(), found, strict=True):
            self._see(card, int(wanted), int(shown), Phase(phase.decode()), now)
        self.lags.at_once = max(
            self.lags.at_once, sum(not Phase(card.phase).is_final for card in self.cards.values())
        )

    def _see(self, card: Card, wanted: int, shown: int, phase: Phase, now: float) -> None:
        if wanted > shown or phase != card.phase:  # what was shown between two polls was late too
            card.unshown.setdefault(wanted, now)
        if phase != card.phase:
            card.asked = wanted if phase in WAITED_FOR else card.asked
            card.over = wanted if phase.is_final else card.over
            card.phase = phase
        for version in [version for version in card.unshown if version <= shown]:
            lag = (
                now - card.unshown.pop(version) + LOOKS_EVERY_S
            )  # at most: it was saved at some time since the last poll
            self.lags.every.append(lag)
            self.lags.asked += [lag] if version == card.asked else []
            self.lags.over += [lag] if version == card.over else []

    def has_seen_all(self) -> bool:
        self.look()
        phases = Counter(Phase(card.phase).is_final for card in self.cards.values())
        gates = sum(bool(card.asked) for card in self.cards.values())
        return (
            gates >= GATED
            and phases[True] == CARDS - GATED
            and not any(card.unshown for card in self.cards.values())
        )


def start(sandbox: Sandbox) -> list[str]:
    releases = []
    for number in range(CARDS):
        version = "2.0.0-crash" if is_broken(number) else "2.0.0"
        typed = f"/deploy app{number} {version} canary"
        told = type_and_read(sandbox.slack, DEVELOPER, CHANNEL, typed)
        if f"started as app{number}-1." not in told:
            raise Void(f"app{number} did not start: {told}")
        releases.append(f"app{number}-1")
    return releases


def loud_lags(sandbox: Sandbox, store: RedisReleaseStore) -> list[float]:
    failed = {
        line.release_id: line.at / 1000
        for line in store.audit(limit=10_000)
        if line.kind == "failure"
    }
    posted: dict[str, float] = {}
    for message in sandbox.slack.messages(CHANNEL):
        for release_id in failed:
            if " failed: " in message["text"] and message["text"].startswith(
                f"{release_id.rpartition('-')[0]} "
            ):
                posted.setdefault(release_id, float(message["ts"]))
    return [posted.get(release_id, time.time()) - at for release_id, at in failed.items()]


def run() -> list[Row]:
    """Raises Void, TimeoutError."""
    with (
        tempfile.TemporaryDirectory() as folder,
        run_sandbox(demo=folder_of_apps(Path(folder)), ready_after=4.0) as sandbox,
    ):
        until_pods_are_ready(sandbox, apps=CARDS, replicas=REPLICAS)
        redis, began = connect(sandbox.redis.url), time.monotonic()
        store, watch = RedisReleaseStore(redis), Watch(redis, start(sandbox))
        until(
            watch.has_seen_all,
            SEEN_WITHIN_S,
            "every gate opened, every other release over, every card drawn",
            every_s=LOOKS_EVERY_S,
        )
        took, lags = time.monotonic() - began, watch.lags
        lags.failures = loud_lags(sandbox, store)
        ended = Counter(card.phase for card in watch.cards.values())
        refused = len(
            [call for call in sandbox.slack.log(kind="call") if call.get("status") == 429]
        )
    _check_all_happened(lags, ended)
    settings = (
        f"{lags.at_once} canaries at once in one channel for {took:.0f} s, Slack's published rates"
    )
    return [
        Row("calls that Slack refused (429)", "", refused, "none", refused == 0, None, settings),
        _row("a card is behind, at most", lags.every, 60, settings),
        _row("a card behind an opened gate, at most", lags.asked, 5, settings),
        _row("a failure unreported, at most", lags.failures, 5, settings),
        _row("a final state unshown, at most", lags.over, 3, settings),
    ]


def _check_all_happened(lags: Lags, ended: Counter[str]) -> None:
    """Raises Void."""
    if lags.at_once < CARDS:
        raise Void(f"only {lags.at_once} releases were under way at once")
    if not (lags.asked and lags.over and lags.failures):
        raise Void(
            f"{len(lags.asked)} gates, {len(lags.over)} final states and {len(lags.failures)}"
            " failures were seen"
        )
    if (
        ended[Phase.AWAITING_PROMOTION] != GATED
        or ended[Phase.SUCCEEDED] != CARDS - GATED - BROKEN
        or len(lags.failures) != BROKEN
    ):
        raise Void(f"not what was to happen: {dict(ended)}, {len(lags.failures)} failures")


def _row(what: str, lags: list[float], most: float, settings: str) -> Row:
    worst = max(lags)
    return Row(
        f"{what} ({len(lags)} seen)", "s", worst, f"<= {most:.0f} s", worst <= most, None, settings
    )
