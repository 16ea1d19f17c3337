"""Revisions with image, change cause, age, and whether a release saw them healthy."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.look_at import look_at
from bot.ports import Table
from bot.releases.ages import human_age
from bot.releases.health import newest
from bot.releases.planning import PlanRefused

COLUMNS = ("REVISION", "IMAGE", "CHANGE-CAUSE", "AGE", "SEEN")


def show_history(context: Context, app: App, revision: int | None) -> Table:
    """Raises PlanRefused for a Deployment or revision that does not exist."""
    seen = look_at(context, app)
    if seen.stable is None:
        raise PlanRefused(f"there is no Deployment `{app.target.deployment}` in {app.target.namespace} of {app.target.cluster}")
    key = f"{seen.cluster_uid}/{app.target.namespace}/{app.target.deployment}"
    current = newest(seen.stable)
    rows = []
    for replica_set in sorted(seen.stable.replica_sets, key=lambda rs: rs.revision):
        if revision is not None and replica_set.revision != revision:
            continue
        verdict, release_id, why = context.store.verdict_on(key, replica_set.template)
        told = " ".join(filter(None, (verdict, f"({release_id})" if release_id else "", why)))
        containers = replica_set.template.get("spec", {}).get("containers", [])
        images = ", ".join(c.get("image", "") for c in containers)
        number = f"{replica_set.revision} (current)" if replica_set is current else str(replica_set.revision)
        rows.append((number, images, replica_set.change_cause or "<none>", human_age(seen.at - replica_set.created_at), told or "-"))
    if not rows:
        there = ", ".join(str(rs.revision) for rs in seen.stable.replica_sets)
        raise PlanRefused(f"{app.target.app} has no revision {revision}; there are {there or 'none'}")
    return Table(f"{app.target.app}: revisions of deployment {seen.stable.name}", COLUMNS, tuple(rows))
