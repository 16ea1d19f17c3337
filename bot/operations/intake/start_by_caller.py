"""A machine asks for a release through the API: the same request as a typed `/deploy`, with the
rights of a token in place of a person's."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from bot.commands.model import DeployCommand
from bot.operations.access.record_decision import Asked, record_decision, record_outcome
from bot.operations.context import App, Context
from bot.operations.lifecycle.start_release import start_release
from bot.operations.queries.plan_release import deployment_of
from bot.operations.replies import Receipt, Refusal
from bot.policy.callers import Caller, refusal_of_caller
from bot.policy.decision import STARTING, Rule
from bot.ports import OutcomeUnknown, SlackUnavailable, StoreUnavailable
from bot.releases.facts.people import MACHINE, Person
from bot.request_id import current_work, request_id, working_for
from bot.tracing import span
from config.durations import format_duration

log = logging.getLogger(__name__)

KEY_BOUND_MS = 25 * 3_600_000
"""An hour longer than the store knows which release a key started."""

RefusalCode: TypeAlias = Literal[
    "not_allowed",
    "key_reused",
    "triggered_by_required",
    "refused",
    "locked",
    "outcome_unknown",
    "unavailable",
]


@dataclass(frozen=True)
class CallerRefusal:
    """``code`` stays the same from version to version; ``line`` is for people."""

    code: RefusalCode
    line: str


@dataclass(frozen=True)
class CallerRequest:
    """``key``: the caller's own name for this request. ``triggered_by``: the Slack id of the person
    for whom it claims to act, "" for nobody."""

    key: str
    app: str
    command: DeployCommand
    triggered_by: str = ""


def start_by_caller(
    context: Context, caller: Caller, request: CallerRequest
) -> Receipt | CallerRefusal:
    """The same key with the same request gives the same release, for a day."""
    key = f"api:{caller.name}:{hashlib.sha256(request.key.encode()).hexdigest()}"
    work = request_id(key)
    try:
        with working_for(work), span("api start", of=work, begins=True):
            return _started(context, caller, request, key)
    except OutcomeUnknown as away:
        return CallerRefusal(
            "outcome_unknown", f"{_sentence(away)} Send it again with the same key."
        )
    except StoreUnavailable as away:
        return CallerRefusal("unavailable", f"{_sentence(away)} Nothing was started.")
    except SlackUnavailable:
        line = "Slack does not say which workspace this app belongs to. Nothing was started."
        return CallerRefusal("unavailable", line)


def _started(
    context: Context, caller: Caller, request: CallerRequest, key: str
) -> Receipt | CallerRefusal:
    app = context.catalog.find(request.app, request.command.cluster)
    by = _person(context, caller, request)
    asked = Asked(by, STARTING, f"api {caller.name}", text=_text(request), app=request.app)
    refusal = _out_of_scope(context, caller, request, app)
    if refusal is not None or app is None:
        refusal = refusal or _elsewhere(caller, request)
        record_decision(context, asked, Refusal(refusal.line, rule=Rule.CALLER.value))
        return refusal
    _, change = deployment_of(app, request.command)
    if not request.triggered_by and app.rules.asks_approvers(change.strategy):
        line = (
            f"A release of {app.target.label} needs an approval: name the person behind it in"
            " `triggered_by` (a Slack member ID). That person's own vote does not count."
        )
        return CallerRefusal("triggered_by_required", line)
    if not context.store.put_new(key, _digest(request), ttl_ms=KEY_BOUND_MS):
        line = "This idempotency key belongs to another request. Use a new one."
        return CallerRefusal("key_reused", line)
    record_decision(context, asked, None)
    log.info("request=%s api caller=%s app=%s", current_work().request, caller.name, request.app)
    reply = start_release(
        context,
        app,
        change,
        by=by,
        channel="",
        reason=request.command.reason,
        command=_as_typed(app, request.command),
        dedup_key=key,
    )
    record_outcome(context, asked, reply)
    match reply:
        case Receipt():
            return reply
        case Refusal(line=line, hint=hint, rule=rule):
            code: RefusalCode = "locked" if rule == Rule.LOCKED else "refused"
            return CallerRefusal(code, f"{line} {hint}".rstrip())
        case _:
            raise TypeError(f"a release was answered with {reply.kind}")


def _out_of_scope(
    context: Context, caller: Caller, request: CallerRequest, app: App | None
) -> CallerRefusal | None:
    """An app that is not there is answered as one of others: a token learns no names."""
    if app is None or not caller.covers(app.target):
        return _elsewhere(caller, request)
    strategy = request.command.strategy or app.strategy
    line = refusal_of_caller(caller.name, caller, app.target, strategy, context.store.now())
    return CallerRefusal("not_allowed", line) if line else None


def _elsewhere(caller: Caller, request: CallerRequest) -> CallerRefusal:
    where = f" in {request.command.cluster}" if request.command.cluster else ""
    line = f"The API caller {caller.name} may not release {request.app}{where}."
    return CallerRefusal("not_allowed", line)


def _person(context: Context, caller: Caller, request: CallerRequest) -> Person:
    """Raises SlackUnavailable."""
    team, user = context.directory.home_team(), request.triggered_by
    if not user:
        return Person(team, f"{MACHINE}{caller.name}", caller.name, caller=caller.name)
    return Person(team, user, context.directory.name_of(user), caller=caller.name)


def _digest(request: CallerRequest) -> str:
    text = json.dumps(asdict(request), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _sentence(away: Exception) -> str:
    return f"{str(away).removesuffix('.')}."


def _text(request: CallerRequest) -> str:
    return f"deploy {request.app} {request.command.version}"


def _as_typed(app: App, command: DeployCommand) -> str:
    """What a person would type for the same: cards, audit and history show it."""
    words = ["deploy", app.target.typed, command.version or "", command.strategy or app.strategy]
    words += [f"steps={','.join(map(str, command.steps))}"] if command.steps else []
    words += [f"hold={format_duration(command.hold_ms)}"] if command.hold_ms is not None else []
    words += ["sticky"] if command.sticky else []
    return " ".join(words)
