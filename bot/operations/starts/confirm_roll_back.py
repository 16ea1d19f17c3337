"""Roll back from a card that is over, from the home tab or from a release's story: void once
anything changed, at once in an emergency, else confirmed with both versions."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import waits_for_cluster
from bot.operations.lifecycle.draft_release import Draft, draft_release
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.lifecycle.prepare_release import with_undo_template
from bot.operations.replies import ConfirmReply, Refusal
from bot.ports import ClusterUnreachable, Refused
from bot.query import RollBackOf, StartRequest
from bot.releases.assess.failing import any_pod_fails
from bot.releases.engine.begin import make_plan
from bot.releases.facts.changes import Undo
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target
from bot.releases.planning.draft import running_image
from bot.releases.planning.refusals import PlanRefused

AT_ONCE_MS = 600_000
"""For this long after a release ends, Roll back acts at once: it is likely an emergency."""


def confirm_roll_back(
    context: Context, app: App, request: StartRequest, of: RollBackOf
) -> ConfirmReply | Refusal | Draft:
    """A draft of the undo: go ahead; the check that follows refuses what cannot be undone."""
    ended = last_release(context, app.target, of.release)
    if isinstance(ended, Refusal):
        return ended
    try:
        draft = draft_release(context, app, Undo(), by=request.asker, text=request.text)
    except (ClusterUnreachable, Refused) as away:
        line = f"What {app.target.label} runs now is unknown: {away}."
        return Refusal(line, waits_for_cluster(context, app.target))
    release, seen = draft.release, draft.seen
    if seen.stable is None:
        return draft
    if not _still_runs(context, ended, seen, seen.stable):
        return _changed(context, release, ended, seen.stable)
    if of.confirmed or _is_emergency(context, ended, seen.stable):
        return draft
    try:
        chosen = with_undo_template(context, release, seen, seen.stable)
        plan, _ = make_plan(chosen, seen, context.store.now())
    except PlanRefused:
        return draft
    place = f"in {app.target.namespace} on {app.target.cluster}"
    versions = f"{app.target.app} {plan.from_version} → {plan.version}, {place}."
    title = f"Roll back {app.target.label} to {plan.version}?"
    return ConfirmReply(title, (versions,), "Roll back", "", roll_back=ended.id)


def last_release(context: Context, target: Target, release_id: str) -> Release | Refusal:
    """Void once another release followed: what "back" means has changed."""
    newest = next(iter(context.store.recent(target.app, target.cluster, limit=1)), None)
    if newest is not None and newest.id == release_id and newest.phase.is_final:
        return newest
    line = f"{release_id} is not the last release of {target.label} any more."
    return Refusal(line, _typed(context, target))


def _typed(context: Context, target: Target) -> str:
    command = f"{context.names.typed('rollout')} undo {target.typed}"
    return f"Nothing was changed. To roll back: `{command}`."


def _still_runs(
    context: Context, ended: Release, seen: Observation, stable: DeploymentSeen
) -> bool:
    """The template that the release left. Where none was remembered, its version decides."""
    key = templates_key(seen.cluster_uid, ended.target.namespace, stable.name)
    known = context.store.last_healthy(key)
    left = next((template for template, _, by in known if by == ended.id), None)
    if left is not None:
        return bool(left == stable.template)
    return _runs(ended, stable) == ended.to_version


def _runs(release: Release, stable: DeploymentSeen) -> str:
    return version_of(running_image(stable.template, release))


def _changed(context: Context, release: Release, ended: Release, stable: DeploymentSeen) -> Refusal:
    app, now = ended.target.label, _runs(release, stable)
    what = f"runs {now} now" if now != ended.to_version else "has another template now"
    line = f"{app} was changed since {ended.id} ended: it {what}. That button is void."
    return Refusal(line, _typed(context, ended.target))


def _is_emergency(context: Context, ended: Release, stable: DeploymentSeen) -> bool:
    if context.store.now() < ended.finished_at + AT_ONCE_MS:
        return True
    return any_pod_fails(stable, ended.rules)
