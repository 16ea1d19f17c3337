"""A question that needs the cluster, or a small write without a release: carried out by a worker,
answered through the response_url."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.operations.context import App, Context
from bot.operations.queries.apply_manifests import apply_manifests
from bot.operations.queries.list_apps import list_apps
from bot.operations.queries.list_releases import list_releases
from bot.operations.queries.pause_deployment import pause_deployment
from bot.operations.queries.plan_release import plan_release
from bot.operations.queries.preview_release import preview_release
from bot.operations.queries.send_file import offer_file, send_file
from bot.operations.queries.share_answer import offer_to_share
from bot.operations.queries.show_history import show_history
from bot.operations.queries.show_objects import show_objects
from bot.operations.queries.show_pods import show_pods
from bot.operations.queries.show_status import show_status
from bot.operations.queries.show_traffic import show_traffic
from bot.operations.queries.undo_to_revision import undo_to_revision
from bot.operations.replies import (
    DocumentReply,
    ListingReply,
    PlanReply,
    Refusal,
    Reply,
    TableReply,
    TextReply,
)
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    Message,
    RateLimited,
    Refused,
    SlackUnavailable,
)
from bot.releases.planning.refusals import PlanRefused

FILE_FROM = 2_800  # characters: longer documents go as a file


def run_query(context: Context, query: Mapping[str, Any]) -> None:
    """Answers exactly once; what cannot be answered says why in one line."""
    if query["kind"] == "preview":
        preview_release(context, query)
        return
    try:
        reply = _answer(context, query)
    except ClusterUnreachable as away:
        reply = Refusal(
            f"the cluster cannot be reached: {away.why}",
            "nothing was changed: try again in a moment",
        )
    except (Refused, PlanRefused) as refused:
        reply = Refusal(str(refused))
    except LookupError as unknown:
        reply = Refusal(str(unknown.args[0]) if unknown.args else "not found")
    try:
        reply = _offered(context, query, reply)
    except (RateLimited, SlackUnavailable, ChannelUnavailable) as refused:
        reply = Refusal(f"the file could not be sent: {refused}", "try again in a moment")
    _tell(context, query, reply)


def _answer(context: Context, query: Mapping[str, Any]) -> Reply:
    missing = [name for name in query["apps"] if name not in context.catalog.apps]
    if missing:
        return Refusal(f"the catalog no longer has the app `{missing[0]}`")
    apps = tuple(context.catalog.apps[name] for name in query["apps"])
    if not apps:
        return Refusal("the catalog has no apps")
    return _ANSWERS[query["kind"]](context, apps, query)


def _offered(context: Context, query: Mapping[str, Any], reply: Reply) -> Reply:
    """What one person alone sees carries "Share here"; what is shared is cut to a message, for a
    file cannot go along."""
    if isinstance(reply, TableReply) and query.get("as_file"):
        return send_file(context, query, reply)
    if isinstance(reply, TableReply):
        reply = replace(reply, file=offer_file(context, query, reply.tables))
    if query.get("shared"):
        long = isinstance(reply, DocumentReply) and len(reply.text) > FILE_FROM
        return (
            replace(reply, text=_top(reply.text))
            if isinstance(reply, DocumentReply) and long
            else reply
        )
    if isinstance(reply, TableReply | DocumentReply) and query["in_channel"]:
        return reply
    if not isinstance(reply, TableReply | DocumentReply | PlanReply):
        return reply
    return replace(reply, share=offer_to_share(context, query))


def _top(text: str) -> str:
    lines = text[: FILE_FROM - 100].split("\n")[:-1]
    return "\n".join([*lines, "… ask for it yourself to have the whole text"])


def _pods(context: Context, apps: tuple[App, ...], _query: Mapping[str, Any]) -> Reply:
    return TableReply((show_pods(context, apps),))


def _get(context: Context, apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    return TableReply(show_objects(context, apps, query["objects"], wide=query["wide"]))


def _explain(context: Context, apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    cluster = context.clusters[apps[0].target.cluster]
    return DocumentReply(
        query["path"], cluster.explain(query["path"], recursive=query["recursive"]), explains=True
    )


def _traffic(context: Context, apps: tuple[App, ...], _query: Mapping[str, Any]) -> Reply:
    return TableReply(tuple(table for app in apps for table in show_traffic(context, app)))


def _rollout(context: Context, apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    match query["verb"]:
        case "status":
            return show_status(context, apps)
        case "history":
            return TableReply(show_history(context, apps, query["revision"]))
        case "undo":
            return undo_to_revision(context, apps[0], query)
        case verb:
            return pause_deployment(context, apps[0], query, paused=verb == "pause")


def _releases(context: Context, _apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    return list_releases(context, query["app"])


def _list_apps(context: Context, _apps: tuple[App, ...], _query: Mapping[str, Any]) -> Reply:
    return TableReply((list_apps(context),))


def _deploy(context: Context, apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    return plan_release(context, apps[0], query)


def _apply(context: Context, apps: tuple[App, ...], query: Mapping[str, Any]) -> Reply:
    return apply_manifests(context, apps[0], query)


_ANSWERS: dict[str, Callable[[Context, tuple[App, ...], Mapping[str, Any]], Reply]] = {
    "pods": _pods,
    "get": _get,
    "explain": _explain,
    "traffic": _traffic,
    "rollout": _rollout,
    "deploy": _deploy,
    "apply": _apply,
    "releases": _releases,
    "apps": _list_apps,
}


def _tell(context: Context, query: Mapping[str, Any], reply: Reply) -> None:
    now = context.store.now()
    message = context.render.reply(reply, now=now)
    changed = bool(query.get("confirmed")) and isinstance(
        reply, TextReply
    )  # what changed the cluster is told to everybody
    plan = isinstance(reply, PlanReply) and query.get(
        "shared"
    )  # a dry run is for the person alone, until it is shared
    in_channel = bool(query["in_channel"]) and (
        changed or plan or isinstance(reply, TableReply | DocumentReply | ListingReply)
    )
    channel, user, thread = query["channel"], query["person"]["user"], query["thread_ts"]
    try:
        if isinstance(reply, DocumentReply) and len(reply.text) > FILE_FROM:
            context.messenger.upload(user, f"{reply.title}.txt", reply.text, title=reply.title)
        _send(context, query, message, channel, user, thread, in_channel=in_channel)
    except (RateLimited, SlackUnavailable, ChannelUnavailable):
        context.messenger.direct(user, message)


def _send(
    context: Context,
    query: Mapping[str, Any],
    message: Message,
    channel: str,
    user: str,
    thread: str,
    *,
    in_channel: bool,
) -> None:
    if query["response_url"]:
        context.messenger.respond(query["response_url"], message, in_channel=in_channel)
    elif in_channel:
        context.messenger.post(channel, message, thread_ts=thread)
    else:
        context.messenger.post_privately(channel, user, message, thread_ts=thread)
