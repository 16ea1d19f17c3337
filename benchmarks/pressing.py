"""How the benches press a button: the newest of its label, as soon as a card shows it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.waiting import CHANNEL
from sandbox.main import Sandbox
from tests.card_buttons import Offer, newest_offer, press

SHOWN_WITHIN_S = 120.0


@dataclass(frozen=True)
class Pressed:
    """``at`` is seconds of Unix time, ``counter`` the same moment by ``time.perf_counter``."""

    value: str
    at: float
    counter: float


def find_button(sandbox: Sandbox, label: str, *, unlike: str = "") -> Offer | None:
    """The newest of that label that carries another value than ``unlike``."""
    return newest_offer(sandbox.slack.messages(CHANNEL), label, unlike=unlike)


def press_button(sandbox: Sandbox, user: str, label: str, *, unlike: str = "") -> Pressed:
    """Raises TimeoutError."""
    while True:
        offer: Offer = sandbox.slack.wait_for(
            lambda: find_button(sandbox, label, unlike=unlike),
            seconds=SHOWN_WITHIN_S,
            what=f"the button {label}",
        )
        pressed = Pressed(str(offer.button.get("value")), time.time(), time.perf_counter())
        if press(sandbox.slack, user, CHANNEL, offer).get("ok"):
            return pressed
        # The card was redrawn before the click.
