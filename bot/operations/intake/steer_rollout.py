"""`/rollout`: seen by a worker, or asked of the release that runs; without one, kubectl's own
meaning."""

from __future__ import annotations

from bot.commands.clusters import which_one
from bot.commands.model import RolloutCommand
from bot.commands.table import act_of
from bot.operations.access.refuse import refuse
from bot.operations.access.roles import known_asker
from bot.operations.context import App, Context
from bot.operations.intake.ask_query import ask_query
from bot.operations.intake.refusal_with_names import refusal_with_names
from bot.operations.intake.start_typed_release import start_typed_release
from bot.operations.lifecycle.control_release import control_release, has_moved_on
from bot.operations.lifecycle.start_fleet import last_fleet, running_fleet, undo_fleet
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.offer_suggestions import offer_suggestions
from bot.operations.replies import Refusal, Reply
from bot.operations.requests import Invocation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Pause, Promote, Resume

_ENDED = {
    Phase.SUCCEEDED: "succeeded",
    Phase.ROLLED_BACK: "was rolled back",
    Phase.ABORTED: "was aborted",
    Phase.FAILED: "failed",
    Phase.REJECTED: "was rejected",
    Phase.EXPIRED: "expired",
}


def steer_rollout(context: Context, invocation: Invocation, command: RolloutCommand) -> Reply:
    """The parser requires an app for every verb but status and history."""
    if command.app is None or command.verb in ("status", "history"):
        return ask_query(context, invocation, command)
    if command.clusters:
        return _steer_fleet(context, invocation, command, command.app)
    app = context.catalog.named(command.app, command.cluster)
    if command.verb == "undo" and command.to_revision is not None:
        return ask_query(context, invocation, command)
    if command.verb == "restart":
        return start_typed_release(context, invocation, app, command)
    release = running_release(context, app.target)
    if command.verb == "undo" and release is not None and release.held is not None:
        release = None  # an undo never waits for what is held
    if release is not None:
        return _control(context, invocation, command, release)
    if command.verb == "undo":
        return start_typed_release(context, invocation, app, command)
    if command.verb in ("pause", "resume"):
        return ask_query(context, invocation, command)
    return _nothing_runs(context, app)


def _steer_fleet(
    context: Context, invocation: Invocation, command: RolloutCommand, app: str
) -> Reply:
    """The fleet release that runs; for an undo, else the last one. Without one, a cluster must be
    named: none is guessed."""
    release = running_fleet(context, app)
    if release is not None:
        return _control(context, invocation, command, release)
    last = last_fleet(context, app)
    if command.verb == "undo" and last is not None:
        return undo_fleet(
            context,
            last,
            by=invocation.person,
            reason=command.reason,
            command=invocation.text,
            dedup_key=invocation.dedup_key,
        )
    return offer_suggestions(context, invocation, which_one(app, command.clusters))


def _control(
    context: Context,
    invocation: Invocation,
    command: RolloutCommand,
    release: Release,
) -> Reply:
    by = invocation.person
    if _stood_otherwise(release, command.verb, invocation.sent_at):
        return has_moved_on(release)
    if refusal := refuse(context, by, act_of(command), thing=release):
        return (
            refusal
            if command.force
            else refusal_with_names(context, release, command.verb, refusal, by)
        )
    match command.verb:
        case "pause":
            return control_release(context, release.id, Pause(by), f"{release.id} is paused")
        case "resume":
            done = f"{release.id} is continuing"
            return control_release(context, release.id, Resume(by), done, shown=release)
        case "promote":
            done = f"{release.id}: promoted"
            groups = tuple(sorted(known_asker(context, by).groups))
            promote = Promote(by, groups=groups)
            return control_release(context, release.id, promote, done, shown=release)
        case _:
            request = Abort(by, force=command.force, reason=command.reason)
            return control_release(context, release.id, request, f"{release.id} is rolling back")


def _stood_otherwise(release: Release, verb: str, sent_at: int | None) -> bool:
    """A message can arrive minutes late. What it asks is meant for the release, and for the gate or
    pause, that stood when it was sent."""
    if sent_at is None:
        return False
    since = release.created_at
    if verb in ("promote", "resume"):
        gate = release.progress.gate
        since = max(since, gate.opened_at if gate and verb == "promote" else release.phase_since)
    if verb == "abort" and release.rollback is not None:
        since = max(since, release.phase_since)
    return since > sent_at


def _nothing_runs(context: Context, app: App) -> Refusal:
    """The command came too late: the reply says how the last release ended."""
    target = app.target
    last = next(iter(context.store.recent(target.app, target.cluster, limit=1)), None)
    hint = f"See `{context.names.typed('releases')} {target.typed}`."
    name = target.label
    if last is None:
        return Refusal(f"No release of {name} is running, and there has been none yet.", hint)
    version = f" to {last.to_version}" if last.to_version else ""
    ended = _ENDED.get(last.phase, "is over")
    failed = last.cause is not None and last.phase is not Phase.SUCCEEDED
    why = f": {last.cause.summary}" if failed and last.cause is not None else ""
    return Refusal(
        f"No release of {name} is running; the last one, {last.id}{version}, {ended}{why}", hint
    )
