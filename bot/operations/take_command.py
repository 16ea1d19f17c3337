"""A typed command: parse, authorise, and start what it asks for. Looks nothing up at the cluster: that is the worker's."""

from __future__ import annotations

from dataclasses import replace
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
from bot.commands.parse import Known, parse
from bot.commands.table import Names, answers_channel, permission_of
from bot.operations.context import Context
from bot.operations.control_release import control_release
from bot.operations.invocation import (
    HelpFor,
    Invocation,
    Listing,
    OpenModal,
    Pending,
    Refusal,
    Reply,
    Tabled,
    Text,
    Whoami,
)
from bot.operations.start_release import start_release
from bot.policy.approvals import refusal_to_approve
from bot.policy.freezes import Freeze
from bot.policy.permissions import Permission, Role, may, roles_granting, roles_of, takes_commands_in
from bot.ports import SlackUnavailable, StoreUnavailable, Table
from bot.releases.model import Change, Deploy, Person, Release, Restart, Scale, Undo
from bot.releases.requests import Abort, Pause, Promote, Resume

_CHANGES_NOTHING = (HelpCommand, WhoamiCommand)


def take_command(context: Context, invocation: Invocation) -> Reply:
    """Every mistake is one line for the person alone, and starts nothing."""
    names = Names(context.commands_installed, context.prefix)
    here = tuple(app.target.app for app in context.catalog.in_channel(invocation.channel))
    known = Known(tuple(context.catalog.apps), here, context.catalog.clusters, names)
    command = parse(invocation.text, known)
    if isinstance(command, Mistake):
        return Refusal(command.line, command.hint)
    try:
        roles = roles_in(context, invocation.person)
        refusal = _refusal(context, invocation, command, roles)
        if refusal is not None:
            return refusal
        return _carry_out(context, invocation, command, roles)
    except StoreUnavailable as away:
        return Refusal(str(away), "nothing was started: try again in a moment")


def roles_in(context: Context, person: Person) -> frozenset[Role]:
    """From the cached directory: a listener never waits for Slack. A group that cannot be read grants nothing."""
    access = context.catalog.access
    groups: frozenset[str] = frozenset()
    if access.needs_groups:
        try:
            groups = context.directory.groups_of(person.user)
        except SlackUnavailable:
            groups = frozenset()
    return roles_of(access, person.user, groups)


def _refusal(context: Context, invocation: Invocation, command: Command, roles: frozenset[Role]) -> Refusal | None:
    if isinstance(command, _CHANGES_NOTHING):
        return None
    access = context.catalog.access
    if not takes_commands_in(access, invocation.channel):
        channels = ", ".join(f"<#{channel}>" for channel in sorted(access.channels))
        return Refusal("commands are not taken in this channel", f"use {channels}")
    permission = Permission(permission_of(command))
    if not may(roles, permission):
        wanted = " or ".join(roles_granting(permission))
        return Refusal(f"that needs the role {wanted}; you have {', '.join(sorted(roles)) or 'none'}", "see `/pilothouse whoami`")
    return None


def _carry_out(context: Context, invocation: Invocation, command: Command, roles: frozenset[Role]) -> Reply:
    match command:
        case DeployCommand():
            return _deploy(context, invocation, command)
        case ScaleCommand():
            return _start(context, invocation, command.app, Scale(command.replicas), command.reason)
        case RolloutCommand():
            return _rollout(context, invocation, command, roles)
        case PodsCommand() | GetCommand() | TrafficCommand():
            apps = (command.app,) if command.app else tuple(a.target.app for a in context.catalog.in_channel(invocation.channel))
            extra: dict[str, Any] = {"objects": command.objects, "wide": command.wide} if isinstance(command, GetCommand) else {}
            return _ask(context, invocation, command, apps=apps, **extra)
        case ExplainCommand():
            app = context.catalog.in_channel(invocation.channel)[0].target.app
            return _ask(context, invocation, command, apps=(app,), path=command.path, recursive=command.recursive)
        case ApplyCommand():
            if not context.catalog.apps[command.app].manifests:
                return Refusal(f"{command.app} names no manifests", "add `manifests: [FILE]` to its catalog entry")
            return _ask(context, invocation, command, apps=(command.app,))
        case ReleasesCommand():
            title = f"Releases of {command.app}" if command.app else "Releases"
            return Listing(title, context.store.recent(command.app, limit=15))
        case AppsCommand():
            return Tabled((_apps(context),))
        case WhoamiCommand():
            return _whoami(context, invocation, roles)
        case HelpCommand():
            return HelpFor(command.command)
        case FreezeCommand():
            now = context.store.now()
            until = now + command.for_ms if command.for_ms is not None else command.until_ms
            context.store.freeze(Freeze(command.scope, command.reason, invocation.person, now, until))
            return Text(f"{command.scope} is frozen: {command.reason}. Running releases go on; new ones wait for unfreeze")
        case UnfreezeCommand():
            lifted = context.store.unfreeze(command.scope)
            return Text(f"{command.scope} is no longer frozen") if lifted else Refusal(f"{command.scope} is not frozen")


