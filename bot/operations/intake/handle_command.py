"""A typed command: parse, authorise, and start what it asks for. Never contacts the cluster; the
worker does."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import assert_never

from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    ClearCommand,
    Command,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    HelpCommand,
    Mistake,
    PodsCommand,
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    TrafficCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.commands.parse import parse
from bot.commands.table import KnownNames, act_of, answers_channel, permission_of
from bot.operations.access.places import place_of_command
from bot.operations.access.record_decision import (
    Asked,
    path_of,
    record_decision,
    record_outcome,
)
from bot.operations.access.refuse import refuse, takes_commands
from bot.operations.access.roles import is_known, known_asker
from bot.operations.context import App, Context, thread_key
from bot.operations.intake.answer_once import MAY_BE_TAKEN, answer_once
from bot.operations.intake.ask_query import ask_query, query_of
from bot.operations.intake.deploy_to_fleet import deploy_to_fleet
from bot.operations.intake.refusal_with_names import refusal_with_names
from bot.operations.intake.start_typed_release import start_typed_release
from bot.operations.intake.steer_rollout import steer_rollout
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.list_releases import list_releases
from bot.operations.queries.offer_suggestions import offer_suggestions
from bot.operations.queries.share_answer import offer_to_share
from bot.operations.replies import (
    HelpReply,
    OpenFormReply,
    Refusal,
    Reply,
    TextReply,
    WhoamiReply,
)
from bot.operations.requests import BUTTON, Invocation
from bot.policy.decision import ANYTHING, READING, Act, Asker, Path, place_of_target
from bot.policy.permissions import Permission, Role
from bot.ports import OutcomeUnknown, SlackUnavailable, StoreUnavailable, UnknownSchema
from bot.releases.facts.people import Person
from bot.request_id import current_work, request_id, working_for
from bot.tracing import describe, span

log = logging.getLogger(__name__)
MAX_PLACES = 20
"""That `/pilothouse whoami` names."""


def handle_command(context: Context, invocation: Invocation) -> Reply:
    """Every mistake is one line for the person alone, and starts nothing."""
    request = request_id(invocation.dedup_key) or current_work().request
    with working_for(request), span("command", of=request, begins=True):
        return _handled(context, invocation)


def _handled(context: Context, invocation: Invocation) -> Reply:
    person, path = invocation.person, _path(invocation)
    if (stranger := refuse(context, person, ANYTHING, path)) is not None:
        record_decision(context, _asked(invocation, ANYTHING), stranger)
        return stranger
    command = parse(invocation.text, _known_names(context, invocation))
    if isinstance(command, Mistake):
        # A suggestion names apps and clusters, which is reading.
        refusal = refuse(context, person, READING, path)
        if refusal is not None:
            record_decision(context, _asked(invocation, READING), refusal)
        return refusal or offer_suggestions(context, invocation, command)
    _log_request(invocation, command)
    try:
        refusal = _refusal(context, person, command, path)
        asked = replace(
            _asked(invocation, act_of(command), getattr(command, "app", None) or ""),
            place=place_of_command(context.catalog, command),
        )
        changes = _changes_something(command)
        record_decision(context, asked, refusal, changes=changes)
        if refusal is not None:
            return refusal
        reply = _answered(context, invocation, command)
        if changes:
            record_outcome(context, asked, reply)
        return reply
    except OutcomeUnknown as away:
        return Refusal(str(away), MAY_BE_TAKEN)
    except StoreUnavailable as away:
        return Refusal(str(away), "Nothing was started: try again in a moment.")
    except UnknownSchema as newer:
        return Refusal(str(newer), "Nothing was changed.")


def _asked(invocation: Invocation, act: Act, app: str = "") -> Asked:
    path, channel = path_of(invocation), invocation.channel
    return Asked(invocation.person, act, path, channel, invocation.text, app)


def _log_request(invocation: Invocation, command: Command) -> None:
    """Slack's name of the request, and the id that stands for it from here on. No text."""
    about = {
        "pilothouse.request": current_work().request,
        "pilothouse.user": invocation.person.user,
    }
    describe(f"command {command.kind}", about)
    log.info(
        "request=%s command=%s user=%s channel=%s slack=%s",
        current_work().request,
        command.kind,
        invocation.person.user,
        invocation.channel,
        invocation.dedup_key,
    )


def _act_before_gate(context: Context, command: Command) -> Act:
    """Where the catalog names groups for approvals, the gate decides who promotes, whatever their
    role."""
    act = act_of(command)
    if not isinstance(command, RolloutCommand) or command.verb != "promote":
        return act
    return replace(act, permission=Permission.READ) if context.catalog.access.voters else act


def _refusal(context: Context, person: Person, command: Command, path: Path) -> Refusal | None:
    """For want of a role wherever it is typed, it names who could act on the running release."""
    place = place_of_command(context.catalog, command)
    act = _act_before_gate(context, command)
    refusal = refuse(context, person, act, path, place)
    if not isinstance(command, RolloutCommand) or refusal is None or command.force:
        return refusal
    if permission_of(command) is Permission.READ:
        return refusal
    lacks_role = refusal == refuse(context, person, act, thing=place)
    app = context.catalog.find(command.app or "", command.cluster) if lacks_role else None
    release = running_release(context, app.target) if app is not None else None
    if release is None:
        return refusal
    return refusal_with_names(context, release, command.verb, refusal, person)


