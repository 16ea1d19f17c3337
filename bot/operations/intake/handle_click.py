"""A button was clicked: who may, and is it still this release, this gate, this plan? The record
decides, not the button."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast, get_args

import orjson

from bot.commands.model import DeployCommand
from bot.commands.table import BY_NAME
from bot.operations.access.record_decision import (
    Asked,
    path_of_click,
    record_decision,
    record_outcome,
)
from bot.operations.access.refuse import refuse
from bot.operations.access.roles import known_asker
from bot.operations.context import Context
from bot.operations.delivery.bring_card import bring_card
from bot.operations.delivery.send_notices import Wish, set_wish
from bot.operations.intake.answer_once import MAY_BE_TAKEN, answer_once
from bot.operations.intake.ask_to_roll_back import (
    ask_to_roll_back,
    ask_to_roll_back_to,
)
from bot.operations.intake.decide_queue import decide_queue
from bot.operations.intake.handle_command import handle_command
from bot.operations.intake.refusal_with_names import ask_for_answer, refusal_with_names
from bot.operations.lifecycle.control_release import control_release
from bot.operations.queries.keep_query import OfSomeoneElse, take_query
from bot.operations.queries.offer_suggestions import chosen_suggestion
from bot.operations.queries.send_file import ask_for_file
from bot.operations.queries.share_answer import share_answer
from bot.operations.replies import AskReasonReply, OpenFormReply, Pending, Refusal, Reply
from bot.operations.requests import BUTTON, Click, Invocation
from bot.operations.starts.confirm_roll_back import last_release
from bot.policy.decision import ANYTHING, READING, Act, button, place_of_target
from bot.policy.permission_table import BUTTONS
from bot.policy.permissions import WORKSPACE, is_direct
from bot.ports import OutcomeUnknown, StoreUnavailable, UnknownSchema
from bot.query import RollBackOf
from bot.releases.engine.queue import waits_behind
from bot.releases.engine.respond import is_in_window, respond
from bot.releases.facts.changes import Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import (
    Abort,
    Adopt,
    Approve,
    Finish,
    Pause,
    PersonsRequest,
    Promote,
    Reject,
    Resume,
)
from bot.request_id import current_work, request_id, working_for
from bot.tracing import describe, span

log = logging.getLogger(__name__)

ASK = "ask"
"""The button of a refusal: mention those who can."""
SHOWN = frozenset({"deploy", "apps", "pods", "releases", "release", "whoami", "help"})
_OF_RELEASE = re.compile(r"\S+-\d+( compare)?", re.ASCII)
OUTDATED = Refusal(
    "That button is from another version of Pilothouse.", "Use the latest card, or ask again."
)


@dataclass(frozen=True)
class _Carried:
    """The value of a button. Those of a card carry ``release`` and what they were drawn for, and
    Abort where it asks first; those of a reply a ``token``; those of the help ``what``."""

    release: str = ""
    gate: str = ""
    plan: str = ""
    step: str = ""
    front: str = ""
    asks: str = ""
    token: str = ""
    choice: str = ""
    what: str = ""


def handle_click(context: Context, click: Click) -> Reply:
    request = request_id(click.dedup_key)
    with working_for(request), span("click", of=request, begins=True):
        return _handled(context, click)


def _handled(context: Context, click: Click) -> Reply:
    try:
        if (stranger := refuse(context, click.person, ANYTHING)) is not None:
            record_decision(context, _asked(click, ANYTHING), stranger)
            return stranger
        carried = _read(click.value)
        if carried is None:
            return OUTDATED
        _log_request(click, carried)
        if carried.release:
            return answer_once(context, _identity(click), lambda: _of_card(context, click, carried))
        if click.action in _OF_REPLIES and (carried.token or carried.what):
            return answer_once(
                context,
                _identity(click) if click.action in _CHANGING else "",
                lambda: _OF_REPLIES[click.action](context, click, carried),
            )
        return OUTDATED
    except UnknownSchema as newer:
        return Refusal(str(newer), "Nothing was changed.")
    except OutcomeUnknown as away:
        return Refusal(str(away), MAY_BE_TAKEN)
    except StoreUnavailable as away:
        return Refusal(str(away), "Nothing was changed: try again in a moment.")


def _log_request(click: Click, carried: _Carried) -> None:
    """As of a command. Only names that a button of ours carries are written."""
    about = {"pilothouse.request": current_work().request, "pilothouse.user": click.person.user}
    describe(f"click {click.action}", about)
    log.info(
        "request=%s click=%s user=%s channel=%s release=%s slack=%s",
        current_work().request,
        click.action,
        click.person.user,
        click.channel,
        carried.release,
        click.dedup_key,
    )


def _identity(click: Click) -> str:
    """Slack gives each click its own time; a person clicks one button in one message with it."""
    if not click.dedup_key:
        return ""
    value = hashlib.sha256(click.value.encode()).hexdigest()[:16]
    return f"{click.dedup_key}:{click.person.user}:{value}"


def _read(value: str) -> _Carried | None:
    try:
        document = orjson.loads(value)  # unlike json, it refuses what is nested deeply
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    fields = {name: document.get(name, "") for name in _Carried.__dataclass_fields__}
    return _Carried(**fields) if all(isinstance(one, str) for one in fields.values()) else None


# --- buttons of a card ----------------------------------------------------------------------------


def _of_card(context: Context, click: Click, carried: _Carried) -> Reply:
    if click.action not in (*BUTTONS, ASK, *_AFTER):
        return Refusal(
            f"This version of Pilothouse does not know the button {click.action}.",
            "Use the latest card.",
        )
    try:
        release = context.store.load(carried.release)
    except KeyError:
        return Refusal(f"There is no release {carried.release} any more.")
    if click.action in _AFTER:
        return _AFTER[click.action](context, click, release)
    if click.action == ASK:
        refusal = refuse(context, click.person, READING)
        return refusal or ask_for_answer(context, release, click.person)
    asked = _asked(click, button(click.action), release, carried.plan)
    refusal = refuse(context, click.person, asked.act, thing=release)
    record_decision(context, asked, refusal)
    if refusal is not None:
        return refusal_with_names(context, release, click.action, refusal, click.person)
    if carried.front:
        return _of_queue(context, click, release, carried.front)
    groups = tuple(sorted(known_asker(context, click.person).groups))
    request, done = _request(click, carried, groups)
    form = None if click.was_asked_why else _form(context, release, request, carried.asks)
    if form is not None:
        return form
    reply = control_release(context, release.id, request, f"{release.id}: {done}")
    record_outcome(context, asked, reply)
    return reply


def _asked(click: Click, act: Act, release: Release | None = None, plan: str = "") -> Asked:
    """``plan``: the hash of the plan that the button was drawn for."""
    path, app = path_of_click(click), release.target.app if release else ""
    of = release.id if release else ""
    place = place_of_target(release.target) if release else WORKSPACE
    return Asked(click.person, act, path, click.channel, click.text, app, of, plan, place)


def _form(context: Context, release: Release, request: PersonsRequest, asks: str) -> Reply | None:
    """What a button asks before it acts. One that was confirmed before anything waited asks no
    second time: the queue is held then, and asks by itself."""
    if isinstance(request, Reject):
        in_vain = respond(release, request, context.store.now()).refusal
        # Nobody fills in a form for nothing.
        return Refusal(in_vain) if in_vain else AskReasonReply(release)
    if isinstance(request, Finish) and release.fleet is not None:
        in_vain = respond(release, request, context.store.now()).refusal
        return Refusal(in_vain) if in_vain else AskReasonReply(release, to_finish=True)
    if not isinstance(request, Abort) or asks == "card" or not _asks_first(release):
        return None
    waiting = _waiting_behind(context, release)
    return AskReasonReply(release, waiting, to_abort=True) if waiting or asks == "form" else None


def _of_queue(context: Context, click: Click, release: Release, front: str) -> Reply:
    """Buttons that name the release in front."""
    if click.action in ("resume", "abort"):
        return decide_queue(context, click, release.target, front)
    return _replace(context, click.person, release, front)


def _request(
    click: Click, carried: _Carried, groups: tuple[str, ...]
) -> tuple[PersonsRequest, str]:
    by, gate, moment = click.person, carried.gate, carried.step
    match click.action:
        case "approve":
            return Approve(by, gate, carried.plan, groups), "approved"
        case "promote" if gate:
            return Approve(by, gate, carried.plan, groups), "promoted"
        case "promote":
            return Promote(by, moment, groups), "continuing"
        case "reject":
            return Reject(by, gate, carried.plan, click.text), "rejected"
        case "pause":
            return Pause(by), "paused"
        case "resume":
            return Resume(by, moment), "continuing"
        case "finish":
            return Finish(by, moment, click.text), "finishing now"
        case "adopt":
            return Adopt(by, moment), "adopted"
        case _:
            at = moment or "card"
            return Abort(by, reason=click.text, at=at, then=click.then), "rolling back"


def _asks_first(release: Release) -> bool:
    """An emergency is not delayed by a question: then what waits is held."""
    is_over = release.phase.is_final or release.phase is Phase.QUEUED
    return not is_over and release.rollback is None and not is_in_window(release)


def _waiting_behind(context: Context, release: Release) -> tuple[Release, ...]:
    target = release.target
    active = context.store.active(target.app, target.cluster)
    return tuple(one for one in active if waits_behind(one, release))


def _replace(context: Context, by: Person, release: Release, front: str) -> Reply:
    """The release in front rolls back, so that this one follows. Its own state decides whether it
    can."""
    if release.phase is not Phase.QUEUED or release.queued_behind not in ("", front):
        return Refusal(f"{release.id} no longer waits for {front}.", "Use the latest card.")
    return control_release(
        context,
        front,
        Abort(by, reason=f"replaced by {release.id}", at="card", then="start"),
        f"{front} is rolling back; {release.id} follows",
    )


# --- buttons of a card that is over ---------------------------------------------------------------


def _undo(context: Context, click: Click, release: Release) -> Reply:
    """A worker sees whether anything else changed since."""
    last = last_release(context, release.target, release.id)
    if isinstance(last, Refusal):
        return last
    carried = _read(click.value)
    of = RollBackOf(
        release.id, release.channel, carried is not None and carried.step == "confirmed"
    )
    return ask_to_roll_back(context, click, release, of)


def _retry(context: Context, _click: Click, release: Release) -> Reply:
    """The form, filled in: it shows the plan before anything starts."""
    change, target = release.change, release.target
    app = context.catalog.find(target.app, target.cluster)
    if not isinstance(change, Deploy) or app is None:
        return Refusal(f"{release.id} cannot be repeated.", "Type its command again.")
    again = DeployCommand(
        target.app,
        change.version,
        change.strategy,
        None,
        change.steps,
        change.hold_ms,
        change.sticky,
        reason=release.reason,
    )
    return OpenFormReply(app.target.typed, again)


def _bring(context: Context, click: Click, release: Release) -> Reply:
    return refuse(context, click.person, READING) or bring_card(context, release)


_AFTER: Mapping[str, Callable[[Context, Click, Release], Reply]] = {
    "undo": _undo,
    "retry": _retry,
    "bring": _bring,
}


# --- buttons of a reply ---------------------------------------------------------------------------


def _confirm(context: Context, click: Click, carried: _Carried) -> Reply:
    """The second of two clicks finds nothing left to take."""
    try:
        query = take_query(context, "confirm", carried.token, click.person)
    except OfSomeoneElse:
        return Refusal("Only the person who typed the command may confirm it.")
    if query is None:
        return Refusal("That was done already, or is too old.", "Type the command again.")
    way_back = replace(query.reply_to, response_url=click.response_url)
    context.queue.ask(replace(query, reply_to=way_back))
    return Pending()


def _choose(context: Context, click: Click, carried: _Carried) -> Reply:
    if not carried.choice.isdecimal():
        return OUTDATED
    invocation = chosen_suggestion(context, click, carried.token, int(carried.choice))
    if not isinstance(invocation, Invocation):
        return invocation
    return handle_command(context, invocation)


def _show(context: Context, click: Click, carried: _Carried) -> Reply:
    """A button of the help: commands that only read, and the form of deploy, which asks before
    anything starts."""
    name, _, about = carried.what.partition(" ")
    apps = context.catalog.apps
    known = {"deploy": apps, "pods": apps, "help": BY_NAME}.get(name, ())
    is_known = about in known or (name == "release" and _OF_RELEASE.fullmatch(about))
    if name not in SHOWN or (about and not is_known):
        return Refusal(
            f"This version of Pilothouse does not know the button {carried.what}.",
            "Ask for help again.",
        )
    # The form then belongs to the button, as that of the home tab does.
    owns_form = name == "deploy" and is_direct(click.channel)
    return _run(context, click, carried.what, "" if owns_form else click.channel)


def _run(context: Context, click: Click, text: str, channel: str) -> Reply:
    """A command that a button stands for."""
    invocation = Invocation(
        click.person,
        channel,
        text,
        BUTTON,
        click.dedup_key,
        response_url=click.response_url,
        trigger_id=click.trigger_id,
    )
    return handle_command(context, invocation)


def _unfreeze(context: Context, click: Click, carried: _Carried) -> Reply:
    return _run(context, click, f"unfreeze {carried.what}", click.channel)


def _to_revision(context: Context, click: Click, carried: _Carried) -> Reply:
    if not (carried.choice.isdecimal() and carried.choice.isascii() and carried.plan):
        return OUTDATED
    revision = int(carried.choice[:9])
    return ask_to_roll_back_to(context, click, carried.what, revision, carried.plan)


def _set_notices(context: Context, click: Click, carried: _Carried) -> Reply:
    if carried.what not in get_args(Wish):
        return OUTDATED
    set_wish(context, click.person.user, cast(Wish, carried.what))
    return Pending()


_OF_REPLIES: Mapping[str, Callable[[Context, Click, _Carried], Reply]] = {
    "go_on": _confirm,
    "share": lambda context, click, carried: share_answer(context, click, carried.token),
    "file": lambda context, click, carried: ask_for_file(context, click, carried.token),
    "meant": _choose,
    "show": _show,
    "notices": _set_notices,
    "unfreeze": _unfreeze,
    "revision": _to_revision,
    "page": lambda _context, _click, _carried: Pending(),  # the listener draws the home tab anew
}
_CHANGING = ("go_on", "meant", "revision")