def _start(context: Context, invocation: Invocation, app: str, change: Change, reason: str) -> Reply:
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
        return OpenModal(command.app or "")
    app = context.catalog.apps[command.app]
    if command.cluster:
        app = replace(app, target=replace(app.target, cluster=command.cluster))
    strategy = command.strategy or app.strategy
    change = Deploy(command.version, strategy, command.steps, command.hold_ms, command.sticky)
    if command.dry_run:
        words = {"version": change.version, "strategy": strategy.value, "sticky": change.sticky, "hold_ms": change.hold_ms}
        return _ask(context, invocation, command, apps=(command.app,), cluster=app.target.cluster, steps=change.steps, **words)
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


def running_release(context: Context, app: str) -> Release | None:
    """The release of this app that holds the lock, else the first that waits for it."""
    active = context.store.active(app)
    return next((r for r in active if not r.queued_behind), active[0] if active else None)


def _rollout(context: Context, invocation: Invocation, command: RolloutCommand, roles: frozenset[Role]) -> Reply:
    by = invocation.person
    apps = (command.app,) if command.app else tuple(a.target.app for a in context.catalog.in_channel(invocation.channel))
    if command.verb in ("status", "history"):
        return _ask(context, invocation, command, apps=apps, verb=command.verb, revision=command.to_revision)
    app = apps[0]
    release = running_release(context, app)
    match command.verb:
        case "undo" if release is None or command.to_revision is not None:
            return _start(context, invocation, app, Undo(command.to_revision), command.reason)
        case "undo":
            assert release is not None
            return control_release(context, release.id, Abort(by, reason=command.reason), f"{release.id} is being taken back")
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
            return Refusal(refusal) if refusal else control_release(context, release.id, Promote(by), f"{release.id}: promoted")
        case "abort" if release is not None:
            request = Abort(by, force=command.force, reason=command.reason)
            return control_release(context, release.id, request, f"{release.id} is being taken back")
        case _:
            return Refusal(f"no release of {app} is running", f"see `/pilothouse releases {app}`")


def _ask(context: Context, invocation: Invocation, command: Command, **what: Any) -> Reply:
    query = {
        "kind": command.kind,
        "person": {"team": invocation.person.team, "user": invocation.person.user, "name": invocation.person.name},
        "channel": invocation.channel,
        "thread_ts": invocation.thread_ts,
        "response_url": invocation.response_url,
        "dedup_key": invocation.dedup_key,
        "text": invocation.text,
        "in_channel": answers_channel(command),
        **what,
    }
    context.queue.ask(query)
    return Pending()


def _apps(context: Context) -> Table:
    rows = []
    for name, app in sorted(context.catalog.apps.items()):
        release = running_release(context, name)
        last = next(iter(context.store.recent(name, limit=1)), None)
        runs = release.from_version if release else (last.to_version if last and last.phase.value == "succeeded" else "")
        state = f"{release.id} {release.phase.value.replace('_', ' ')}" if release else ""
        rows.append((name, runs or "-", app.target.cluster, app.target.namespace, app.strategy.value, state or "-"))
    return Table("Apps", ("APP", "VERSION", "CLUSTER", "NAMESPACE", "STRATEGY", "RELEASE"), tuple(rows))


def _whoami(context: Context, invocation: Invocation, roles: frozenset[Role]) -> Whoami:
    access = context.catalog.access
    groups: tuple[str, ...] = ()
    if access.needs_groups:
        try:
            groups = tuple(sorted(context.directory.groups_of(invocation.person.user)))
        except SlackUnavailable:
            groups = ()
    line = f"access: {{roles: {{deployer: {{users: [{invocation.person.user}]}}}}}}"
    allowed = takes_commands_in(access, invocation.channel)
    return Whoami(invocation.person, groups, tuple(sorted(roles)), invocation.channel, allowed, line)
