"""The requests for releases of one app, in the order in which they came: each becomes a release, or
its starter alone reads why it cannot start and what works instead.

A request stays in the store until it is answered, so that none is lost with a worker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bot.commands.model import (
    DeployCommand,
    Mistake,
    RolloutCommand,
    ScaleCommand,
    Suggestion,
)
from bot.commands.parse import parse
from bot.commands.table import act_of
from bot.operations.access.record_decision import EFFECT_PATH, Asked, record_outcome
from bot.operations.context import App, Context
from bot.operations.lifecycle.check_start import check_start
from bot.operations.lifecycle.draft_release import Draft
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.offer_suggestions import offer_suggestions
from bot.operations.queries.plan_release import deployment_of
from bot.operations.queries.send_message import send_message
from bot.operations.replies import ConfirmReply, Receipt, Refusal, Reply
from bot.operations.requests import Invocation
from bot.operations.starts.confirm_roll_back import confirm_roll_back
from bot.ports import (
    ChannelUnavailable,
    RateLimited,
    SlackUnavailable,
    StoreUnavailable,
)
from bot.query import StartingCommand, StartRequest, UnknownQuery, load_start
from bot.releases.facts.changes import Change, Restart, Scale, Undo
from bot.releases.planning.refusals import PlanRefused
from bot.request_id import request_id, working_for
from bot.tracing import span

log = logging.getLogger(__name__)

TICK_BY_ITSELF_MS = 2_000
"""The first tick follows in the same job. When that dies, or waits for Slack, another makes it."""


@dataclass(frozen=True)
class Answered:
    """``again_at``: when to come again, None where no request is left. ``begun``: a new release,
    whose first tick can follow at once by this draft."""

    again_at: int | None = None
    begun: tuple[str, Draft] | None = None


def answer_start(context: Context, app: str) -> Answered:
    """Answers the oldest request."""
    document = context.store.next_to_start(app)
    if document is None:
        return Answered()
    begun = None
    try:
        request = load_start(document)
    except UnknownQuery as unknown:
        log.error("dropped an unreadable request to start: %s", unknown)
    else:
        asked = request_id(request.dedup_key, request.asker.user)
        with (
            working_for(asked, is_way_back=_is_undo(request.command)),
            span(f"start {request.app}", of=asked),
        ):
            reply, draft = _answer(context, request)
            if isinstance(reply, Refusal):
                record_outcome(context, _asked(request), reply)
            _send(context, request, reply)
        if draft is not None and isinstance(reply, Receipt) and reply.fresh:
            begun = reply.release.id, draft
    context.store.start_answered(app, document, operation=context.runtime.new_id())
    is_last = context.store.next_to_start(app) is None
    return Answered(None if is_last else context.store.now(), begun)


def _asked(request: StartRequest) -> Asked:
    """As a worker answers it: the decision itself was recorded when it came in."""
    act, channel = act_of(request.command), request.reply_to.channel
    return Asked(request.asker, act, EFFECT_PATH, channel, request.text, request.command.app or "")


def _is_undo(command: StartingCommand) -> bool:
    return isinstance(command, RolloutCommand) and command.verb == "undo"


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


def _answer(context: Context, request: StartRequest) -> tuple[Reply, Draft | None]:
    app = context.catalog.apps.get(request.app)
    if app is None:
        return Refusal(f"The catalog no longer has the app `{request.app}`."), None
    of = request.roll_back
    asked = confirm_roll_back(context, app, request, of) if of is not None else None
    if isinstance(asked, Refusal | ConfirmReply):
        return asked, None
    change = change_of(app, request.command)
    checked = _checked(context, app, change, request, asked)
    if isinstance(checked, PlanRefused):
        return _with_what_works(context, request, checked), None
    reply = start_release(
        context,
        app,
        change,
        by=request.asker,
        channel=of.channel if of is not None else request.reply_to.channel,
        reason=request.command.reason,
        command=request.text,
        dedup_key=request.dedup_key,
        tick_in_ms=0 if checked is None else TICK_BY_ITSELF_MS,
    )
    return reply, checked


def _checked(
    context: Context, app: App, change: Change, request: StartRequest, draft: Draft | None
) -> Draft | PlanRefused | None:
    try:
        return check_start(context, app, change, by=request.asker, text=request.text, draft=draft)
    except StoreUnavailable:
        raise
    except Exception:  # logged with its traceback; the first tick meets it again and reports it
        log.exception("%s could not be checked", request.text)
        return None


def _with_what_works(context: Context, request: StartRequest, refused: PlanRefused) -> Refusal:
    names, app = context.catalog.known(names=context.names), context.catalog.apps[request.app]
    allowed = (None, *app.rules.strategies)
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
        case DeployCommand(strategy=strategy) if strategy not in allowed:
            return Refusal(str(refused))
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
