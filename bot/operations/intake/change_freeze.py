"""`/freeze` and `/unfreeze`: stop new releases of an app, a cluster or all, or allow them
again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from bot.commands.model import FreezeCommand, UnfreezeCommand
from bot.operations.context import Context
from bot.operations.replies import Refusal, Reply, TextReply
from bot.operations.requests import Invocation
from bot.policy.freezes import Freeze, ends_earlier, refusal_to_end
from bot.policy.permissions import Permission, Role, may
from bot.ports import AuditLine


def change_freeze(
    context: Context,
    invocation: Invocation,
    command: FreezeCommand | UnfreezeCommand,
    roles: Collection[Role],
) -> Reply:
    before = next((one for one in context.store.freezes() if one.scope == command.scope), None)
    if isinstance(command, FreezeCommand):
        return _freeze(context, invocation, command, roles, before)
    if before is not None and (refusal := refusal_to_end(before, roles)):
        return Refusal(refusal)
    if not context.store.unfreeze(command.scope):
        return Refusal(f"{command.scope} is not frozen.")
    _audit(context, invocation, "unfroze", command.scope, "")
    return TextReply(f"{command.scope} is no longer frozen")


def _freeze(
    context: Context,
    invocation: Invocation,
    command: FreezeCommand,
    roles: Collection[Role],
    before: Freeze | None,
) -> Reply:
    now = context.store.now()
    until = now + command.for_ms if command.for_ms is not None else command.until_ms
    by_admin = may(roles, Permission.ADMIN)
    if before is not None and before.by_admin:
        if ends_earlier(until, before) and (refusal := refusal_to_end(before, roles)):
            return Refusal(refusal)
        by_admin = True  # a longer one still contains the admin's
    context.store.freeze(
        Freeze(command.scope, command.reason, invocation.person, now, until, by_admin)
    )
    _audit(context, invocation, "froze", command.scope, command.reason)
    ends = f" until {datetime.fromtimestamp(until / 1000, UTC):%Y-%m-%d %H:%M} UTC" if until else ""
    return TextReply(
        f"{command.scope} is frozen{ends}: {command.reason}. Running releases continue, and undo"
        " still works; new releases need an admin and a reason."
    )


def _audit(context: Context, invocation: Invocation, kind: str, scope: str, reason: str) -> None:
    app = scope if scope in context.catalog.apps else ""
    text = f"{scope}: {reason}" if reason else scope
    line = AuditLine(context.store.now(), "", app, kind, text, invocation.person.user)
    context.store.write_audit(line, operation=f"{kind}:{invocation.dedup_key}")
