"""A typed command: parse, authorise, and start what it asks for. Never contacts the cluster; the
worker does."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

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
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    ScaleCommand,
    TrafficCommand,
    UnfreezeCommand,
    WhoamiCommand,
)
from bot.commands.parse import KnownNames, parse
from bot.commands.table import act_of, answers_channel, permission_of
from bot.operations.access.refuse import refuse, takes_commands
from bot.operations.access.roles import is_known, known_roles
from bot.operations.context import Context, thread_key
from bot.operations.intake.answer_once import answer_once
from bot.operations.intake.ask_query import ask_query, query_of
from bot.operations.intake.start_typed_release import start_typed_release
from bot.operations.intake.steer_rollout import steer_rollout
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
from bot.policy.decision import ANYTHING, READING, Path, Start
from bot.policy.permissions import Permission
from bot.ports import SlackUnavailable, StoreUnavailable, UnknownSchema


def handle_command(context: Context, invocation: Invocation) -> Reply:
    """Every mistake is one line for the person alone, and starts nothing."""
    person, path = invocation.person, _path(invocation)
    if (stranger := refuse(context, person, ANYTHING, path)) is not None:
        return stranger
    command = parse(invocation.text, _known_names(context, invocation))
    if isinstance(command, Mistake):
        # A suggestion names apps and clusters, which is reading.
        refusal = refuse(context, person, READING, path)
        return refusal or offer_suggestions(context, invocation, command)
    try:
        refusal = refuse(context, person, act_of(command), path)
        return refusal or _answered(context, invocation, command)
    except StoreUnavailable as away:
        return Refusal(str(away), "Nothing was started: try again in a moment.")
    except UnknownSchema as newer:
        return Refusal(str(newer), "Nothing was changed.")


def _path(invocation: Invocation) -> Path:
    """What a form of the home tab or a button of our own message asks for was not typed anywhere:
    person, app and gate decide."""
    is_of_home = invocation.via == "modal" and not invocation.channel
    is_posted = is_of_home or invocation.command == BUTTON
    return Path("posted" if is_posted else "typed", invocation.channel)


def _known_names(context: Context, invocation: Invocation) -> KnownNames:
    here = _app_of_thread(context, invocation) or tuple(
        app.target.app for app in context.catalog.in_channel(invocation.channel)
    )
    return KnownNames(tuple(context.catalog.apps), here, context.catalog.clusters, context.names)


def _app_of_thread(context: Context, invocation: Invocation) -> tuple[str, ...]:
    """In the thread of a card the app is known."""
    if not invocation.thread_ts:
        return ()
    try:
        app = context.store.peek(thread_key(invocation.channel, invocation.thread_ts))
    except StoreUnavailable:
        return ()  # a command that needs the store reports it
    return (app,) if app is not None and app in context.catalog.apps else ()


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
            return start_typed_release(context, invocation, context.catalog.apps[name], command)
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
        case FreezeCommand() | UnfreezeCommand():
            return ask_query(context, invocation, command)
        case _ as never:
            assert_never(never)


def _deploy(context: Context, invocation: Invocation, command: DeployCommand) -> Reply:
    if command.app is None or command.version is None:
        return OpenFormReply(command.app or "")
    app = context.catalog.apps[command.app]
    elsewhere = Start(app.target, None, "", (), command.cluster)
    if refusal := refuse(context, invocation.person, act_of(command), thing=elsewhere):
        return refusal
    if command.dry_run:
        return ask_query(context, invocation, command)
    return start_typed_release(context, invocation, app, command)


def _apply(context: Context, invocation: Invocation, command: ApplyCommand) -> Reply:
    if not context.catalog.apps[command.app].manifests:
        return Refusal(
            f"{command.app} names no manifests.", "Add `manifests: [FILE]` to its catalog entry."
        )
    return ask_query(context, invocation, command)


def _releases(context: Context, invocation: Invocation, command: ReleasesCommand) -> Reply:
    if not is_known(context, invocation.person):
        return ask_query(context, invocation, command)  # a worker asks Slack who that is
    listing = list_releases(context, command.app)
    if invocation.via == "mention":
        return listing  # everyone in the channel sees it already
    return replace(listing, share=offer_to_share(context, query_of(context, invocation, command)))


def _whoami(context: Context, invocation: Invocation) -> WhoamiReply:
    access, roles = context.catalog.access, known_roles(context, invocation.person)
    groups: tuple[str, ...] = ()
    if access.needs_groups:
        try:
            groups = tuple(sorted(context.directory.groups_of(invocation.person.user)))
        except SlackUnavailable:
            groups = ()
    line = f"access: {{roles: {{deployer: {{users: [{invocation.person.user}]}}}}}}"
    allowed = takes_commands(context, invocation.channel)
    return WhoamiReply(
        invocation.person, groups, tuple(sorted(roles)), invocation.channel, allowed, line
    )
