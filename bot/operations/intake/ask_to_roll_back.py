"""Roll back, clicked where a release is over: a worker answers, since only the cluster knows what
runs now."""

from __future__ import annotations

import uuid

from bot.commands.model import RolloutCommand
from bot.commands.table import act_of
from bot.operations.access.refuse import refuse
from bot.operations.context import Context
from bot.operations.lifecycle.start_release import refusal_at_once
from bot.operations.replies import Pending, Refusal, Reply
from bot.operations.requests import BUTTON, Click
from bot.policy.decision import POSTED
from bot.query import ReplyTo, RollBackOf, StartRequest, dump_start
from bot.releases.facts.changes import Undo
from bot.releases.facts.release import Release


def ask_to_roll_back(context: Context, click: Click, release: Release, of: RollBackOf) -> Reply:
    name, by = release.target.app, click.person
    command, app = RolloutCommand("undo", name), context.catalog.apps.get(name)
    if app is None:
        return Refusal(f"The catalog no longer has the app `{name}`.")
    refusal = refuse(context, by, act_of(command), POSTED) or refusal_at_once(
        context, app, Undo(), by=by, channel=release.channel, reason=""
    )
    if refusal is not None:
        return refusal
    key = f"{click.dedup_key}:{by.user}" if click.dedup_key else uuid.uuid4().hex
    request = StartRequest(
        command,
        name,
        by,
        ReplyTo(click.channel, response_url=click.response_url),
        f"rollout undo {name}",
        BUTTON,
        key,
        of,
    )
    context.store.ask_to_start(name, dump_start(request), operation=f"ask:{key}")
    return Pending()
