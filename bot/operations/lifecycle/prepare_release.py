"""Before the first decision on a release: may its starter still start it, is the app frozen, which
template does an undo mean?"""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.freezes_in_force import freezes_in_force
from bot.operations.access.locks_for import locks_for
from bot.operations.access.record_decision import record_effect
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import asker_now
from bot.operations.context import Context
from bot.operations.lifecycle.apply_objects import prepare_apply
from bot.operations.lifecycle.find_stale_claims import find_stale_claims
from bot.operations.lifecycle.known_templates import containers_of_others, known_templates
from bot.operations.lifecycle.meet_freeze import with_coming_freeze
from bot.operations.lifecycle.remember_templates import app_key
from bot.policy.decision import Act, Asker, Rule, Start, place_of_target
from bot.policy.freezes import Freeze, frozen_by
from bot.policy.permissions import Permission, roles_granting
from bot.policy.strategies import is_emergency
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
    release = _with_overrides(context, release, now)
    roles = starter.roles(context.catalog.access, place_of_target(release.target))
    prepared = prepare_apply(context, release, seen, roles)
    if isinstance(prepared, Decision):
        return prepared
    usual_ms = _usual_ms(context, prepared, seen) or prepared.usual_ms
    release = find_stale_claims(context, replace(prepared, usual_ms=usual_ms), seen)
    release = replace(with_coming_freeze(context, release), freeze=None)
    if seen.stable is None:
        return release
    try:
        return with_undo_template(context, release, seen, seen.stable)
    except PlanRefused as refused:
        return respond(release, Refuse(f"not started: {refused}"), now)


def refusal_to_start(context: Context, release: Release) -> str:
    """Asked before the plan, and again before the first write: an approval may take hours. Raises
    SlackUnavailable."""
    return _refusal(context, release, _starter(context, release)) or _second_missing(
        context, release
    )


def _second_missing(context: Context, release: Release) -> str:
    """A freeze that takes two admins began after the plan was made."""
    if release.plan is None or release.needs_second_admin or isinstance(release.change, Undo):
        return ""
    freeze = _freeze(context, release)
    if freeze is None or freeze.override == "one":
        return ""
    return f"not started: {freeze.line}. It takes two admins: start it again"


def _starter(context: Context, release: Release) -> Asker:
    """Raises SlackUnavailable, but for an undo: that starts by the last memberships then."""
    safer = _act(release).makes_safer
    return asker_now(context, release.requested_by, makes_safer=safer)


def _act(release: Release) -> Act:
    return Act(release.change.kind, Permission.DEPLOY)


def _freeze(context: Context, release: Release) -> Freeze | None:
    target, now = release.target, context.store.now()
    return frozen_by(freezes_in_force(context), app=target.app, cluster=target.cluster, now=now)


def _refusal(context: Context, release: Release, starter: Asker) -> str:
    freezes = freezes_in_force(context)
    locks = locks_for(context, release.requested_by, release.target)
    start = Start(release.target, release.change, release.reason, freezes, release.rules, locks)
    denied = denied_now(context, starter, _act(release), start)
    operation = f"{release.id}:may start:{release.phase.value}"
    record_effect(context, starter, _act(release), denied, release, operation=operation)
    if denied is None:
        return ""
    if denied.rule is not Rule.ROLE:
        return f"not started: {denied.line}"
    wanted = " or ".join(roles_granting(Permission.DEPLOY))
    person = release.requested_by
    return (
        f"not started: {person.display_name} no longer has the {wanted} role; nothing was changed"
    )


def _with_overrides(context: Context, release: Release, now: int) -> Release:
    """What the release may do only since an admin gave a reason: audited, on the card, and
    announced as it begins."""
    if (freeze := _freeze(context, release)) is not None:
        text = f"continued despite a freeze: {freeze.line}"
        _audit(context, release, now, "overrode a freeze", text, "frozen")
        needs_second = freeze.override == "two" and not isinstance(release.change, Undo)
        release = _overriding(release, f"despite a freeze: {freeze.line}")
        release = replace(release, needs_second_admin=needs_second)
    if is_emergency(release.rules, release.change):
        text = f"{release.strategy.value} is an emergency strategy of {release.target.app}"
        _audit(context, release, now, "used an emergency strategy", text, "emergency")
        release = _overriding(release, f"in an emergency by {release.strategy.value}")
    return release


def _audit(
    context: Context, release: Release, now: int, kind: str, text: str, operation: str
) -> None:
    by = release.requested_by.user
    line = AuditLine(now, release.id, release.target.app, kind, text, by)
    context.store.write_audit(line, operation=f"{release.id}:{operation}")


def _overriding(release: Release, what: str) -> Release:
    """An undo overrides nothing: no freeze stops it."""
    if not isinstance(release.change, Undo):
        overrides = tuple(dict.fromkeys((*release.overrides, what)))
        release = replace(release, overrides=overrides)
    return _with_note(release, what)


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
