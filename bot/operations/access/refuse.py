"""May this person do it? What is known of them goes to the one decision (bot.policy.decision); a
denial becomes the line and the hint that the person reads."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.roles import LAST_KNOWN_MS, known_asker, learn_kind
from bot.operations.context import Context
from bot.operations.replies import Refusal
from bot.policy.decision import (
    EFFECT,
    POSTED,
    READING,
    Act,
    Asker,
    Denied,
    Path,
    Rule,
    Start,
    Thing,
    denial,
    denial_of_channel,
)
from bot.policy.permissions import WORKSPACE
from bot.policy.reasons import LEAST_WORDS
from bot.releases.facts.people import Person

_HINTS = {
    Rule.WORKSPACE: "Nothing was started: try again in a moment.",
    Rule.IDENTITY: "Nothing was started: try again from a channel of this workspace.",
    Rule.STRANGER: "Ask someone of that workspace to do it with you.",
    Rule.FREEZE_WITHOUT_REASON: (
        f'As an admin you may override the freeze: add reason="…", {LEAST_WORDS} words or more.'
    ),
    Rule.EMERGENCY: "In an emergency an admin may, with a reason.",
    Rule.EMERGENCY_WITHOUT_REASON: (
        f'As an admin you may, in an emergency: add reason="…", {LEAST_WORDS} words or more.'
    ),
}


def refuse(
    context: Context, person: Person, act: Act, path: Path = POSTED, thing: Thing = WORKSPACE
) -> Refusal | None:
    """For the acknowledgement, from what is known. Raises StoreUnavailable for a Start."""
    denied = _denial(context, known_asker(context, person), act, thing, path)
    return None if denied is None else _refusal(context, denied)


def refuse_reader(
    context: Context, person: Person, act: Act = READING, thing: Thing = WORKSPACE
) -> Refusal | None:
    """Outside a listener, which has the time to ask Slack what kind of account it is; while Slack
    is away, as it was last known. Raises StoreUnavailable."""
    learn_kind(context, person)
    asker = known_asker(context, person, LAST_KNOWN_MS)
    denied = _denial(context, asker, act, thing, POSTED)
    return None if denied is None else _refusal(context, denied)


def takes_commands(context: Context, channel: str) -> bool:
    return denial_of_channel(READING, Path("typed", channel), context.catalog.access) is None


def denied_now(context: Context, asker: Asker, act: Act, thing: Thing) -> Denied | None:
    """For a worker, right before the effect. ``asker``: as Slack has them now, see asker_now."""
    return _denial(context, asker, act, thing, EFFECT)


def _denial(context: Context, asker: Asker, act: Act, thing: Thing, path: Path) -> Denied | None:
    now = context.store.now() if isinstance(thing, Start) else 0
    return denial(asker, act, thing, path, context.catalog.access, now)


def _refusal(context: Context, denied: Denied) -> Refusal:
    return replace(_worded(context, denied), rule=denied.rule.value)


def _worded(context: Context, denied: Denied) -> Refusal:
    names = context.names
    match denied.rule:
        case Rule.CHANNEL:
            channels = sorted(context.catalog.access.channels)
            hint = f"Use {', '.join(f'<#{channel}>' for channel in channels)}."
            return Refusal(denied.line, hint, field="app")
        case Rule.ROLE:
            return Refusal(denied.line, f"See `{names.typed('whoami')}`.", field="app")
        case Rule.FREEZE:
            freeze = denied.freeze
            hint = "An admin may override it with a reason"
            if freeze is None or freeze.of_catalog:
                return Refusal(denied.line, f"{hint}; it is a window of the catalog.")
            lift = f"`{names.typed('unfreeze')} {freeze.scope}`"
            return Refusal(denied.line, f"{hint}; to end it: {lift}.")
        case Rule.LOCKED:
            clear = f'`{names.typed("clear")} {denied.app} reason="…"`'
            return Refusal(denied.line, f"A person clears that in Slack: {clear}.")
        case Rule.STRATEGY | Rule.EMERGENCY | Rule.EMERGENCY_WITHOUT_REASON:
            return Refusal(denied.line, _HINTS.get(denied.rule, ""), field="strategy")
        case _:
            return Refusal(denied.line, _HINTS.get(denied.rule, ""))
