"""A command that needs the cluster becomes a query for a worker."""

from __future__ import annotations

from bot.commands.model import (
    AppsCommand,
    ExplainCommand,
    FreezeCommand,
    ReleaseCommand,
    ReleasesCommand,
    UnfreezeCommand,
)
from bot.commands.table import answers_channel
from bot.operations.context import App, Context
from bot.operations.replies import Pending, Reply
from bot.operations.requests import Invocation
from bot.query import Query, ReplyCommand, ReplyTo


def ask_query(context: Context, invocation: Invocation, command: ReplyCommand) -> Reply:
    context.queue.ask(query_of(context, invocation, command))
    return Pending()


def query_of(context: Context, invocation: Invocation, command: ReplyCommand) -> Query:
    reply_to = ReplyTo(
        invocation.channel, invocation.thread_ts, invocation.response_url, answers_channel(command)
    )
    return Query(
        command,
        invocation.person,
        reply_to,
        _apps(context, invocation, command),
        invocation.text,
        invocation.dedup_key,
    )


def _apps(context: Context, invocation: Invocation, command: ReplyCommand) -> tuple[str, ...]:
    if isinstance(command, FreezeCommand | UnfreezeCommand):
        return ()
    if isinstance(command, AppsCommand | ReleasesCommand | ReleaseCommand):
        return tuple(context.catalog.apps)
    if not isinstance(command, ExplainCommand) and command.app is not None:
        every = (one for one in context.catalog.apps.values() if one.target.app == command.app)
        meant = tuple(one.target.typed for one in every if _is_in(one, command.cluster))
        return meant or (command.app,)
    here = context.catalog.in_channel(invocation.channel)
    found = tuple(app.target.typed for app in here if _is_in(app, command.cluster))
    if isinstance(command, ExplainCommand):
        # any app of the cluster that explains
        apps = context.catalog.apps.items()
        return (found or tuple(name for name, app in apps if _is_in(app, command.cluster)))[:1]
    return found


def _is_in(app: App, cluster: str | None) -> bool:
    return cluster in (None, app.target.cluster)
