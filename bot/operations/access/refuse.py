"""May this person do it? What is known of them goes to the one decision (bot.policy.decision); a
denial becomes the line and the hint that the person reads."""

from __future__ import annotations

from bot.operations.access.roles import known_asker, learn_kind
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
from bot.releases.facts.people import Person

_HINTS = {
    Rule.WORKSPACE: "Nothing was started: try again in a moment.",
    Rule.IDENTITY: "Nothing was started: try again from a channel of this workspace.",
    Rule.STRANGER: "Ask someone of that workspace to do it with you.",
    Rule.FREEZE_WITHOUT_REASON: 'As an admin you may override the freeze: add reason="…".',
}


def refuse(
    context: Context, person: Person, act: Act, path: Path = POSTED, thing: Thing = None
) -> Refusal | None:
    """For the acknowledgement, from what is known. Raises StoreUnavailable for a Start."""
    denied = _denial(context, known_asker(context, person), act, thing, path)
    return None if denied is None else _worded(context, denied)


def refuse_reader(context: Context, person: Person, act: Act = READING) -> Refusal | None:
    """Outside a listener, which has the time to ask Slack what kind of account it is. Raises
    StoreUnavailable."""
    learn_kind(context, person)
    return refuse(context, person, act)


def takes_commands(context: Context, channel: str) -> bool:
    return denial_of_channel(READING, Path("typed", channel), context.catalog.access) is None


def denied_now(context: Context, asker: Asker, act: Act, thing: Thing = None) -> Denied | None:
    """For a worker, right before the effect. ``asker``: as Slack has them now, see asker_now."""
    return _denial(context, asker, act, thing, EFFECT)


def _denial(context: Context, asker: Asker, act: Act, thing: Thing, path: Path) -> Denied | None:
    now = context.store.now() if isinstance(thing, Start) else 0
    return denial(asker, act, thing, path, context.catalog.access, now)


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
            scope = denied.freeze.scope if denied.freeze else ""
            return Refusal(
                denied.line,
                "An admin may override it with a reason; to end it:"
                f" `{names.typed('unfreeze')} {scope}`.",
            )
        case _:
            return Refusal(denied.line, _HINTS.get(denied.rule, ""))
