"""Revisions with image, change cause, who, when, and whether a release saw them healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import re2

from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import busy_with
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.queries.app_state import app_state
from bot.operations.queries.flatten import leaves
from bot.operations.queries.observe_app import observe_app, observe_each, unreachable_line
from bot.operations.replies import RollBackTo
from bot.policy.concealment import concealed
from bot.ports import ClusterUnreachable, Table, UnknownSchema
from bot.releases.assess.rollout import newest
from bot.releases.facts.ages import moment
from bot.releases.facts.images import images_of, version_of
from bot.releases.facts.observation import DeploymentSeen, Observation, ReplicaSetSeen
from bot.releases.planning.draft import container_index
from bot.releases.planning.refusals import PlanRefused

COLUMNS = ("REVISION", "IMAGE", "CHANGE-CAUSE", "WHO", "WHEN", "SEEN")
MOST_ROLL_BACKS = 5
_BY = re2.compile(r" by (.+), (\S+-\d+)(?::|$)")
"""How a release ends the change cause that it writes (planning.make_draft)."""


@dataclass(frozen=True)
class History:
    tables: tuple[Table, ...]
    roll_backs: tuple[RollBackTo, ...] = ()


def show_history(context: Context, apps: Sequence[App], revision: int | None) -> History:
    """Oldest first, as in kubectl. One revision of one app comes with its pod template; of one app
    each healthy earlier revision can be returned to, unless a release runs.

    Raises ClusterUnreachable; PlanRefused where the only app lacks the Deployment or the
    revision.
    """
    if len(apps) == 1:
        only = observe_app(context, apps[0])
        stable = _stable(apps[0], only)
        title = f"{apps[0].target.label}: revisions of deployment {stable.name}"
        shown = [_template(one) for one in stable.replica_sets if one.revision == revision]
        table = Table(title, COLUMNS, tuple(_rows(context, apps[0], only, stable, revision)))
        return History((table, *shown), roll_backs_to(context, apps[0], only, stable, revision))
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for app, seen in observe_each(context, apps):
        if isinstance(seen, ClusterUnreachable):
            notes.append(unreachable_line(app, seen))
            continue
        try:
            found = _rows(context, app, seen, _stable(app, seen), revision)
            rows += [(app.target.label, *row) for row in found]
        except PlanRefused as refused:
            notes.append(str(refused))
    title, note = f"Revisions of {len(apps)} apps", "\n".join(notes)
    return History((Table(title, ("APP", *COLUMNS), tuple(rows), note),))


def roll_backs_to(
    context: Context,
    app: App,
    seen: Observation,
    stable: DeploymentSeen,
    revision: int | None = None,
) -> tuple[RollBackTo, ...]:
    """Healthy earlier revisions, newest first; none while a release runs. The version is that of
    the app's own container."""
    if busy_with(context, app.target) is not None:
        return ()
    key = templates_key(seen.cluster_uid, app.target.namespace, stable.name)
    state, now = app_state(context, app, seen, stable), version_in(app, stable.template)
    return tuple(
        RollBackTo(app.target.typed, one.revision, now, version_in(app, one.template), state)
        for one in sorted(stable.replica_sets, key=lambda one: -one.revision)
        if one.revision
        and revision in (None, one.revision)
        and one is not newest(stable)
        and one.template != stable.template
        and version_in(app, one.template)
        and context.store.verdict_on(key, one.template)[0] == "healthy"
    )[:MOST_ROLL_BACKS]


def version_in(app: App, template: Mapping[str, Any]) -> str:
    """That of the app's own container, "" where it has none."""
    try:
        index = container_index(template, app.target.container, app.target.app)
    except PlanRefused:
        return ""
    return version_of(str(template["spec"]["containers"][index].get("image", "")))


def _stable(app: App, seen: Observation) -> DeploymentSeen:
    if seen.stable is None:
        raise PlanRefused(
            f"There is no Deployment `{app.target.deployment}` in namespace"
            f" {app.target.namespace} of {app.target.cluster}."
        )
    return seen.stable


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
        images = ", ".join(images_of(replica_set.template))
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
                moment(at),
                found or "-",
            )
        )
    if not rows and revision is not None:
        there = ", ".join(str(rs.revision) for rs in replica_sets)
        raise PlanRefused(
            f"{app.target.label} has no revision {revision}. It has {there or 'none'}."
        )
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


# --- one revision, as `kubectl rollout history --revision` shows it -------------------------------


def _template(replica_set: ReplicaSetSeen) -> Table:
    rows = tuple(leaves(concealed(replica_set.template)))
    return Table(f"Pod template of revision {replica_set.revision}", ("FIELD", "VALUE"), rows)
