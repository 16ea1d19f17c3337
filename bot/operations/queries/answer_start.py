"""The requests for releases of one app, in the order in which they came: each becomes a release, or
its starter alone reads why it cannot start and what works instead.

A request stays in the store until it is answered, so that none is lost with a worker.
"""

from __future__ import annotations

import logging
import uuid

from bot.commands.model import (
    DeployCommand,
    Mistake,
    RolloutCommand,
    ScaleCommand,
    Suggestion,
)
from bot.commands.parse import KnownNames, parse
from bot.operations.context import App, Context
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.check_start import check_start
from bot.operations.queries.confirm_roll_back import confirm_roll_back
from bot.operations.queries.offer_suggestions import offer_suggestions
from bot.operations.queries.plan_release import deployment_of
from bot.operations.queries.send_message import send_message
from bot.operations.replies import Receipt, Refusal, Reply
from bot.operations.requests import Invocation
from bot.ports import (
    ChannelUnavailable,
    RateLimited,
    SlackUnavailable,
    StoreUnavailable,
)
from bot.query import StartingCommand, StartRequest, UnknownQuery, load_start
from bot.releases.facts.changes import Change, Restart, Scale, Undo
from bot.releases.planning.refusals import PlanRefused

log = logging.getLogger(__name__)


def answer_start(context: Context, app: str) -> int | None:
    """Answers the oldest request. Returns when to come again, None where none is left."""
    document = context.store.next_to_start(app)
    if document is None:
        return None
    try:
        request = load_start(document)
    except UnknownQuery as unknown:
        log.error("dropped an unreadable request to start: %s", unknown)
    else:
        _send(context, request, _answer(context, request))
    context.store.start_answered(app, document, operation=uuid.uuid4().hex)
    return context.store.now() if context.store.next_to_start(app) is not None else None


def change_of(app: App, command: StartingCommand) -> Change:
    match command:
        case DeployCommand():
            return deployment_of(app, command)[1]
        case ScaleCommand(replicas=replicas):
            return Scale(replicas)
        case RolloutCommand(verb="restart"):
            return Restart()
        case RolloutCommand():
            return Undo()


def _answer(context: Context, request: StartRequest) -> Reply:
    app = context.catalog.apps.get(request.app)
    if app is None:
        return Refusal(f"The catalog no longer has the app `{request.app}`.")
    of = request.roll_back
    asked = confirm_roll_back(context, app, request, of) if of is not None else None
    if asked is not None:
        return asked
    change = change_of(app, request.command)
    refused = _refused(context, app, change, request)
    if refused is not None:
        return _with_what_works(context, request, refused)
    return start_release(
        context,
        app,
        change,
        by=request.asker,
        channel=of.channel if of is not None else request.reply_to.channel,
        reason=request.command.reason,
        command=request.text,
        dedup_key=request.dedup_key,
    )


def _refused(
    context: Context, app: App, change: Change, request: StartRequest
) -> PlanRefused | None:
    try:
        return check_start(context, app, change, by=request.asker, text=request.text)
    except StoreUnavailable:
        raise
    except Exception:  # logged with its traceback; the first tick meets it again and reports it
        log.exception("%s could not be checked", request.text)
        return None


def _with_what_works(context: Context, request: StartRequest, refused: PlanRefused) -> Refusal:
    names = KnownNames(tuple(context.catalog.apps), (), context.catalog.clusters, context.names)
    command = parse(refused.instead, names) if refused.instead else None
    if command is None or isinstance(command, Mistake):
        return Refusal(str(refused))
    match command:
        case RolloutCommand(verb="restart"):
            one = Suggestion(refused.instead, "confirm", label="Restart it")
        case RolloutCommand(verb="resume"):
            one = Suggestion(refused.instead, "confirm", label="Resume it")
        case DeployCommand(steps=steps) if steps:
            one = Suggestion(refused.instead, label=f"steps={','.join(map(str, steps))}")
        case DeployCommand():
            one = Suggestion(refused.instead, "confirm", label="Deploy it rolling")
        case _:
            one = Suggestion(refused.instead)
    return offer_suggestions(context, _typed(request), Mistake(str(refused), instead=(one,)))


def _typed(request: StartRequest) -> Invocation:
    to = request.reply_to
    return Invocation(
        request.asker,
        to.channel,
        request.text,
        request.spoken_as,
        request.dedup_key,
        thread_ts=to.thread_ts,
    )


def _send(context: Context, request: StartRequest, reply: Reply) -> None:
    message = context.render.reply(reply, now=context.store.now())
    in_channel = request.reply_to.in_channel and isinstance(reply, Receipt)
    try:
        try:
            send_message(
                context, request.asker.user, request.reply_to, message, in_channel=in_channel
            )
        except (RateLimited, SlackUnavailable, ChannelUnavailable):
            context.messenger.direct(request.asker.user, message)
    except (RateLimited, SlackUnavailable, ChannelUnavailable) as error:
        log.warning("a reply was not delivered: %s", error)
