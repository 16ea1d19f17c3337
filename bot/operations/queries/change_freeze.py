"""`/freeze` and `/unfreeze`: stop new releases of an app, a cluster or all, or allow them again.
Those that run are held where it says so.

A worker does it, for Slack is asked again before: lifting or shortening a freeze moves production
forward.
"""

from __future__ import annotations

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.commands.table import act_of
from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.access.record_decision import record_query
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.delivery.edit_banners import edit_banners
from bot.operations.lifecycle.meet_freeze import wake_covered
from bot.operations.replies import FreezeReply, Refusal, Reply, TextReply
from bot.policy.decision import Act, Asker, Freezing
from bot.policy.freezes import Freeze, ends_earlier, lets_continue
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
    act, place = act_of(UnfreezeCommand(scope)), context.catalog.place_of_freeze(scope)
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer)
    if refusal := _refusal(context, query, asker, act, Freezing(place, before)):
        return refusal
    if before is None:
        return _not_lifted(context, scope)
    if not _change(context, query, "unfroze", scope, before, None, scope):
        return None
    edit_banners(context, query.asker)
    return TextReply(f"{scope} is no longer frozen")


def _not_lifted(context: Context, scope: str) -> Refusal:
    """A window of the catalog is lifted by nobody in Slack."""
    window = next((one for one in freezes_in_force(context) if one.scope == scope), None)
    if window is None:
        return Refusal(f"{scope} is not frozen.")
    return Refusal(
        f"{window.line}.", "A window of the catalog ends by itself, or is changed there."
    )


def _freeze(
    context: Context, query: Query, command: FreezeCommand, before: Freeze | None
) -> Reply | None:
    """None where someone else changed the freeze meanwhile."""
    now, scope = context.store.now(), command.scope
    until = now + command.for_ms if command.for_ms is not None else command.until_ms
    is_shorter = before is not None and (
        ends_earlier(until, before) or lets_continue(command.running, before)
    )
    act, place = act_of(command), context.catalog.place_of_freeze(scope)
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer and not is_shorter)
    freezing = Freezing(place, before if is_shorter else None)
    if refusal := _refusal(context, query, asker, act, freezing):
        return refusal
    # a longer one still contains the admin's
    is_admin = Role.ADMIN in asker.roles(context.catalog.access, place)
    by_admin = is_admin or (before is not None and before.by_admin)
    after = Freeze(
        scope,
        command.reason,
        query.asker,
        now,
        until,
        by_admin,
        running=command.running,
        clusters=context.catalog.clusters_with(scope),
    )
    text = f"{scope}: {command.reason}" + (f" ({asker.note})" if asker.note else "")
    if not _change(context, query, "froze", scope, before, after, text):
        return None
    edit_banners(context, query.asker)
    return FreezeReply(after, asker.note)


def _refusal(
    context: Context, query: Query, asker: Asker, act: Act, freezing: Freezing
) -> Refusal | None:
    denied = denied_now(context, asker, act, freezing)
    record_query(context, asker, act, denied, query)
    return Refusal(denied.line, "Nothing was changed.") if denied else None


def _change(
    context: Context,
    query: Query,
    kind: str,
    scope: str,
    before: Freeze | None,
    after: Freeze | None,
    text: str,
) -> bool:
    """With its line in the audit."""
    app, by = scope if scope in context.catalog.names else "", query.asker
    line = AuditLine(context.store.now(), "", app, kind, text, by.user)
    operation = f"{kind}:{query.dedup_key}" if query.dedup_key else ""
    is_changed = context.store.change_freeze(scope, before, after, operation=operation, audit=line)
    if is_changed:
        wake_covered(context, filter(None, (before, after)))
    return is_changed
