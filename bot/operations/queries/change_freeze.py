"""`/freeze` and `/unfreeze`: stop new releases of an app, a cluster or all, or allow them again.

A worker does it, for Slack is asked again before: lifting or shortening a freeze moves production
forward.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.operations.access.roles import Standing, standing
from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.policy.freezes import Freeze, ends_earlier, refusal_to_end
from bot.policy.permissions import Permission, may, refusal_of_role
from bot.ports import AuditLine
from bot.query import Query

ATTEMPTS = 3


def change_freeze(
    context: Context, query: Query, command: FreezeCommand | UnfreezeCommand
) -> Reply:
    """Two people at once: the second is judged by what the first left. Raises SlackUnavailable."""
    for _ in range(ATTEMPTS):
        freezes = context.store.freezes()
        before = next((one for one in freezes if one.scope == command.scope), None)
        if isinstance(command, FreezeCommand):
            reply = _freeze(context, query, command, before)
        else:
            reply = _lift(context, query, command.scope, before)
        if reply is not None:
            return reply
    return Refusal(f"The freeze of {command.scope} is changing too fast.", "Try again.")


def _lift(context: Context, query: Query, scope: str, before: Freeze | None) -> Reply | None:
    """None where someone else changed the freeze meanwhile."""
    judged = standing(context, query.asker, makes_safer=False)
    if refusal := _refusal(judged, before):
        return refusal
    if before is None:
        return Refusal(f"{scope} is not frozen.")
    if not context.store.change_freeze(scope, before, None):
        return None
    _audit(context, query, "unfroze", scope, scope)
    return TextReply(f"{scope} is no longer frozen")


def _freeze(
    context: Context, query: Query, command: FreezeCommand, before: Freeze | None
) -> Reply | None:
    """None where someone else changed the freeze meanwhile."""
    now, scope = context.store.now(), command.scope
    until = now + command.for_ms if command.for_ms is not None else command.until_ms
    is_shorter = before is not None and ends_earlier(until, before)
    judged = standing(context, query.asker, makes_safer=not is_shorter)
    if refusal := _refusal(judged, before if is_shorter else None):
        return refusal
    # a longer one still contains the admin's
    by_admin = may(judged.roles, Permission.ADMIN) or (before is not None and before.by_admin)
    after = Freeze(scope, command.reason, query.asker, now, until, by_admin)
    if not context.store.change_freeze(scope, before, after):
        return None
    note = f" ({judged.note})" if judged.note else ""
    _audit(context, query, "froze", scope, f"{scope}: {command.reason}{note}")
    ends = f" until {datetime.fromtimestamp(until / 1000, UTC):%Y-%m-%d %H:%M} UTC" if until else ""
    return TextReply(
        f"{scope} is frozen{ends}: {command.reason}{note}. Running releases continue, and undo"
        " still works; new releases need an admin and a reason."
    )


def _refusal(judged: Standing, ends: Freeze | None) -> Refusal | None:
    line = refusal_of_role(Permission.DEPLOY, judged.roles)
    if not line and ends is not None:
        line = refusal_to_end(ends, judged.roles)
    return Refusal(line, "Nothing was changed.") if line else None


def _audit(context: Context, query: Query, kind: str, scope: str, text: str) -> None:
    app, by = scope if scope in context.catalog.apps else "", query.asker
    line = AuditLine(context.store.now(), "", app, kind, text, by.user)
    context.store.write_audit(line, operation=f"{kind}:{query.dedup_key}")
