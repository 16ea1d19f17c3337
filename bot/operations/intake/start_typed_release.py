"""Start the release that a typed command asks for: a worker first checks that it can start."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.lifecycle.start_release import refusal_at_once, start_release
from bot.operations.replies import Pending, Reply
from bot.operations.requests import Invocation
from bot.operations.starts.answer_start import change_of
from bot.ports import WORKER_ALIVE
from bot.query import ReplyTo, StartingCommand, StartRequest, dump_start


def start_typed_release(
    context: Context, invocation: Invocation, app: App, command: StartingCommand
) -> Reply:
    """While no worker runs, nobody can check: the release then waits with its id, where people see
    it."""
    change, by, channel = change_of(app, command), invocation.person, invocation.channel
    if not context.store.peek(WORKER_ALIVE):
        return start_release(
            context,
            app,
            change,
            by=by,
            channel=channel,
            reason=command.reason,
            command=invocation.text,
            dedup_key=invocation.dedup_key,
        )
    refusal = refusal_at_once(context, app, change, by=by, channel=channel, reason=command.reason)
    if refusal is not None:
        return refusal
    request = StartRequest(
        command,
        app.target.typed,
        by,
        ReplyTo(
            channel, invocation.thread_ts, invocation.response_url, invocation.via == "mention"
        ),
        invocation.text,
        invocation.command,
        invocation.dedup_key or context.runtime.new_id(),
    )
    context.store.ask_to_start(
        app.target.typed, dump_start(request), operation=f"ask:{request.dedup_key}"
    )
    return Pending()
