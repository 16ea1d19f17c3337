"""`/pilothouse clear`: machines may release an app again, though a version of it failed.

A worker does it, for Slack is asked again before: it moves production forward.
"""

from __future__ import annotations

from bot.commands.model import ClearCommand
from bot.commands.table import act_of
from bot.operations.access.places import place_of_command
from bot.operations.access.record_decision import record_query
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.policy.automation import without_version
from bot.ports import AuditLine
from bot.query import Query
from config.nearest import listed

ATTEMPTS = 4


def clear_lock(context: Context, query: Query, command: ClearCommand) -> Reply:
    """Raises SlackUnavailable."""
    app = context.catalog.find(command.app, command.cluster)
    if app is None:
        return Refusal(f"The catalog no longer has the app `{command.app}`.")
    act, place = act_of(command), place_of_command(context.catalog, command)
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer)
    denied = denied_now(context, asker, act, place)
    record_query(context, asker, act, denied, query)
    if denied is not None:
        return Refusal(denied.line, "Nothing was changed.")
    target = app.target
    what = f"{command.version} of {target.label}" if command.version else target.label
    operation = f"cleared:{query.dedup_key}" if query.dedup_key else context.runtime.new_id()
    for _ in range(ATTEMPTS):
        locks = context.store.automation_locks(target.app, target.cluster)
        left = without_version(locks, command.version)
        if left == locks:
            kept = listed([one.version for one in locks], "and")
            hint = f"Of {target.label}, {kept} may be cleared." if kept else ""
            return Refusal(f"{what} is not locked for machines.", hint)
        line = AuditLine(
            context.store.now(),
            locks[-1].release_id,
            target.app,
            "cleared",
            f"{what}: {command.reason}",
            query.asker.user,
        )
        if context.store.change_automation_locks(
            target.app, target.cluster, locks, left, operation=operation, audit=line
        ):
            still = f". Still locked: {left[-1].line}" if left else ""
            return TextReply(f"{what} is cleared for machines: {command.reason}{still}")
    return Refusal(f"The locks of {target.label} are changing too fast.", "Try again.")
