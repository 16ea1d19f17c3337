"""What a button of the history was drawn for: whatever of it changes since voids the button."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import busy_with
from bot.releases.facts.observation import DeploymentSeen, Observation


def app_state(context: Context, app: App, seen: Observation, stable: DeploymentSeen) -> str:
    """Template, replicas, selectors of the Services and the release that runs, each by itself, so
    that it can be said what changed."""
    running = busy_with(context, app.target)
    selectors = {one.name: dict(one.selector or {}) for one in seen.services}
    parts = (_digest(stable.template), str(stable.replicas), _digest(selectors))
    return "/".join((*parts, running.id if running is not None else ""))


def changed_since(before: str, now: str) -> str:
    """In words; "" for nothing."""
    old, new = before.split("/"), now.split("/")
    if len(old) != len(new):
        return "it was drawn by another version of Pilothouse"
    words = (
        "the template of its pods changed",
        f"its replicas changed from {old[1]} to {new[1]}",
        "the selector of its Service changed",
        f"{new[3]} is running" if new[3] else f"{old[3]} is over",
    )
    found = (said for said, was, is_now in zip(words, old, new, strict=True) if was != is_now)
    return ", ".join(found)


def _digest(value: Any) -> str:
    whole = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(whole).hexdigest()[:12]
