"""The banner of a freeze: until when, who, why, and the button that lifts it."""

from __future__ import annotations

from bot.operations.replies import FreezeReply
from bot.policy.freezes import Freeze
from bot.ports import Message
from bot.slack.blocks.buttons import ACTION_PREFIX
from bot.slack.blocks.elements import Block, actions, button, context, section
from bot.slack.markup import date, escape, escaped, mention, plain, with_clocks

UNFREEZE = f"{ACTION_PREFIX}unfreeze"


def _still_works(freeze: Freeze) -> str:
    running = "Running releases continue"
    if freeze.running == "hold":
        running = "Running releases hold before their next step; an abort rolls them back"
    return f"{running}, and undo still works; new releases need an admin and a reason."


def freeze_message(reply: FreezeReply) -> Message:
    freeze = reply.freeze
    if reply.over:
        text = f"{freeze.scope} is no longer frozen: {reply.over}"
        shown = f"*{plain(freeze.scope)} is no longer frozen*: {plain(reply.over, 200)}"
        was = context(f"It was frozen by {mention(freeze.by.user)}: {plain(freeze.reason, 500)}")
        return Message(with_clocks(escaped(text, 3_000)), (section(f"✅ {shown}"), was))
    ends = f" until {freeze.ends}" if freeze.until is not None else ""
    note = f" ({reply.note})" if reply.note else ""
    text = f"{freeze.scope} is frozen{ends}: {freeze.reason}{note}. {_still_works(freeze)}"
    blocks = (
        section(freeze_line(freeze, reply.note)),
        actions([unfreeze_button(freeze)]),
        context(_still_works(freeze)),
    )
    return Message(with_clocks(escape(text)), blocks)


def freeze_line(freeze: Freeze, note: str = "") -> str:
    until = freeze.until
    ends = f"until {date(until, '{date_short_pretty} {time}')}" if until else "until it is lifted"
    more = f" ({plain(note, 200)})" if note else ""
    who = "the catalog" if freeze.of_catalog else mention(freeze.by.user)
    why = f"{who}: {plain(freeze.reason, 500)}{more}"
    return f"🧊 *{plain(freeze.scope)} is frozen* {ends}\n{why}"


def unfreeze_button(freeze: Freeze) -> Block:
    what = f"New releases of {freeze.scope} may start again."
    return button(
        "Unfreeze",
        UNFREEZE,
        {"what": freeze.scope},
        confirm=(f"Unfreeze {freeze.scope}?", what, "Unfreeze"),
    )
