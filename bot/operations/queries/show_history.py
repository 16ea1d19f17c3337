"""Revisions with image, change cause, who, when, and whether a release saw them healthy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import re2

from bot.operations.context import App, Context
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.queries.flatten import leaves
from bot.operations.queries.observe_app import observe_app
from bot.policy.concealment import concealed
from bot.ports import Table, UnknownSchema
from bot.releases.assess.rollout import newest
from bot.releases.facts.ages import human_age
from bot.releases.facts.observation import DeploymentSeen, Observation, ReplicaSetSeen
from bot.releases.planning.refusals import PlanRefused

COLUMNS = ("REVISION", "IMAGE", "CHANGE-CAUSE", "WHO", "WHEN", "SEEN")
_BY = re2.compile(r" by (.+), (\S+-\d+)(?::|$)")
"""How a release ends the change cause that it writes (planning.make_draft)."""


def show_history(context: Context, apps: Sequence[App], revision: int | None) -> tuple[Table, ...]:
    """Oldest first, as in kubectl. One revision of one app comes with its pod template.

    Raises ClusterUnreachable; PlanRefused where the only app lacks the Deployment or the
    revision.
    """
    if len(apps) == 1:
        seen, stable = _seen(context, apps[0])
        title = f"{apps[0].target.app}: revisions of deployment {stable.name}"
        shown = [_template(one) for one in stable.replica_sets if one.revision == revision]
        return (
            Table(title, COLUMNS, tuple(_rows(context, apps[0], seen, stable, revision))),
            *shown,
        )
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for app in apps:
        try:
            rows += [
                (app.target.app, *row)
                for row in _rows(context, app, *_seen(context, app), revision)
            ]
        except PlanRefused as refused:
            notes.append(str(refused))
    return (
        Table(f"Revisions of {len(apps)} apps", ("APP", *COLUMNS), tuple(rows), "\n".join(notes)),
    )


def _seen(context: Context, app: App) -> tuple[Observation, DeploymentSeen]:
    seen = observe_app(context, app)
    if seen.stable is None:
        raise PlanRefused(
            f"There is no Deployment `{app.target.deployment}` in namespace"
            f" {app.target.namespace} of {app.target.cluster}."
        )
    return seen, seen.stable


def _rows(
    context: Context, app: App, seen: Observation, stable: DeploymentSeen, revision: int | None
) -> list[tuple[str, ...]]:
    key = templates_key(seen.cluster_uid, app.target.namespace, stable.name)
    current = newest(stable)
    rows: list[tuple[str, ...]] = []
    replica_sets = sorted(stable.replica_sets, key=lambda rs: rs.revision)
    for replica_set in replica_sets:
        if revision is not None and replica_set.revision != revision:
            continue
        verdict, release_id, why = context.store.verdict_on(key, replica_set.template)
        found = " ".join(filter(None, (verdict, f"({release_id})" if release_id else "", why)))
        containers = replica_set.template.get("spec", {}).get("containers", [])
        images = ", ".join(c.get("image", "") for c in containers)
        number = (
            f"{replica_set.revision} (current)"
            if replica_set is current
            else str(replica_set.revision)
        )
        who, at = _who_and_when(context, replica_set)
        rows.append(
            (
                number,
                images,
                replica_set.change_cause or "<none>",
                who,
                _when(at, seen.at),
                found or "-",
            )
        )
    if not rows and revision is not None:
        there = ", ".join(str(rs.revision) for rs in replica_sets)
        raise PlanRefused(f"{app.target.app} has no revision {revision}. It has {there or 'none'}.")
    return rows


def _who_and_when(context: Context, replica_set: ReplicaSetSeen) -> tuple[str, int]:
    """From the record of the release that the change cause names: a reused ReplicaSet is older than
    its rollout."""
    found = _BY.search(replica_set.change_cause)
    if found is None:
        return "-", replica_set.created_at
    try:
        release = context.store.load(found[2])
    except (KeyError, UnknownSchema):
        return found[1], replica_set.created_at
    return release.requested_by.display_name, release.created_at


def _when(at: int, now: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%d %b %H:%M} UTC, {human_age(now - at)} ago"


# --- one revision, as `kubectl rollout history --revision` shows it -------------------------------


def _template(replica_set: ReplicaSetSeen) -> Table:
    rows = tuple(leaves(concealed(replica_set.template)))
    return Table(f"Pod template of revision {replica_set.revision}", ("FIELD", "VALUE"), rows)
