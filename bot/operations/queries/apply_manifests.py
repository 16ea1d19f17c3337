"""`/apply APP`: the server's dry run as a diff, with a button that starts a release.

The release does all the writing, in its turn: the objects beside the app's template by server-side
apply, then the template as a roll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.operations.access.roles import fresh_roles
from bot.operations.context import App, Context
from bot.operations.lifecycle.compare_manifests import (
    Compared,
    changes_something,
    compare_manifests,
    conflicts_of,
    does_of,
    moved,
    refusal_of_changes,
    title_of,
)
from bot.operations.lifecycle.start_release import may_not_start, start_release
from bot.operations.queries.keep_query import keep_query
from bot.operations.replies import ConfirmReply, Refusal, Reply, TextReply
from bot.policy.decision import place_of_target
from bot.ports import ChannelUnavailable, ObjectChange, RateLimited, SlackUnavailable
from bot.query import Query
from bot.releases.facts.changes import Reapply
from bot.releases.facts.counts import counted, some_of

CONFIRM_WITHIN_MS = 600_000
MAX_LINES = 60
MAX_CHARACTERS = 2_600
MAX_NAMED = 3


def apply_manifests(context: Context, app: App, query: Query) -> Reply:
    """Raises ClusterUnreachable, Refused, SlackUnavailable."""
    stopped = may_not_start(context, app, Reapply(None), by=query.asker, reason="")
    if stopped is not None:
        return stopped
    compared = compare_manifests(context, app, app.target)
    changes = compared.changes
    roles = fresh_roles(context, query.asker, place_of_target(app.target))
    if line := refusal_of_changes(app.target, changes, roles):
        return Refusal(line, "Nothing was applied.")
    if line := conflicts_of(app.target, changes):
        return Refusal(
            line,
            "Nothing was applied. Remove the fields from the manifest, or let their owner change"
            " them.",
        )
    if not any(changes_something(change) for change in changes):
        return TextReply(f"{app.target.label} is as its manifests say: nothing to apply")
    again = ""
    if query.confirms is not None:
        names = moved(query.confirms, compared.digests)
        if not names:
            return _start(context, app, query, compared)
        again = (
            f"Nothing was applied: {some_of(names, MAX_NAMED)} changed since it was shown."
            " Check again. "
        )
    lines = [line for change in changes for line in _described(change)]
    asked = replace(query, confirms=compared.digests)
    token = keep_query(context, "confirm", asked, for_ms=CONFIRM_WITHIN_MS)
    return ConfirmReply(
        f"{again}Apply the manifests of {app.target.label}?",
        _fitting(context, app, query, lines),
        "Apply",
        token,
    )


def _start(context: Context, app: App, query: Query, compared: Compared) -> Reply:
    return start_release(
        context,
        app,
        Reapply(None, compared.shown, "confirmed"),
        by=query.asker,
        channel=query.reply_to.channel,
        reason="manifests changed",
        command=query.text,
        dedup_key=f"apply:{query.dedup_key}",
    )


def _fitting(context: Context, app: App, query: Query, lines: Sequence[str]) -> tuple[str, ...]:
    """The lines that a message holds; when some are left out, the asker gets all of them as a
    file."""
    kept: list[str] = []
    left = MAX_CHARACTERS
    for line in lines[:MAX_LINES]:
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    if len(kept) == len(lines):
        return tuple(lines)
    where = "all of it is in your direct messages with this app"
    try:
        name = f"apply-{app.target.app}"
        context.messenger.upload(
            query.asker.user, f"{name}.txt", "\n".join(lines) + "\n", title=name
        )
    except (RateLimited, SlackUnavailable, ChannelUnavailable) as failure:
        where = f"the file with all of it could not be sent: {failure}"
    return (*kept, f"… and {counted(len(lines) - len(kept), 'more line')}: {where}")


def _described(change: ObjectChange) -> tuple[str, ...]:
    shown = [*change.diff] if changes_something(change) else []
    if shown and change.kind == "Deployment" and change.does != "create":
        shown.insert(
            0, "# image and number of pods stay as they are: releases and scaling own them"
        )
    if change.template is not None:
        shown.insert(0, "# its pod template changes: that part runs as a rolling release")
    return (f"{does_of(change)}: {title_of(change)}", *(f"  {line}" for line in shown))
