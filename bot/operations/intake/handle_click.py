"""A button was clicked: who may, and is it still this release, this gate, this plan? The record
decides, not the button."""

from __future__ import annotations

import json

from bot.commands.table import BY_NAME
from bot.operations.access.refuse_stranger import refuse_stranger
from bot.operations.access.roles import known_roles
from bot.operations.context import Context
from bot.operations.intake.handle_command import handle_command
from bot.operations.intake.offer_suggestions import chosen_suggestion
from bot.operations.lifecycle.control_release import control_release
from bot.operations.queries.send_file import ask_for_file
from bot.operations.queries.share_answer import share_answer
from bot.operations.replies import AskReasonReply, Pending, Refusal, Reply
from bot.operations.requests import Click, Invocation
from bot.policy.approvals import refusal_to_approve
from bot.policy.permissions import Permission, refusal_of_role
from bot.ports import StoreUnavailable, UnknownSchema
from bot.releases.engine.respond import respond
from bot.releases.facts.people import Person
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import (
    Abort,
    Adopt,
    Approve,
    Finish,
    Pause,
    Promote,
    Reject,
    Request,
    Resume,
)

SHOWN = frozenset({"deploy", "apps", "pods", "releases", "whoami", "help"})
_PERMISSION = {
    "approve": Permission.APPROVE,
    "switch": Permission.APPROVE,
    "promote": Permission.APPROVE,
    "reject": Permission.APPROVE,
    "hold": Permission.DEPLOY,
    "pause": Permission.DEPLOY,
    "resume": Permission.DEPLOY,
    "abort": Permission.DEPLOY,
    "roll_back": Permission.DEPLOY,
    "finish": Permission.DEPLOY,
    "adopt": Permission.DEPLOY,
    "replace": Permission.DEPLOY,
}


def handle_click(context: Context, click: Click) -> Reply:
    """``click.action`` is the word of the table above; "go_on", "share", "file" and "meant" are
    about an answer (their value carries a token), "show" is a button of the help."""
    try:
        if (stranger := refuse_stranger(context, click.person)) is not None:
            return stranger
        carried = json.loads(click.value)
        action = click.action
        if action == "go_on":
            return _go_on(context, click, str(carried["token"]))
        if action == "share":
            return share_answer(context, click, str(carried["token"]))
        if action == "file":
            return ask_for_file(context, click, str(carried["token"]))
        if action == "meant":
            invocation = chosen_suggestion(context, click, carried)
            return (
                invocation
                if isinstance(invocation, Refusal)
                else handle_command(context, invocation)
            )
        if action == "show":
            return _show(context, click, str(carried["what"]))
        release_id, gate, plan_hash = (
            str(carried["release"]),
            str(carried.get("gate", "")),
            str(carried.get("plan", "")),
        )
        moment = str(carried.get("step", ""))
    except StoreUnavailable as away:
        return Refusal(str(away), "nothing was changed: try again in a moment")
    except (ValueError, KeyError, TypeError):
        return Refusal("that button is from another version of Pilothouse: use the newest card")
    permission = _PERMISSION.get(action)
    if permission is None:
        return Refusal(
            f"this version of Pilothouse does not know the button {action}: use the newest card"
        )
    try:
        release = context.store.load(release_id)
        roles = known_roles(context, click.person)
        if action in ("approve", "switch", "promote"):
            refusal = refusal_to_approve(release, click.person, roles)
        else:
            refusal = refusal_of_role(permission, roles)
        if refusal:
            return Refusal(refusal)
        if action == "replace":
            return _replace(context, click.person, release, str(carried.get("front", "")))
        request, done = _request(action, click.person, gate, plan_hash, moment, click.text)
        if isinstance(request, Reject) and not click.was_asked_why:
            in_vain = respond(
                release, request, context.store.now()
            ).refusal  # nobody fills in a form for nothing
            return Refusal(in_vain) if in_vain else AskReasonReply(release)
        return control_release(context, release_id, request, f"{release_id}: {done}")
    except KeyError:
        return Refusal(f"there is no release {release_id} any more")
    except UnknownSchema as newer:
        return Refusal(str(newer), "nothing was changed")
    except StoreUnavailable as away:
        return Refusal(str(away), "nothing was changed: try again in a moment")


def _request(
    action: str, by: Person, gate: str, plan_hash: str, moment: str, text: str
) -> tuple[Request, str]:
    match action:
        case "approve" | "switch":
            return Approve(by, gate, plan_hash), "approved"
        case "promote":
            return (
                (Approve(by, gate, plan_hash), "promoted")
                if gate
                else (Promote(by, moment), "goes on now")
            )
        case "reject":
            return Reject(by, gate, plan_hash, text), "rejected"
        case "hold" | "pause":
            return Pause(by), "paused"
        case "resume":
            return Resume(by, moment), "goes on"
        case "finish":
            return Finish(by, moment), "finishing now"
        case "adopt":
            return Adopt(by, moment), "adopted"
        case _:
            return Abort(by, reason=text), "being taken back"


def _replace(context: Context, by: Person, release: Release, front: str) -> Reply:
    """The one in front is taken back, so that this one follows. Its own state decides whether it
    can be."""
    if release.phase is not Phase.QUEUED or release.queued_behind not in ("", front):
        return Refusal(f"{release.id} does not wait for {front} any more: use the newest card")
    return control_release(
        context,
        front,
        Abort(by, reason=f"replaced by {release.id}"),
        f"{front} is being taken back; {release.id} follows",
    )


def _show(context: Context, click: Click, what: str) -> Reply:
    """A button of the help: only what reads, and the form of deploy, which asks before anything
    starts."""
    name, _, about = what.partition(" ")
    known = {"deploy": context.catalog.apps, "help": BY_NAME}.get(name, ())
    if name not in SHOWN or (about and about not in known):
        return Refusal(
            f"this version of Pilothouse does not know the button {what}: ask for help again"
        )
    invocation = Invocation(
        click.person,
        click.channel,
        what,
        "button",
        click.dedup_key,
        response_url=click.response_url,
        trigger_id=click.trigger_id,
    )
    return handle_command(context, invocation)


def _go_on(context: Context, click: Click, token: str) -> Reply:
    """The second of two clicks finds nothing left to take."""
    stored = context.store.take(f"confirm:{token}")
    if stored is None:
        return Refusal("that was done already, or is too old: type the command again")
    query = json.loads(stored)
    if query["person"]["user"] != click.person.user or query["person"]["team"] != click.person.team:
        context.store.put(f"confirm:{token}", stored, ttl_ms=600_000)
        return Refusal("only the one who typed the command may go on with it")
    context.queue.ask({**query, "confirmed": True, "response_url": click.response_url})
    return Pending()
