"""People at Slack: who types, who clicks, and when they think better of it. They see only what
Slack shows them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bot.operations.context import Context
from bot.operations.intake.handle_click import handle_click
from bot.operations.intake.handle_command import handle_command
from bot.operations.requests import Click, Invocation
from bot.releases.facts.people import Person
from bot.slack.blocks.buttons import ACTION_PREFIX
from tests.builders import ADMIN, DEVELOPER, MANAGER, OTHER_DEVELOPER
from tests.simulation.scheduling import Scheduler
from tests.simulation.slack import Shown, SimulatedSlack
from tests.simulation.trace import Trace, told

STRANGER = Person("T1", "U0READER", "reader")
EVERYONE = (DEVELOPER, OTHER_DEVELOPER, MANAGER, ADMIN, STRANGER)
CAREFUL = ("approve", "promote", "resume", "adopt")
"""What people click who want it to end well, first choice first."""


@dataclass
class People:
    scheduler: Scheduler
    chance: random.Random
    bots: Mapping[str, Context]
    slack: SimulatedSlack
    trace: Trace
    accepted: Callable[[Invocation, object], None]
    sent: int = 0

    # --- typing -----------------------------------------------------------------------------------

    def type(self, person: Person, channel: str, text: str) -> None:
        """Slack repeats a request whose acknowledgement it missed, to any of the bots."""
        self.sent += 1
        invocation = Invocation(
            person, channel, text, "/pilothouse", f"trigger-{self.sent}", f"reply-{self.sent}"
        )
        copies = 1 + (self.chance.random() < 0.1)
        for number in range(copies):
            after = self.chance.randrange(1, 3_000) if number else 0
            bot = self.chance.choice([*self.bots])
            self.scheduler.spawn(bot, partial(self._take, bot, invocation), after_ms=after)

    def _take(self, bot: str, invocation: Invocation) -> None:
        reply = handle_command(self.bots[bot], invocation)
        self.trace.add(self.scheduler.now, "bot", f"{told(invocation)} -> {reply!r}"[:300])
        self.accepted(invocation, reply)

    # --- clicking ---------------------------------------------------------------------------------

    def click_anything(self, *, really: bool = True) -> None:
        """Any person, any button of any message, old ones too; now and then twice."""
        shown = [one for one in self.slack.messages.values() if any(one.buttons())]
        if not shown:
            return
        message = shown[-1] if self.chance.random() < 0.6 else self.chance.choice(shown)
        action, value = self.chance.choice([*message.buttons()])
        person = self.chance.choice(EVERYONE)
        for _ in range(1 + (self.chance.random() < 0.15)):
            if really:
                self._click(person, message, action, value)

    def see_to_it(self) -> None:
        """Each message as it stands now gets the click that lets its release go on."""
        for message in [*self.slack.messages.values()]:
            buttons = {
                action.removeprefix(ACTION_PREFIX): value for action, value in message.buttons()
            }
            wanted = next((one for one in CAREFUL if one in buttons), "")
            if wanted:
                for person in (MANAGER, ADMIN):
                    self._click(person, message, ACTION_PREFIX + wanted, buttons[wanted])
                if wanted in ("resume", "adopt"):
                    self._click(DEVELOPER, message, ACTION_PREFIX + wanted, buttons[wanted])

    def give_up(self) -> None:
        """Everything that still can be aborted is."""
        for message in [*self.slack.messages.values()]:
            for action, value in message.buttons():
                if action == ACTION_PREFIX + "abort":
                    self._click(DEVELOPER, message, action, value, was_asked_why=True)

    def _click(
        self,
        person: Person,
        message: Shown,
        action: str,
        value: str,
        *,
        was_asked_why: bool = False,
    ) -> None:
        self.sent += 1
        click = Click(
            person,
            message.channel,
            action.removeprefix(ACTION_PREFIX),
            value,
            message.ts,
            f"reply-{self.sent}",
            dedup_key=f"click-{self.sent}",
            was_asked_why=was_asked_why or self.chance.random() < 0.5,
            text="it looks wrong" if action.endswith(("reject", "abort")) else "",
        )
        bot = self.chance.choice([*self.bots])
        self.scheduler.spawn(bot, partial(self._take_click, bot, click))

    def _take_click(self, bot: str, click: Click) -> None:
        reply = handle_click(self.bots[bot], click)
        self.trace.add(self.scheduler.now, "bot", f"{told(click)} -> {reply!r}"[:300])
