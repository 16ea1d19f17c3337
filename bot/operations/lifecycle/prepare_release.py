"""Before a release is first decided on: is its starter still allowed, is the line stopped, which
template does an undo mean?"""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.roles import fresh_roles
from bot.operations.context import Context
from bot.operations.lifecycle.known_templates import known_templates, templates_key
from bot.policy.freezes import frozen_by, goes_on_frozen
from bot.policy.permissions import Permission, Role, may, roles_granting
from bot.ports import AuditLine, UnknownSchema
from bot.releases.assess.pairs import idle_of
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.changes import Undo
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Release
from bot.releases.facts.requests import Refuse
from bot.releases.planning.draft import running_image
from bot.releases.planning.refusals import PlanRefused
from bot.releases.planning.undo import choose_undo


def prepare_release(context: Context, release: Release, seen: Observation) -> Release | Decision:
    """A Decision ends it before the first write. Raises SlackUnavailable while nobody knows what
    its starter may do."""
    now = context.store.now()
    roles = fresh_roles(context, release.requested_by)
    freeze = frozen_by(
        context.store.freezes(), app=release.target.app, cluster=release.target.cluster, now=now
    )
    why = _not_allowed(release, roles)
    if not why and freeze is not None and not goes_on_frozen(release.change, roles, release.reason):
        why = f"not started: {freeze.told}"
    if why:
        return respond(release, Refuse(why), now)
    if freeze is not None:
        release = _noted(release, f"in spite of a freeze: {freeze.told}")
        text = f"goes on though {freeze.told}"
        line = AuditLine(
            now, release.id, release.target.app, "broke a freeze", text, release.requested_by.user
        )
        context.store.write_audit(line, operation=f"{release.id}:frozen")
    key = app_key(release, seen.cluster_uid)
    durations = sorted(context.store.durations(key))
    if durations:
        release = replace(
            release, usual_ms=durations[min(len(durations) - 1, int(0.95 * len(durations)))]
        )
    release = replace(release, stale_claim=_stale_claim(context, release, seen))
    change = release.change
    if isinstance(change, Undo) and change.template is None and seen.stable is not None:
        beside = _version_beside(context, release, seen) if change.to_revision is None else ""
        if beside:
            return respond(release, Refuse(beside), now)
        known = known_templates(context, key, seen.stable)
        try:
            chosen = choose_undo(
                seen.stable, known, to_revision=change.to_revision, app=release.target.app
            )
        except PlanRefused as refused:
            return respond(release, Refuse(f"not started: {refused}"), now)
        release = replace(release, change=replace(change, template=chosen.template))
        if chosen.note:
            release = _noted(release, chosen.note)
    return release


def _noted(release: Release, note: str) -> Release:
    """Beside the reason, where the card, the change cause and the record show it."""
    return (
        release
        if note in release.reason
        else replace(release, reason="; ".join(filter(None, (release.reason, note))))
    )


def _version_beside(context: Context, release: Release, seen: Observation) -> str:
    """Of a kept pair the version before stands beside the one that serves, whole: no roll brings it
    back as fast as the switch."""
    idle = idle_of(release.target, seen)
    if (
        idle is None
        or seen.stable is None
        or running_image(idle.template, release) == running_image(seen.stable.template, release)
    ):
        return ""
    if (
        context.store.verdict_on(app_key(release, seen.cluster_uid, idle.name), idle.template)[0]
        != "healthy"
    ):
        return ""
    app, version = release.target.app, version_of(running_image(idle.template, release))
    return (
        f"not started: {idle.name} still runs {version} beside it: deploy {app} {version} bluegreen"
        " switches back to it at once"
    )


def _stale_claim(context: Context, release: Release, seen: Observation) -> str:
    """The controller copies annotations to ReplicaSets, so kubectl's undo brings the claim of a
    release back that ended long ago."""
    claim = seen.stable.claim if seen.stable is not None else ""
    if claim in ("", release.id):
        return ""
    try:
        before = context.store.load(claim)
    except (KeyError, UnknownSchema):
        return ""
    same_place = before.as_found is not None and before.as_found.cluster_uid == seen.cluster_uid
    return (
        claim
        if before.phase.is_final
        and same_place
        and before.target.namespace == release.target.namespace
        else ""
    )


def _not_allowed(release: Release, roles: frozenset[Role]) -> str:
    """The worker checks roles and group membership afresh before the first write."""
    if may(roles, Permission.DEPLOY):
        return ""
    person = release.requested_by
    wanted = " or ".join(roles_granting(Permission.DEPLOY))
    return (
        f"not started: {person.name or person.user} no longer has the role {wanted}; nothing was"
        " changed"
    )


def app_key(release: Release, cluster_uid: str, deployment: str = "") -> str:
    """Of the release's own Deployment, or the other one of a pair."""
    return templates_key(
        cluster_uid, release.target.namespace, deployment or release.target.deployment
    )
