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
from bot.operations.context import Context
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
    here = tuple(app.target.app for app in context.catalog.in_channel(invocation.channel))
    if isinstance(command, ExplainCommand):
        return here[:1]  # any app of the cluster that explains
    return (command.app,) if command.app else here
