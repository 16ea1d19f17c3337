"""A typed command: parse, authorise, and start what it asks for. Looks nothing up at the cluster:
that is the worker's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    HelpCommand,
    Mistake,
    PodsCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    TrafficCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.commands.parse import KnownNames, parse
from bot.commands.table import answers_channel, permission_of
from bot.operations.access.refuse_stranger import refuse_stranger
from bot.operations.access.roles import known_roles
from bot.operations.context import Context, thread_key
from bot.operations.intake.offer_suggestions import offer_suggestions
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.list_releases import list_releases
from bot.operations.queries.share_answer import offer_to_share
from bot.operations.replies import (
    HelpReply,
    OpenFormReply,
    Pending,
    Refusal,
    Reply,
    TextReply,
    WhoamiReply,
)
from bot.operations.requests import Invocation
from bot.policy.approvals import refusal_to_approve
from bot.policy.freezes import Freeze
from bot.policy.permissions import Permission, Role, refusal_of_role, takes_commands_in
from bot.ports import AuditLine, SlackUnavailable, StoreUnavailable, UnknownSchema
from bot.releases.facts.changes import Change, Deploy, Restart, Scale, Undo
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Pause, Promote, Resume

_ENDED = {
    Phase.SUCCEEDED: "succeeded",
    Phase.ROLLED_BACK: "was rolled back",
    Phase.ABORTED: "was aborted",
    Phase.FAILED: "failed",
    Phase.REJECTED: "was rejected",
    Phase.EXPIRED: "expired",
}
_CHANGES_NOTHING = (HelpCommand, WhoamiCommand)


def handle_command(context: Context, invocation: Invocation) -> Reply:
    """Every mistake is one line for the person alone, and starts nothing."""
    if (stranger := refuse_stranger(context, invocation.person)) is not None:
        return stranger
    here = _app_of_thread(context, invocation) or tuple(
        app.target.app for app in context.catalog.in_channel(invocation.channel)
    )
    known = KnownNames(tuple(context.catalog.apps), here, context.catalog.clusters, context.names)
    command = parse(invocation.text, known)
    if isinstance(command, Mistake):
        return offer_suggestions(context, invocation, command)
    try:
        roles = known_roles(context, invocation.person)
        refusal = _refusal(context, invocation, command, roles)
        if refusal is not None:
            return refusal
        reply = _carry_out(context, invocation, command, roles)
        return (
            replace(reply, in_channel=answers_channel(command))
            if isinstance(reply, TextReply)
            else reply
        )
    except StoreUnavailable as away:
        return Refusal(str(away), "nothing was started: try again in a moment")
    except UnknownSchema as newer:
        return Refusal(str(newer), "nothing was changed")


def _app_of_thread(context: Context, invocation: Invocation) -> tuple[str, ...]:
    """In the thread of a card the app is known."""
    if not invocation.thread_ts:
        return ()
    try:
        app = context.store.peek(thread_key(invocation.channel, invocation.thread_ts))
    except StoreUnavailable:
        return ()  # the command itself says so, if it needs the store
    return (app,) if app is not None and app in context.catalog.apps else ()


def _refusal(
    context: Context, invocation: Invocation, command: Command, roles: frozenset[Role]
) -> Refusal | None:
    if isinstance(command, _CHANGES_NOTHING):
        return None
    access = context.catalog.access
    if not takes_commands_in(access, invocation.channel):
        channels = ", ".join(f"<#{channel}>" for channel in sorted(access.channels))
        return Refusal("commands are not taken in this channel", f"use {channels}", field="app")
    refusal = refusal_of_role(Permission(permission_of(command)), roles)
    hint = f"see `{context.names.typed('whoami')}`"
    return Refusal(refusal, hint, field="app") if refusal else None


def _carry_out(
    context: Context, invocation: Invocation, command: Command, roles: frozenset[Role]
) -> Reply:
    match command:
        case DeployCommand():
            return _deploy(context, invocation, command)
        case ScaleCommand():
            return _start(context, invocation, command.app, Scale(command.replicas), command.reason)
        case RolloutCommand():
            return _rollout(context, invocation, command, roles)
        case PodsCommand() | GetCommand() | TrafficCommand():
            apps = (
                (command.app,)
                if command.app
                else tuple(a.target.app for a in context.catalog.in_channel(invocation.channel))
            )
            extra: dict[str, Any] = (
                {"objects": command.objects, "wide": command.wide}
                if isinstance(command, GetCommand)
                else {}
            )
            return _ask(context, invocation, command, apps=apps, **extra)
        case ExplainCommand():
            app = context.catalog.in_channel(invocation.channel)[0].target.app
            return _ask(
                context,
                invocation,
                command,
                apps=(app,),
                path=command.path,
                recursive=command.recursive,
            )
        case ApplyCommand():
            if not context.catalog.apps[command.app].manifests:
                return Refusal(
                    f"{command.app} names no manifests",
                    "add `manifests: [FILE]` to its catalog entry",
                )
            return _ask(context, invocation, command, apps=(command.app,))
        case ReleasesCommand():
            listing = list_releases(context, command.app)
            return replace(listing, share=_sharing(context, invocation, command, app=command.app))
        case AppsCommand():
            return _ask(context, invocation, command, apps=tuple(context.catalog.apps))
        case WhoamiCommand():
            return _whoami(context, invocation, roles)
        case HelpCommand():
            return HelpReply(command.command)
        case FreezeCommand():
            now = context.store.now()
            until = now + command.for_ms if command.for_ms is not None else command.until_ms
            context.store.freeze(
                Freeze(command.scope, command.reason, invocation.person, now, until)
            )
            _audit(context, invocation, "froze", command.scope, command.reason)
            ends = (
                ""
                if until is None
                else f" until {datetime.fromtimestamp(until / 1000, UTC):%Y-%m-%d %H:%M} UTC"
            )
            what = "Running releases go on, undo too; new ones need an admin and a reason"
            return TextReply(f"{command.scope} is frozen{ends}: {command.reason}. {what}")
        case UnfreezeCommand():
            if not context.store.unfreeze(command.scope):
                return Refusal(f"{command.scope} is not frozen")
            _audit(context, invocation, "unfroze", command.scope, "")
            return TextReply(f"{command.scope} is no longer frozen")


def _audit(context: Context, invocation: Invocation, kind: str, scope: str, reason: str) -> None:
    app = scope if scope in context.catalog.apps else ""
    text = f"{scope}: {reason}" if reason else scope
    line = AuditLine(context.store.now(), "", app, kind, text, invocation.person.user)
    context.store.write_audit(line, operation=f"{kind}:{invocation.dedup_key}")


def _start(
    context: Context, invocation: Invocation, app: str, change: Change, reason: str
) -> Reply:
    return start_release(
        context,
        context.catalog.apps[app],
        change,
        by=invocation.person,
        channel=invocation.channel,
        reason=reason,
        command=invocation.text,
        dedup_key=invocation.dedup_key,
    )


def _deploy(context: Context, invocation: Invocation, command: DeployCommand) -> Reply:
    if command.app is None or command.version is None:
        return OpenFormReply(command.app or "")
    app = context.catalog.apps[command.app]
    if command.cluster:
        app = replace(app, target=replace(app.target, cluster=command.cluster))
    strategy = command.strategy or app.strategy
    change = Deploy(command.version, strategy, command.steps, command.hold_ms, command.sticky)
    if command.dry_run:
        words = {
            "version": change.version,
            "strategy": strategy.value,
            "sticky": change.sticky,
            "hold_ms": change.hold_ms,
        }
        return _ask(
            context,
            invocation,
            command,
            apps=(command.app,),
            cluster=app.target.cluster,
            steps=change.steps,
            **words,
        )
    return start_release(
        context,
        app,
        change,
        by=invocation.person,
        channel=invocation.channel,
        reason=command.reason,
        command=invocation.text,
        dedup_key=invocation.dedup_key,
    )


def _rollout(
    context: Context, invocation: Invocation, command: RolloutCommand, roles: frozenset[Role]
) -> Reply:
    by = invocation.person
    apps = (
        (command.app,)
        if command.app
        else tuple(a.target.app for a in context.catalog.in_channel(invocation.channel))
    )
    if command.verb in ("status", "history"):
        return _ask(
            context, invocation, command, apps=apps, verb=command.verb, revision=command.to_revision
        )
    app = apps[0]
    release = running_release(context, app)
    match command.verb:
        case "undo" if command.to_revision is not None:
            return _ask(
                context,
                invocation,
                command,
                apps=(app,),
                verb="undo",
                revision=command.to_revision,
                reason=command.reason,
            )
        case "undo" if release is not None:
            return control_release(
                context,
                release.id,
                Abort(by, reason=command.reason),
                f"{release.id} is being taken back",
            )
        case "undo":
            return _start(context, invocation, app, Undo(), command.reason)
        case "restart":
            return _start(context, invocation, app, Restart(), command.reason)
        case "pause" if release is not None:
            return control_release(context, release.id, Pause(by), f"{release.id} is paused")
        case "resume" if release is not None:
            return control_release(context, release.id, Resume(by), f"{release.id} goes on")
        case "pause" | "resume":
            return _ask(context, invocation, command, apps=(app,), verb=command.verb)
        case "promote" if release is not None:
            refusal = refusal_to_approve(release, by, roles)
            return (
                Refusal(refusal)
                if refusal
                else control_release(context, release.id, Promote(by), f"{release.id}: promoted")
            )
        case "abort" if release is not None:
            request = Abort(by, force=command.force, reason=command.reason)
            return control_release(
                context, release.id, request, f"{release.id} is being taken back"
            )
        case _:
            return _nothing_runs(context, app)


def _nothing_runs(context: Context, app: str) -> Refusal:
    """A command for a state that has passed: the state is explained."""
    last = next(iter(context.store.recent(app, limit=1)), None)
    hint = f"see `{context.names.typed('releases')} {app}`"
    if last is None:
        return Refusal(f"no release of {app} is running, and none was yet", hint)
    version = f" to {last.to_version}" if last.to_version else ""
    why = (
        f": {last.cause.summary}"
        if last.cause is not None and last.phase is not Phase.SUCCEEDED
        else ""
    )
    return Refusal(
        f"no release of {app} is running; the last one, {last.id}{version},"
        f" {_ENDED.get(last.phase, 'is over')}{why}",
        hint,
    )


def _ask(context: Context, invocation: Invocation, command: Command, **what: Any) -> Reply:
    context.queue.ask(_query(invocation, command, **what))
    return Pending()


def _sharing(context: Context, invocation: Invocation, command: Command, **what: Any) -> str:
    """The token for "Share here"; a mention is answered before everyone as it is."""
    if invocation.via == "mention":
        return ""
    return offer_to_share(
        context, _query(invocation, command, apps=tuple(context.catalog.apps), **what)
    )


def _query(invocation: Invocation, command: Command, **what: Any) -> dict[str, Any]:
    return {
        "kind": command.kind,
        "person": {
            "team": invocation.person.team,
            "user": invocation.person.user,
            "name": invocation.person.name,
        },
        "channel": invocation.channel,
        "thread_ts": invocation.thread_ts,
        "response_url": invocation.response_url,
        "dedup_key": invocation.dedup_key,
        "text": invocation.text,
        "in_channel": answers_channel(command),
        **what,
    }


def _whoami(context: Context, invocation: Invocation, roles: frozenset[Role]) -> WhoamiReply:
    access = context.catalog.access
    groups: tuple[str, ...] = ()
    if access.needs_groups:
        try:
            groups = tuple(sorted(context.directory.groups_of(invocation.person.user)))
        except SlackUnavailable:
            groups = ()
    line = f"access: {{roles: {{deployer: {{users: [{invocation.person.user}]}}}}}}"
    allowed = takes_commands_in(access, invocation.channel)
    return WhoamiReply(
        invocation.person, groups, tuple(sorted(roles)), invocation.channel, allowed, line
    )
