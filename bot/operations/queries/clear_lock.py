"""`/pilothouse clear`: machines may release an app again, though a version of it failed, and that
version is no longer marked bad.

A worker does it, for Slack is asked again before: it moves production forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bot.commands.model import ClearCommand
from bot.commands.table import act_of
from bot.operations.access.places import place_of_command
from bot.operations.access.record_decision import record_query
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import App, Context
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.queries.observe_app import observe_app
from bot.operations.queries.show_history import version_in
from bot.operations.replies import Refusal, Reply, TextReply
from bot.policy.automation import AutomationLock, without_version
from bot.ports import AuditLine, ClusterUnreachable
from bot.query import Query
from bot.releases.planning.undo import app_of
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
    marked, away = _bad_templates(context, app, command.version)
    what = f"{command.version} of {target.label}" if command.version else target.label
    operation = f"cleared:{query.dedup_key}" if query.dedup_key else context.runtime.new_id()
    for _ in range(ATTEMPTS):
        locks = context.store.automation_locks(target.app, target.cluster)
        left = without_version(locks, command.version)
        if left == locks and not marked:
            kept = listed([one.version for one in locks], "and")
            hint = f"Of {target.label}, {kept} may be cleared." if kept else away
            return Refusal(f"{what} is neither locked for machines nor marked bad.", hint)
        last = locks[-1].release_id if left != locks else marked[-1].release_id
        text, now = f"{what}: {command.reason}", context.store.now()
        line = AuditLine(now, last, target.app, "cleared", text, query.asker.user)
        if left == locks:
            context.store.write_audit(line, operation=operation)
        elif not context.store.change_automation_locks(
            target.app, target.cluster, locks, left, operation=operation, audit=line
        ):
            continue
        for one in marked:
            context.store.lift_bad_mark(one.key, one.template)
        cleared = "cleared for machines" if left != locks else "no longer marked bad"
        return TextReply(_said(f"{what} is {cleared}: {command.reason}", left, away))
    return Refusal(f"The locks of {target.label} are changing too fast.", "Try again.")


def _said(text: str, left: Sequence[AutomationLock], away: str) -> str:
    still = f"Still locked: {left[-1].line}" if left else ""
    return ". ".join(filter(None, (text, still, away)))


class _Marked(NamedTuple):
    key: str
    template: Any
    release_id: str


def _bad_templates(context: Context, app: App, version: str) -> tuple[tuple[_Marked, ...], str]:
    """Those that the Deployments still have and a release of this app marked; and why they could
    not be read."""
    try:
        seen = observe_app(context, app)
    except ClusterUnreachable as away:
        name = app.target.cluster
        text = f"The history's marks stay while {name} is unreachable ({away.why}): clear it again."
        return (), text
    return tuple(
        _Marked(key, one.template, release_id)
        for deployment in (seen.stable, seen.candidate)
        if deployment is not None
        for key in (templates_key(seen.cluster_uid, app.target.namespace, deployment.name),)
        for one in deployment.replica_sets
        for verdict, release_id, _ in (context.store.verdict_on(key, one.template),)
        if verdict == "bad"
        and app_of(release_id) == app.target.app
        and version in ("", version_in(app, one.template))
    ), ""
