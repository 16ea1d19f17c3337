"""A command with more than one meaning, or a mistake with a near form: the valid commands are
offered as buttons.

A button never carries a command: it carries a token, and the commands wait in the store for the
person who typed.
"""

from __future__ import annotations

import json
from dataclasses import replace

from bot.commands.model import DeployCommand, Mistake, RolloutCommand
from bot.commands.parse import parse
from bot.commands.table import Names
from bot.operations.context import Context
from bot.operations.queries.known_versions import version_last_observed
from bot.operations.replies import OpenFormReply, Refusal
from bot.operations.requests import Click, Invocation
from bot.ports import StoreUnavailable

CHOSEN_WITHIN_MS = 1_800_000  # as long as Slack takes a reply to the click
OFFERED = 8


def offer_suggestions(context: Context, invocation: Invocation, mistake: Mistake) -> Refusal:
    if not mistake.instead:
        return Refusal(mistake.line, mistake.hint, field=mistake.field)
    token, meant = context.runtime.new_id(), mistake.instead[:OFFERED]
    asked = {
        "person": {"team": invocation.person.team, "user": invocation.person.user},
        "channel": invocation.channel,
        "command": invocation.command,
        "thread_ts": invocation.thread_ts,
        "meant": [one.text for one in meant],
        "in_form": [one.how == "form" for one in meant],
    }
    try:
        context.store.put(f"meant:{token}", json.dumps(asked), ttl_ms=CHOSEN_WITHIN_MS)
    except StoreUnavailable:
        # The line alone still says what to type.
        return Refusal(mistake.line, mistake.hint, field=mistake.field)
    names = context.names
    instead = tuple(
        replace(
            one,
            text=_typed(names, one.text),
            effect=_effect(context, one.text) if one.how == "confirm" else "",
        )
        for one in meant
    )
    return Refusal(mistake.line, mistake.hint, instead, token, field=mistake.field)


def _typed(names: Names, text: str) -> str:
    name, _, rest = text.partition(" ")
    return f"{names.typed(name)} {rest}".rstrip()


def _effect(context: Context, text: str) -> str:
    """What the command would change: the versions before and after, where they are known."""
    command = parse(text, context.catalog.known())
    named = None if isinstance(command, Mistake) else getattr(command, "app", None)
    found = context.catalog.find(named or "", getattr(command, "cluster", None))
    if found is None:
        return f"This runs {text}."
    target, app = found.target, found.target.app
    place = f"in {target.namespace} on {target.cluster}"
    now = version_last_observed(context, target)
    match command:
        case DeployCommand(version=version):
            return f"{app} {now} → {version}, {place}." if now else f"{app} → {version}, {place}."
        case RolloutCommand(verb="undo", to_revision=revision):
            to = f"revision {revision}" if revision else "the last good version"
            return f"{app} {now} → {to}, {place}." if now else f"{app} returns to {to}, {place}."
        case _:
            return f"This runs {text}, {place}."


def chosen_suggestion(
    context: Context, click: Click, token: str, choice: int
) -> Invocation | OpenFormReply | Refusal:
    """The command that a button stands for, as if it had been typed now, or the form filled with
    it. The second of two clicks finds nothing left to take."""
    stored = context.store.take(f"meant:{token}")
    if stored is None:
        return Refusal("That was chosen already, or is too old.", "Type the command again.")
    asked = json.loads(stored)
    if asked["person"] != {"team": click.person.team, "user": click.person.user}:
        context.store.put(f"meant:{token}", stored, ttl_ms=CHOSEN_WITHIN_MS)
        return Refusal("Only the person who typed the command may choose.")
    if choice >= len(asked["meant"]):
        return Refusal("That button offers nothing.", "Type the command again.")
    if choice < len(asked.get("in_form", ())) and asked["in_form"][choice]:
        return _filled_form(context, asked["meant"][choice])
    return Invocation(
        person=click.person,
        channel=asked["channel"],
        text=asked["meant"][choice],
        command=asked["command"],
        dedup_key=f"meant:{token}",
        response_url=click.response_url,
        trigger_id=click.trigger_id,
        thread_ts=asked["thread_ts"],
    )


def _filled_form(context: Context, text: str) -> OpenFormReply:
    command = parse(text, context.catalog.known())
    filled = command if isinstance(command, DeployCommand) else None
    if filled is None or filled.app is None:
        return OpenFormReply("", filled)
    app = context.catalog.find(filled.app, filled.cluster)
    return OpenFormReply(app.target.typed if app is not None else "", filled)
