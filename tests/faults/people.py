"""People at work: they start releases of every strategy, decide on cards, and sometimes change
their minds."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from bot.ports import StoreUnavailable
from tests.card_buttons import Offer, offered, press, release_of
from tests.faults.stage import CHANNEL, Stage
from tests.receipts import type_and_read

DEVELOPER, MANAGER, ON_CALL = "U0DEV1", "U0MANAGER", "U0ONCALL"
STRATEGIES = ("rolling", "canary", "bluegreen")
DECISIONS = (
    "Promote",
    "Switch",
    "Approve start",
    "Continue",
    "Finish now",
    "Resume",
    "Adopt",
    "Continue now",
)
ONE_IN_ABORTED = 8
ONE_IN_BROKEN = 6
LOOKS_EVERY_S = 0.4
Json = dict[str, Any]


@dataclass(frozen=True)
class Accepted:
    """A command that a person saw accepted."""

    text: str
    release_id: str


@dataclass
class People:
    """While ``starts`` is set, new releases are started; ``ends`` ends all work."""

    stage: Stage
    seed: int
    accepted: list[Accepted] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    starts: threading.Event = field(default_factory=threading.Event)
    ends: threading.Event = field(default_factory=threading.Event)
    _versions: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """They start releases while ``starts`` is set, and make decisions all the time."""
        threads = [
            threading.Thread(target=work, name=work.__name__)
            for work in (self.start_releases, self.decide)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ends.set()
            for thread in threads:
                thread.join(40)

    def next_version(self, app: str) -> int:
        with self._lock:
            self._versions[app] = self._versions.get(app, 1) + 1
            return self._versions[app]

    def say(self, text: str, user: str = DEVELOPER) -> str:
        try:
            shown = type_and_read(self.stage.sandbox.slack, user, CHANNEL, text)
        except httpx.HTTPError as failure:
            shown = f"not sent: {failure}"
        app = text.split()[1] if " " in text else ""
        found = re.search(rf"\b{re.escape(app)}-\d+\b", shown) if app else None
        with self._lock:
            if found and text.startswith("/deploy"):
                self.accepted.append(Accepted(text, found[0]))
            else:
                self.refused.append(f"{text}: {shown[:200]}")
        return shown

    def start_releases(self) -> None:
        """An app gets its next release when its last is over."""
        chance = random.Random(self.seed)
        while not self.ends.wait(0.3):
            if not self.starts.is_set():
                continue
            busy = busy_apps(self.stage)
            if busy is None:
                continue
            for app in self.stage.apps:
                if app in busy or not self.starts.is_set():
                    continue
                strategy = chance.choice(STRATEGIES)
                broken = "-missing" if chance.randrange(ONE_IN_BROKEN) == 0 else ""
                self.say(f"/deploy {app} {self.next_version(app)}.0.0{broken} {strategy}")

    def decide(self) -> None:
        """A manager makes up their mind once for each button of each card."""
        chance = random.Random(self.seed + 1)
        aborts: dict[tuple[str, str], bool] = {}
        while not self.ends.wait(LOOKS_EVERY_S):
            for offer in self.decisions():
                choice = (offer.message["ts"], offer.button["action_id"])
                if aborts.setdefault(choice, chance.randrange(ONE_IN_ABORTED) == 0):
                    self.say(f"/rollout abort {release_of(offer.button).rpartition('-')[0]}")
                else:
                    self.click(offer, MANAGER)

    def decisions(self) -> Iterator[Offer]:
        """The button that a manager would press on each card that offers one."""
        try:
            messages = self.stage.sandbox.slack.messages(CHANNEL)
        except httpx.HTTPError:
            return
        yield from offered(messages, DECISIONS)

    def click(self, offer: Offer, user: str) -> None:
        try:
            press(self.stage.sandbox.slack, user, CHANNEL, offer)
        except httpx.HTTPError:
            return  # no reply in time: the next poll may find the button again


def busy_apps(stage: Stage) -> set[str] | None:
    """None while Redis is away."""
    try:
        return {release.target.app for release in stage.store.active()}
    except StoreUnavailable:
        return None


def many_at_once(work: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def wait_until(claim: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
