"""Before the first decision on a release: may its starter still start it, is the app frozen, which
template does an undo mean?"""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.lifecycle.apply_objects import prepare_apply
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.lifecycle.known_templates import containers_of_others, known_templates
from bot.operations.lifecycle.remember_templates import app_key
from bot.policy.decision import Act, Asker, Rule, Start
from bot.policy.freezes import Freeze, frozen_by
from bot.policy.permissions import Permission, roles_granting
from bot.ports import AuditLine
from bot.releases.assess.pairs import idle_of
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Undo
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Release
from bot.releases.facts.requests import Refuse
from bot.releases.planning.draft import running_image
from bot.releases.planning.refusals import PlanRefused
from bot.releases.planning.undo import choose_undo


def prepare_release(context: Context, release: Release, seen: Observation) -> Release | Decision:
    """A Decision ends the release before its first write. Raises SlackUnavailable while the roles
    of its starter are unknown; ClusterUnreachable, Refused."""
    now = context.store.now()
    starter = _starter(context, release)
    if why := _refusal(context, release, starter):
        return respond(release, Refuse(why), now)
    if starter.note:
        release = _with_note(release, starter.note)
    freeze = _freeze(context, release)
    if freeze is not None:
        release = _override(context, release, freeze, now)
    prepared = prepare_apply(context, release, seen, starter.roles)
    if isinstance(prepared, Decision):
        return prepared
    usual_ms = _usual_ms(context, prepared, seen) or prepared.usual_ms
    release = find_stale_claims(context, replace(prepared, usual_ms=usual_ms), seen)
    if seen.stable is None:
        return release
    try:
        return with_undo_template(context, release, seen, seen.stable)
    except PlanRefused as refused:
        return respond(release, Refuse(f"not started: {refused}"), now)


def refusal_to_start(context: Context, release: Release) -> str:
    """Asked before the plan, and again before the first write: an approval may take hours. Raises
    SlackUnavailable."""
    return _refusal(context, release, _starter(context, release))


def _starter(context: Context, release: Release) -> Asker:
    """Raises SlackUnavailable, but for an undo: that starts by the last memberships then."""
    safer = _act(release).makes_safer
    return asker_now(context, release.requested_by, makes_safer=safer)


def _act(release: Release) -> Act:
    return Act(release.change.kind, Permission.DEPLOY)


def _freeze(context: Context, release: Release) -> Freeze | None:
    target, now = release.target, context.store.now()
    return frozen_by(context.store.freezes(), app=target.app, cluster=target.cluster, now=now)


def _refusal(context: Context, release: Release, starter: Asker) -> str:
    start = Start(release.target, release.change, release.reason, context.store.freezes())
    denied = denied_now(context, starter, _act(release), start)
    if denied is None:
        return ""
    if denied.rule is not Rule.ROLE:
        return f"not started: {denied.line}"
    wanted = " or ".join(roles_granting(Permission.DEPLOY))
    person = release.requested_by
    return (
        f"not started: {person.display_name} no longer has the {wanted} role; nothing was changed"
    )


def _override(context: Context, release: Release, freeze: Freeze, now: int) -> Release:
    text = f"continued despite a freeze: {freeze.line}"
    line = AuditLine(
        now, release.id, release.target.app, "overrode a freeze", text, release.requested_by.user
    )
    context.store.write_audit(line, operation=f"{release.id}:frozen")
    return _with_note(release, f"despite a freeze: {freeze.line}")


def _with_note(release: Release, note: str) -> Release:
    """Beside the reason, where the card, the change cause and the record show it."""
    if note in release.reason:
        return release
    return replace(release, reason="; ".join(filter(None, (release.reason, note))))


def _usual_ms(context: Context, release: Release, seen: Observation) -> int:
    """The 95th percentile of this app's rollouts, 0 without history."""
    durations = sorted(context.store.durations(app_key(release, seen.cluster_uid)))
    if not durations:
        return 0
    return durations[min(len(durations) - 1, int(0.95 * len(durations)))]


def with_undo_template(
    context: Context, release: Release, seen: Observation, stable: DeploymentSeen
) -> Release:
    """Raises PlanRefused for an undo that has no template to return to, or a better way."""
    change = release.change
    if not isinstance(change, Undo) or change.template is not None:
        return release
    if change.to_revision is None:
        _refuse_undo_of_pair(context, release, seen, stable)
    known = known_templates(context, app_key(release, seen.cluster_uid), stable)
    chosen = choose_undo(
        stable,
        known,
        to_revision=change.to_revision,
        app=release.target.app,
        others=containers_of_others(context, release.target),
    )
    release = replace(release, change=replace(change, template=chosen.template))
    return _with_note(release, chosen.note) if chosen.note else release


def _refuse_undo_of_pair(
    context: Context, release: Release, seen: Observation, stable: DeploymentSeen
) -> None:
    """In a kept pair the previous version still runs beside the one that serves: no rollout brings
    it back as fast as the switch. Raises PlanRefused."""
    idle = idle_of(release.target, seen)
    if idle is None:
        return
    previous = running_image(idle.template, release)
    if previous == running_image(stable.template, release):
        return
    key = app_key(release, seen.cluster_uid, idle.name)
    if context.store.verdict_on(key, idle.template)[0] != "healthy":
        return
    app, version = release.target.app, version_of(previous)
    raise PlanRefused(
        f"{idle.name} still runs {version} beside it. Run `deploy {app} {version} bluegreen`"
        " to switch back to it at once."
    )
