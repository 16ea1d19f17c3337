"""Carry out a query that needs the cluster, or a small write without a release, in a worker; the
reply goes through the response_url."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import assert_never

from bot.commands.model import (
    ApplyCommand,
    AppsCommand,
    ClearCommand,
    DeployCommand,
    ExplainCommand,
    FreezeCommand,
    GetCommand,
    PodsCommand,
    ReleaseCommand,
    ReleasesCommand,
    RolloutCommand,
    TrafficCommand,
    UnfreezeCommand,
)
from bot.commands.table import act_of
from bot.operations.access.places import place_of_command
from bot.operations.access.record_decision import record_query
from bot.operations.access.refuse import denied_now, refuse_reader
from bot.operations.access.roles import asker_now
from bot.operations.context import App, Context, new_log_id
from bot.operations.delivery.edit_banners import remember_banner
from bot.operations.lifecycle.check_start import waits_for_cluster
from bot.operations.queries.apply_manifests import apply_manifests
from bot.operations.queries.change_freeze import change_freeze
from bot.operations.queries.clear_lock import clear_lock
from bot.operations.queries.list_apps import list_apps
from bot.operations.queries.list_releases import list_releases
from bot.operations.queries.pause_deployment import pause_deployment
from bot.operations.queries.plan_release import plan_release
from bot.operations.queries.preview_release import preview_release
from bot.operations.queries.send_file import offer_file, send_file
from bot.operations.queries.send_message import send_message
from bot.operations.queries.share_answer import offer_to_share
from bot.operations.queries.show_history import show_history
from bot.operations.queries.show_objects import show_objects
from bot.operations.queries.show_pods import show_pods
from bot.operations.queries.show_release import show_release
from bot.operations.queries.show_status import show_status
from bot.operations.queries.show_traffic import show_traffic
from bot.operations.queries.undo_to_revision import undo_to_revision
from bot.operations.replies import (
    ComparisonReply,
    DocumentReply,
    FreezeReply,
    ListingReply,
    PlanReply,
    Refusal,
    Reply,
    StoryReply,
    TableReply,
    TextReply,
)
from bot.policy.permissions import is_direct
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    Message,
    RateLimited,
    Refused,
    SlackUnavailable,
    StoreUnavailable,
    Table,
    UnknownField,
    UnknownSchema,
)
from bot.query import AppsReplyCommand, PreviewCommand, Query, ReplyCommand, TableCommand
from bot.releases.planning.refusals import PlanRefused
from bot.request_id import request_id, working_for
from bot.tracing import span

log = logging.getLogger(__name__)

_SHAREABLE = TableReply | DocumentReply | PlanReply | StoryReply | ComparisonReply
FILE_FROM = 2_800  # characters: longer documents go as a file


def run_query(context: Context, query: Query) -> None:
    """Replies exactly once; a query that fails gets the reason in one line."""
    request = request_id(query.dedup_key, query.asker.user)
    with working_for(request), span(f"query {query.command.kind}", of=request):
        _run(context, query)


def _run(context: Context, query: Query) -> None:
    if isinstance(query.command, PreviewCommand):
        preview_release(context, query.command, query.asker)
        return
    reply = _reply_or_refusal(context, query, query.command)
    try:
        reply = _with_buttons(context, query, reply)
    except (RateLimited, SlackUnavailable, ChannelUnavailable) as refused:
        reply = Refusal(f"The file could not be sent: {refused}", "Try again in a moment.")
    _send(context, query, reply)


def _reply_or_refusal(context: Context, query: Query, command: ReplyCommand) -> Reply:
    try:
        return _reply(context, query, command)
    except ClusterUnreachable as away:
        return Refusal(
            f"The cluster is unreachable: {away.why}", _works_meanwhile(context, query, command)
        )
    except (Refused, PlanRefused, UnknownField) as refused:
        return Refusal(str(refused))
    except SlackUnavailable as away:
        return _unconfirmed(away)
    except (StoreUnavailable, UnknownSchema) as unread:
        return Refusal(str(unread), "Try again in a moment.")
    except Exception:  # logged with its traceback; the person must get a reply
        log_id = new_log_id(context)
        log.exception("query failed, logged as %s: %s", log_id, command)
        return Refusal(f"Something went wrong on our side; it is logged as {log_id}.")


def _works_meanwhile(context: Context, query: Query, command: ReplyCommand) -> str:
    if isinstance(command, RolloutCommand) and command.verb == "undo":
        apps = (context.catalog.apps[name] for name in query.apps if name in context.catalog.apps)
        return "".join(waits_for_cluster(context, app.target) for app in apps)
    return "Nothing was changed: try again in a moment."


def _reply(context: Context, query: Query, command: ReplyCommand) -> Reply:
    if isinstance(command, FreezeCommand | UnfreezeCommand):
        return change_freeze(context, query, command)
    if isinstance(command, ClearCommand):
        return clear_lock(context, query, command)
    missing = [name for name in query.apps if name not in context.catalog.apps]
    if missing:
        return Refusal(f"The catalog no longer has the app `{missing[0]}`.")
    apps = tuple(context.catalog.apps[name] for name in query.apps)
    if not apps:
        return Refusal(_no_apps(context, command))
    return _refusal(context, query, command) or _of_apps(context, apps, query, command)


def _no_apps(context: Context, command: AppsReplyCommand) -> str:
    if context.catalog.apps and command.cluster is not None:
        return f"This channel has no app in {command.cluster}."
    return "The catalog has no apps."


def _of_apps(
    context: Context, apps: tuple[App, ...], query: Query, command: AppsReplyCommand
) -> Reply:
    match command:
        case PodsCommand() | GetCommand() | TrafficCommand() | AppsCommand():
            return TableReply(_tables(context, apps, command))
        case ExplainCommand(path=path, recursive=recursive):
            cluster = context.cluster(apps[0].target.cluster)
            return DocumentReply(path, cluster.explain(path, recursive=recursive), explains=True)
        case ReleasesCommand(app=app):
            return list_releases(context, app, command.cluster)
        case ReleaseCommand():
            return show_release(context, command)
        case RolloutCommand():
            return _rollout(context, apps, query, command)
        case DeployCommand():
            return plan_release(context, apps[0], command, by=query.asker, text=query.text)
        case ApplyCommand():
            return apply_manifests(context, apps[0], query)
        case _ as never:
            assert_never(never)


def _refusal(context: Context, query: Query, command: AppsReplyCommand) -> Refusal | None:
    """The roles of whoever asked, as Slack has them now, before a query changes something. Pausing
    and undoing make production safer, so they do not wait for Slack. Raises SlackUnavailable."""
    is_change = isinstance(command, RolloutCommand) and command.verb in ("undo", "pause", "resume")
    act, place = act_of(command), place_of_command(context.catalog, command)
    if not is_change and not isinstance(command, ApplyCommand):
        return refuse_reader(context, query.asker, act, place)
    asker = asker_now(context, query.asker, makes_safer=act.makes_safer)
    denied = denied_now(context, asker, act, place)
    record_query(context, asker, act, denied, query)
    return Refusal(denied.line, "Nothing was changed.") if denied else None


def _unconfirmed(away: SlackUnavailable) -> Refusal:
    return Refusal(
        f"Slack does not say whether you may still do that: {away}.",
        "Nothing was changed: try again in a moment.",
    )


def _tables(context: Context, apps: tuple[App, ...], command: TableCommand) -> tuple[Table, ...]:
    match command:
        case PodsCommand():
            return (show_pods(context, apps),)
        case GetCommand(objects=objects, wide=wide):
            return show_objects(context, apps, objects, wide=wide)
        case TrafficCommand():
            return show_traffic(context, apps)
        case AppsCommand():
            return (list_apps(context, command.cluster),)
        case _ as never:
            assert_never(never)


def _rollout(
    context: Context, apps: tuple[App, ...], query: Query, command: RolloutCommand
) -> Reply:
    match command.verb:
        case "status":
            return show_status(context, apps)
        case "history":
            history = show_history(context, apps, command.to_revision)
            return TableReply(history.tables, roll_backs=history.roll_backs)
        case "undo":
            return undo_to_revision(context, apps[0], query, command)
        case "pause" | "resume":
            paused = command.verb == "pause"
            return pause_deployment(context, apps[0], query.asker, paused=paused)
        case "restart" | "promote" | "abort":
            raise ValueError(f"rollout {command.verb} needs no worker")
        case _ as never:
            assert_never(never)


def _with_buttons(context: Context, query: Query, reply: Reply) -> Reply:
    """A reply for one person carries "Share here". A shared document is cut to a message: a file
    cannot go with it."""
    if isinstance(reply, TableReply) and query.purpose == "file":
        return send_file(context, query, reply)
    if isinstance(reply, TableReply):
        reply = replace(reply, file=offer_file(context, query, reply.tables))
    if query.purpose == "share":
        long = isinstance(reply, DocumentReply) and len(reply.text) > FILE_FROM
        return (
            replace(reply, text=_top(reply.text))
            if isinstance(reply, DocumentReply) and long
            else reply
        )
    if isinstance(reply, TableReply | DocumentReply) and query.reply_to.in_channel:
        return reply
    if not isinstance(reply, _SHAREABLE):
        return reply
    return replace(reply, share=offer_to_share(context, query))


def _top(text: str) -> str:
    lines = text[: FILE_FROM - 100].split("\n")[:-1]
    return "\n".join([*lines, "… ask for it yourself to have the whole text"])


def _send(context: Context, query: Query, reply: Reply) -> None:
    message = context.render.reply(reply, now=context.store.now())
    user = query.asker.user
    try:
        if isinstance(reply, FreezeReply) and _post_banner(context, query, reply, message):
            return
        if isinstance(reply, DocumentReply) and len(reply.text) > FILE_FROM:
            context.messenger.upload(user, f"{reply.title}.txt", reply.text, title=reply.title)
        in_channel = _is_for_channel(query, reply)
        send_message(context, user, query.reply_to, message, in_channel=in_channel)
    except (RateLimited, SlackUnavailable, ChannelUnavailable):
        context.messenger.direct(user, message)


def _post_banner(context: Context, query: Query, reply: FreezeReply, message: Message) -> bool:
    """A reply through the response_url could not be edited later. False where the bot may not
    post."""
    to = query.reply_to
    if not to.channel or is_direct(to.channel):
        return False
    try:
        ts = context.messenger.post(to.channel, message, thread_ts=to.thread_ts)
    except (RateLimited, SlackUnavailable, ChannelUnavailable):
        return False
    remember_banner(context, reply.freeze, to.channel, ts)
    return True


def _is_for_channel(query: Query, reply: Reply) -> bool:
    if not query.reply_to.in_channel:
        return False
    match reply:
        case TableReply() | DocumentReply() | ListingReply() | FreezeReply():
            return True
        case StoryReply() | ComparisonReply():
            return True
        case TextReply():
            # it changed the cluster, or whether others may, which concerns everyone
            opens = isinstance(query.command, UnfreezeCommand | ClearCommand)
            return opens or query.confirms is not None
        case PlanReply():
            return query.purpose == "share"  # until then a dry run is for one person
        case _:
            return False
