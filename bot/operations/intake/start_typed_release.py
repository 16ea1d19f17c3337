"""Start the release that a typed command asks for."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.lifecycle.start_release import start_release
from bot.operations.replies import Reply
from bot.operations.requests import Invocation
from bot.releases.facts.changes import Change


def start_typed_release(
    context: Context, invocation: Invocation, app: App, change: Change, reason: str
) -> Reply:
    return start_release(
        context,
        app,
        change,
        by=invocation.person,
        channel=invocation.channel,
        reason=reason,
        command=invocation.text,
        dedup_key=invocation.dedup_key,
    )
