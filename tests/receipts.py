"""The release that a typed command started: its receipt comes privately, once a worker has checked
that it can start."""

from __future__ import annotations

import re
import time

from sandbox.slack import LocalSlack

WITHIN_S = 90.0


def type_and_read(slack: LocalSlack, user: str, channel: str, text: str) -> str:
    """What the person read at once, else the receipt of a moment later; "" where none came."""
    since = f"{time.time() - 0.001:.6f}"
    shown = str(slack.command(user, channel, text).get("text") or "")
    words = text.split()
    if shown or len(words) < 2:
        return shown
    app = words[2 if words[0] == "/rollout" else 1]
    receipt = re.compile(rf"{re.escape(app)}\b.* (started|already runs) as {re.escape(app)}-\d+")

    def read() -> str:
        found = slack.messages(channel, user, after=since, about=app)
        return next((str(one["text"]) for one in found if receipt.search(one["text"])), "")

    try:
        return str(slack.wait_for(read, WITHIN_S, "a receipt"))
    except TimeoutError:
        return ""
