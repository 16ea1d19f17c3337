"""`/freeze` and `/unfreeze`: stop new releases of an app, a cluster or all, or allow them again.

A worker does it, for Slack is asked again before: lifting or shortening a freeze moves production
forward.
"""

from __future__ import annotations

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.commands.table import act_of
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.delivery.edit_banners import edit_banners
from bot.operations.replies import FreezeReply, Refusal, Reply, TextReply
from bot.policy.decision import Act, Asker
from bot.policy.freezes import Freeze, ends_earlier
from bot.policy.permissions import Role
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
    act = act_of(UnfreezeCommand(scope))
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer)
    if refusal := _refusal(context, asker, act, before):
        return refusal
    if before is None:
        return Refusal(f"{scope} is not frozen.")
    if not context.store.change_freeze(scope, before, None):
        return None
    _audit(context, query, "unfroze", scope, scope)
    edit_banners(context, query.asker)
    return TextReply(f"{scope} is no longer frozen")


def _freeze(
    context: Context, query: Query, command: FreezeCommand, before: Freeze | None
) -> Reply | None:
    """None where someone else changed the freeze meanwhile."""
    now, scope = context.store.now(), command.scope
    until = now + command.for_ms if command.for_ms is not None else command.until_ms
    is_shorter = before is not None and ends_earlier(until, before)
    act = act_of(command)
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer and not is_shorter)
    if refusal := _refusal(context, asker, act, before if is_shorter else None):
        return refusal
    # a longer one still contains the admin's
    by_admin = Role.ADMIN in asker.roles or (before is not None and before.by_admin)
    after = Freeze(scope, command.reason, query.asker, now, until, by_admin)
    if not context.store.change_freeze(scope, before, after):
        return None
    note = f" ({asker.note})" if asker.note else ""
    _audit(context, query, "froze", scope, f"{scope}: {command.reason}{note}")
    edit_banners(context, query.asker)
    return FreezeReply(after, asker.note)


def _refusal(context: Context, asker: Asker, act: Act, ends: Freeze | None) -> Refusal | None:
    denied = denied_now(context, asker, act, ends)
    return Refusal(denied.line, "Nothing was changed.") if denied else None


def _audit(context: Context, query: Query, kind: str, scope: str, text: str) -> None:
    app, by = scope if scope in context.catalog.apps else "", query.asker
    line = AuditLine(context.store.now(), "", app, kind, text, by.user)
    context.store.write_audit(line, operation=f"{kind}:{query.dedup_key}")
