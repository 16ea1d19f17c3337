"""Revisions with image, change cause, who, when, and whether a release saw them healthy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.operations.context import App, Context
from bot.operations.look_at import look_at
from bot.ports import Table, UnknownSchema
from bot.releases.ages import human_age
from bot.releases.health import newest
from bot.releases.observation import ReplicaSetSeen
from bot.releases.planning import PlanRefused

COLUMNS = ("REVISION", "IMAGE", "CHANGE-CAUSE", "WHO", "WHEN", "SEEN")
_BY = re.compile(r" by (.+), (\S+-\d+)(?::|$)")
"""How a release ends the cause that it writes (planning.make_draft)."""


def show_history(context: Context, apps: Sequence[App], revision: int | None) -> Table:
    """Oldest first, as kubectl. Raises ClusterUnreachable; PlanRefused for a Deployment or revision of the only app that does not exist."""
    several = len(apps) > 1
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    title = ""
    for app in apps:
        try:
            found = _rows(context, app, revision)
        except PlanRefused as refused:
            if not several:
                raise
            notes.append(str(refused))
        else:
            name, lines = found
            title = f"{app.target.app}: revisions of deployment {name}"
            rows += [(app.target.app, *row) if several else row for row in lines]
    title = f"Revisions of {len(apps)} apps" if several else title
    return Table(title, ("APP", *COLUMNS) if several else COLUMNS, tuple(rows), "; ".join(notes))


def _rows(context: Context, app: App, revision: int | None) -> tuple[str, list[tuple[str, ...]]]:
    """The Deployment's name, which of a pair is the serving one's, and its revisions."""
    seen = look_at(context, app)
    if seen.stable is None:
        raise PlanRefused(f"there is no Deployment `{app.target.deployment}` in {app.target.namespace} of {app.target.cluster}")
    key = f"{seen.cluster_uid}/{app.target.namespace}/{seen.stable.name}"
    current = newest(seen.stable)
    rows: list[tuple[str, ...]] = []
    replica_sets = sorted(seen.stable.replica_sets, key=lambda rs: rs.revision)
    for replica_set in replica_sets:
        if revision is not None and replica_set.revision != revision:
            continue
        verdict, release_id, why = context.store.verdict_on(key, replica_set.template)
        told = " ".join(filter(None, (verdict, f"({release_id})" if release_id else "", why)))
        containers = replica_set.template.get("spec", {}).get("containers", [])
        images = ", ".join(c.get("image", "") for c in containers)
        number = f"{replica_set.revision} (current)" if replica_set is current else str(replica_set.revision)
        who, at = _who_and_when(context, replica_set)
        rows.append((number, images, replica_set.change_cause or "<none>", who, _when(at, seen.at), told or "-"))
    if not rows:
        there = ", ".join(str(rs.revision) for rs in replica_sets)
        raise PlanRefused(f"{app.target.app} has no revision {revision}; there are {there or 'none'}")
    return seen.stable.name, rows


def _who_and_when(context: Context, replica_set: ReplicaSetSeen) -> tuple[str, int]:
    """By the record of the release that the change cause names; a ReplicaSet that is used again is older than its rollout."""
    found = _BY.search(replica_set.change_cause)
    if found is None:
        return "-", replica_set.created_at
    try:
        release = context.store.load(found[2])
    except (KeyError, UnknownSchema):
        return found[1], replica_set.created_at
    return release.requested_by.name or release.requested_by.user, release.created_at


def _when(at: int, now: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%d %b %H:%M} UTC, {human_age(now - at)} ago"
