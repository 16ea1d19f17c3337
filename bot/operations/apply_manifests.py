"""`/apply APP`: first the server's dry run and a diff with a button to go on; then server-side apply, never forced.

A template change of the Deployment that exists is not applied but rolled: it runs as a release with lock, audit and rollback.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from bot.operations.context import App, Context
from bot.operations.invocation import Confirm, Refusal, Reply, Text
from bot.operations.start_release import frozen, start_release
from bot.ports import AuditLine, ObjectChange
from bot.releases.model import Person, Reapply

CONFIRM_FOR_MS = 600_000
MAX_LINES = 60


def apply_manifests(context: Context, app: App, query: Mapping[str, Any]) -> Reply:
    """Raises ClusterUnreachable, Refused."""
    person = _person(query)
    if (stopped := frozen(context, app, Reapply(None), by=person, reason="")) is not None:
        return stopped
    manifests = context.manifests.load(app.manifests_folder, app.manifests, app.files)
    cluster = context.clusters[app.target.cluster]
    if query.get("confirmed"):
        return _go_on(context, app, query, manifests)
    changes = cluster.plan_manifests(app.target, manifests)
    conflicts = [f"{c.kind}/{c.name}: {line}" for c in changes for line in c.conflicts]
    if conflicts:
        return Refusal(
            f"somebody else owns what the manifests of {app.target.app} set: {'; '.join(conflicts)[:600]}",
            "take it out of the manifest, or let its owner change it; nothing was applied",
        )
    if all(change.does == "unchanged" and change.template is None for change in changes):
        return Text(f"{app.target.app} is as its manifests say: nothing to apply")
    token = uuid.uuid4().hex
    context.store.put(f"confirm:{token}", json.dumps(dict(query)), ttl_ms=CONFIRM_FOR_MS)
    lines = [line for change in changes for line in _described(change)]
    cut = (*lines[:MAX_LINES], f"… and {len(lines) - MAX_LINES} more lines") if len(lines) > MAX_LINES else tuple(lines)
    return Confirm(f"Apply the manifests of {app.target.app}?", cut, "Apply", token)


def _person(query: Mapping[str, Any]) -> Person:
    who = query["person"]
    return Person(who["team"], who["user"], who["name"])


def _described(change: ObjectChange) -> tuple[str, ...]:
    name = f"{change.namespace}/{change.name}" if change.namespace else change.name
    does = "rolls" if change.template is not None and change.does == "unchanged" else change.does
    shown = [*change.diff] if change.does != "unchanged" or change.template is not None else []
    if shown and change.kind == "Deployment" and change.does != "create":
        shown.insert(0, "# image and number of pods stay as they are: releases and scaling own them")
    if change.template is not None:
        shown.insert(0, "# its pod template changes: that part runs as a rolling release")
    return (f"{does}: {change.kind} {name}", *(f"  {line}" for line in shown))


def _go_on(context: Context, app: App, query: Mapping[str, Any], manifests: Sequence[Mapping[str, Any]]) -> Reply:
    cluster = context.clusters[app.target.cluster]
    applied = cluster.apply_manifests(app.target, manifests, skip_template_of=app.target.deployment)
    done = [f"{c.kind} {c.name} {c.does}d" for c in applied if c.does in ("create", "update")]
    person = _person(query)
    for text in done:
        line = AuditLine(context.store.now(), "", app.target.app, "applied", text, person.user)
        context.store.write_audit(line, operation=uuid.uuid4().hex)
    template = next((c.template for c in applied if c.template is not None), None)
    said = f"by {person.name or person.user}: {'; '.join(done) or 'no object changed'}"
    if template is None:
        return Text(f"{app.target.app} applied {said}. Image and replicas were left as they are")
    started = start_release(
        context,
        app,
        Reapply(template),
        by=person,
        channel=query["channel"],
        reason="manifests changed",
        command=query["text"],
        dedup_key=f"apply:{query['dedup_key']}",
    )
    return started if isinstance(started, Refusal) else Text(f"{app.target.app} applied {said}. Its template now rolls as a release")
