"""People at work on many apps: they start random releases, and a manager decides on every card that
asks."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sandbox.slack import LocalSlack
from tests.card_buttons import offered, press, release_of
from tests.receipts import type_and_read

CHANNEL = "C0RELEASES"
DEVELOPER, MANAGER = "U0DEV1", "U0MANAGER"
DECISIONS = ("Promote", "Switch", "Continue", "Resume")
ONE_IN_ABORTED = 8
ONE_IN_BROKEN = 8
Json = dict[str, Any]

# What is started, as often as it stands here; {v} is a version that the app never had, {n} a number
# of pods.
WORK = (
    "/deploy {app} {v} rolling", "/deploy {app} {v} rolling", "/deploy {app} {v} rolling",
    "/deploy {app} {v} canary", "/deploy {app} {v} canary", "/deploy {app} {v} canary sticky",
    "/deploy {app} {v} bluegreen", "/deploy {app} {v} bluegreen",
    "/scale {app} {n}", "/rollout restart {app}", "/rollout undo {app}",
)  # fmt: skip


@dataclass
class People:
    """``started`` counts commands by kind, ``unanswered`` holds those that gave no release."""

    slack: LocalSlack
    seed: int
    started: Counter[str] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    _versions: Counter[str] = field(default_factory=Counter)
    _minds: dict[tuple[str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def start(self, app: str) -> None:
        """Draw and type the next command for an app without a running release."""
        work = self._chance.choice(WORK)
        self._versions[app] += 1
        broken = "-missing" if self._chance.randrange(ONE_IN_BROKEN) == 0 else ""
        text = work.format(
            app=app, v=f"2.{self._versions[app]}.0{broken}", n=self._chance.choice((2, 3, 4, 5))
        )
        told = type_and_read(self.slack, DEVELOPER, CHANNEL, text)
        if re.search(rf"\b{re.escape(app)}-\d+\b", told):
            self.started[" ".join(word for word in work.split() if "{" not in word)] += 1
        else:
            self.unanswered.append(f"{text}: {told[:200]}")

    def decide(self, running: Collection[str]) -> None:
        """Press what a manager would press on each card of a running release, deciding once for
        each button."""
        for offer in offered(self.slack.messages(CHANNEL), DECISIONS):
            release = release_of(offer.button)
            if release not in running:
                continue  # the card will lose its buttons in a moment
            aborts = self._minds.setdefault(
                (release, offer.button["action_id"]), self._chance.randrange(ONE_IN_ABORTED) == 0
            )
            if aborts:
                self.slack.command(
                    DEVELOPER, CHANNEL, f"/rollout abort {release.rpartition('-')[0]}"
                )
            else:
                press(self.slack, MANAGER, CHANNEL, offer)