def _path(invocation: Invocation) -> Path:
    """What a form of the home tab or a button of our own message asks for was not typed anywhere:
    person, app and gate decide."""
    is_of_home = invocation.via == "modal" and not invocation.channel
    is_posted = is_of_home or invocation.command == BUTTON
    return Path("posted" if is_posted else "typed", invocation.channel)


def _known_names(context: Context, invocation: Invocation) -> KnownNames:
    of_thread = _app_of_thread(context, invocation)
    if of_thread is not None:
        target = of_thread.target
        known = context.catalog.known((target.app,), context.names)
        return replace(known, at=target.cluster)
    here = (app.target.app for app in context.catalog.in_channel(invocation.channel))
    return context.catalog.known(tuple(dict.fromkeys(here)), context.names)


def _app_of_thread(context: Context, invocation: Invocation) -> App | None:
    """In the thread of a card the app is known, and its cluster."""
    if not invocation.thread_ts:
        return None
    try:
        app = context.store.peek(thread_key(invocation.channel, invocation.thread_ts))
    except StoreUnavailable:
        return None  # a command that needs the store reports it
    return context.catalog.apps.get(app or "")


def _answered(context: Context, invocation: Invocation, command: Command) -> Reply:
    reply = answer_once(
        context,
        invocation.dedup_key if _changes_something(command) else "",
        lambda: _carry_out(context, invocation, command),
        keeps_refusals=invocation.via != "modal",
    )
    if isinstance(reply, TextReply):
        return replace(reply, in_channel=answers_channel(command))
    return reply


def _changes_something(command: Command) -> bool:
    if isinstance(command, DeployCommand) and (command.version is None or command.dry_run):
        return False
    return permission_of(command) is not Permission.READ


def _carry_out(context: Context, invocation: Invocation, command: Command) -> Reply:
    match command:
        case DeployCommand():
            return _deploy(context, invocation, command)
        case ScaleCommand(app=name):
            app = context.catalog.named(name, command.cluster)
            return start_typed_release(context, invocation, app, command)
        case RolloutCommand():
            return steer_rollout(context, invocation, command)
        case (
            PodsCommand()
            | GetCommand()
            | TrafficCommand()
            | ExplainCommand()
            | AppsCommand()
            | ReleaseCommand()
        ):
            return ask_query(context, invocation, command)
        case ApplyCommand():
            return _apply(context, invocation, command)
        case ReleasesCommand():
            return _releases(context, invocation, command)
        case WhoamiCommand():
            return _whoami(context, invocation)
        case HelpCommand(command=topic):
            return HelpReply(topic)
        case FreezeCommand() | UnfreezeCommand() | ClearCommand():
            return ask_query(context, invocation, command)
        case _ as never:
            assert_never(never)


def _deploy(context: Context, invocation: Invocation, command: DeployCommand) -> Reply:
    if command.app is None or command.version is None:
        app = context.catalog.find(command.app or "", command.cluster)
        return OpenFormReply(app.target.typed if app is not None else "")
    if command.clusters:
        return deploy_to_fleet(context, invocation, command)
    app = context.catalog.named(command.app, command.cluster)
    if command.dry_run:
        return ask_query(context, invocation, command)
    return start_typed_release(context, invocation, app, command)


def _apply(context: Context, invocation: Invocation, command: ApplyCommand) -> Reply:
    if not context.catalog.named(command.app, command.cluster).manifests:
        return Refusal(
            f"{command.app} names no manifests.", "Add `manifests: [FILE]` to its catalog entry."
        )
    return ask_query(context, invocation, command)


def _releases(context: Context, invocation: Invocation, command: ReleasesCommand) -> Reply:
    if not is_known(context, invocation.person):
        return ask_query(context, invocation, command)  # a worker asks Slack who that is
    listing = list_releases(context, command.app, command.cluster)
    if invocation.via == "mention":
        return listing  # everyone in the channel sees it already
    return replace(listing, share=offer_to_share(context, query_of(context, invocation, command)))


def _whoami(context: Context, invocation: Invocation) -> WhoamiReply:
    access, asker = context.catalog.access, known_asker(context, invocation.person)
    roles = asker.roles(access)
    groups: tuple[str, ...] = ()
    if access.needs_groups:
        try:
            groups = tuple(sorted(context.directory.groups_of(invocation.person.user)))
        except SlackUnavailable:
            groups = ()
    line = f"access: {{roles: {{deployer: {{users: [{invocation.person.user}]}}}}}}"
    allowed = takes_commands(context, invocation.channel)
    return WhoamiReply(
        invocation.person,
        groups,
        tuple(sorted(roles)),
        invocation.channel,
        allowed,
        line,
        _elsewhere(context, asker, roles),
    )


def _elsewhere(
    context: Context, asker: Asker, usual: frozenset[Role]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The apps where the person has other roles than in the workspace."""
    found = {
        typed: asker.roles(context.catalog.access, place_of_target(app.target))
        for typed, app in sorted(context.catalog.apps.items())
    }
    others = [(typed, tuple(sorted(roles))) for typed, roles in found.items() if roles != usual]
    return tuple(others[:MAX_PLACES])
