"""`/apply APP`: first the server's dry run and a diff with a button to apply it; then server-side
apply, never forced.

A changed template of an existing Deployment is not applied but rolled: it runs as a release with
lock, audit and rollback.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.operations.access.roles import fresh_roles
from bot.operations.context import App, Context
from bot.operations.lifecycle.start_release import frozen, start_release
from bot.operations.queries.keep_query import keep_query
from bot.operations.queries.list_apps import running_release
from bot.operations.replies import ConfirmReply, Refusal, Reply, TextReply
from bot.policy.manifests import NamedBrought, refusal_of_manifests
from bot.ports import AuditLine, ChannelUnavailable, ObjectChange, RateLimited, SlackUnavailable
from bot.query import Query
from bot.releases.facts.changes import Reapply
from bot.releases.facts.counts import counted, some_of

CONFIRM_WITHIN_MS = 600_000
MAX_LINES = 60
MAX_CHARACTERS = 2_600
MAX_NAMED = 3
_ALLOCATED = re.compile(
    r"(nodePort|NodePort|clusterIPs?): |clusterIPs:$|^\s*[+-]?\s*- [0-9a-f.:]+$"
)


def apply_manifests(context: Context, app: App, query: Query) -> Reply:
    """Raises ClusterUnreachable, Refused, SlackUnavailable."""
    stopped = frozen(
        context, app, Reapply(None), by=query.asker, reason="", now=context.store.now()
    )
    if stopped is not None:
        return stopped
    manifests = context.manifests.load(app.manifests_folder, app.manifests, app.files)
    changes = context.cluster(app.target.cluster).plan_manifests(app.target, manifests)
    if refusal := _refusal_of(context, app, query, changes):
        return refusal
    conflicts = [f"{c.kind}/{c.name}: {line}" for c in changes for line in c.conflicts]
    if conflicts:
        return Refusal(
            f"Another manager owns fields that the manifests of {app.target.app} set:"
            f" {'; '.join(conflicts)[:600]}",
            "Nothing was applied. Remove the fields from the manifest, or let their owner change"
            " them.",
        )
    if all(change.does == "unchanged" and change.template is None for change in changes):
        return TextReply(f"{app.target.app} is as its manifests say: nothing to apply")
    lines = [line for change in changes for line in _described(change)]
    shown = _digests(context.digest_key, changes, manifests)
    again = ""
    if query.confirms is not None:
        moved = _moved(query.confirms, shown)
        if not moved and (running := running_release(context, app.target.app)):
            return Refusal(
                f"{running.id} of {app.target.app} is not over yet.",
                "Nothing was applied: repeat the command when it is.",
            )
        if not moved:
            return _apply(context, app, query, manifests)
        again = (
            f"Nothing was applied: {some_of(moved, MAX_NAMED)} changed since it was shown."
            " Check again. "
        )
    token = keep_query(context, "confirm", replace(query, confirms=shown), for_ms=CONFIRM_WITHIN_MS)
    return ConfirmReply(
        f"{again}Apply the manifests of {app.target.app}?",
        _fitting(context, app, query, lines),
        "Apply",
        token,
    )


def _refusal_of(
    context: Context, app: App, query: Query, changes: Sequence[ObjectChange]
) -> Refusal | None:
    """The image rule and the scope of `/deploy` hold here too. Raises SlackUnavailable."""
    found = [
        NamedBrought(_name(change), change.brought, _is_of_cluster(app, change))
        for change in changes
        if change.does != "unchanged" or change.template is not None
    ]
    line = refusal_of_manifests(app.target, found, fresh_roles(context, query.asker))
    return Refusal(line, "Nothing was applied.") if line else None


def _is_of_cluster(app: App, change: ObjectChange) -> bool:
    """The app's own Namespace, where it does not exist yet, comes with the app."""
    makes_own = (change.kind, change.name, change.does) == (
        "Namespace",
        app.target.namespace,
        "create",
    )
    return not change.namespace and not makes_own


def _digests(
    key: bytes, changes: Sequence[ObjectChange], manifests: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Digests, by object, of the lines that were shown, the manifest, and the values of a Secret,
    which are never shown.

    Keyed: a plain digest reveals a password that can be guessed. Addresses and ports that the
    server allocates anew in each dry run are left out.
    """
    found = {}
    for change in changes:
        lines = [line for line in _described(change) if not _ALLOCATED.search(line)]
        ours = [
            one
            for one in manifests
            if (one["kind"], one["metadata"]["name"]) == (change.kind, change.name)
        ]
        content = json.dumps([lines, change.concealed, ours], sort_keys=True, default=str)
        found[_name(change)] = hmac.new(key, content.encode(), hashlib.sha256).hexdigest()
    return found


def _moved(shown: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Objects that changed, appeared or disappeared since they were shown."""
    return [name for name in dict.fromkeys((*now, *shown)) if shown.get(name) != now.get(name)]


def _name(change: ObjectChange) -> str:
    return (
        f"{change.kind} {change.namespace}/{change.name}"
        if change.namespace
        else f"{change.kind} {change.name}"
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
    does = "rolls" if change.template is not None and change.does == "unchanged" else change.does
    shown = [*change.diff] if change.does != "unchanged" or change.template is not None else []
    if shown and change.kind == "Deployment" and change.does != "create":
        shown.insert(
            0, "# image and number of pods stay as they are: releases and scaling own them"
        )
    if change.template is not None:
        shown.insert(0, "# its pod template changes: that part runs as a rolling release")
    return (f"{does}: {_name(change)}", *(f"  {line}" for line in shown))


def _apply(
    context: Context, app: App, query: Query, manifests: Sequence[Mapping[str, Any]]
) -> Reply:
    cluster = context.cluster(app.target.cluster)
    applied = cluster.apply_manifests(app.target, manifests, skip_template_of=app.target.deployment)
    done = [f"{c.kind} {c.name} {c.does}d" for c in applied if c.does in ("create", "update")]
    person = query.asker
    for text in done:
        line = AuditLine(context.store.now(), "", app.target.app, "applied", text, person.user)
        context.store.write_audit(line, operation=uuid.uuid4().hex)
    template = next((c.template for c in applied if c.template is not None), None)
    summary = f"by {person.name or person.user}: {'; '.join(done) or 'no object changed'}"
    if template is None:
        kept = any(c.kind == "Deployment" and c.does != "create" for c in applied)
        return TextReply(
            f"{app.target.app} applied"
            f" {summary}{'. Image and number of pods were left as they are' if kept else ''}"
        )
    started = start_release(
        context,
        app,
        Reapply(template),
        by=person,
        channel=query.reply_to.channel,
        reason="manifests changed",
        command=query.text,
        dedup_key=f"apply:{query.dedup_key}",
    )
    return (
        started
        if isinstance(started, Refusal)
        else TextReply(f"{app.target.app} applied {summary}. Its template now rolls as a release")
    )
