"""The message of a version that became worse after its release succeeded: why, before against
after, and the button that rolls back."""

from __future__ import annotations

from bot.commands.table import Names
from bot.operations.replies import WorsenedCard
from bot.ports import Message
from bot.slack.blocks.elements import actions, context, preformatted, section, top_text
from bot.slack.blocks.plain_card import SHOWN_EVIDENCE
from bot.slack.blocks.replies import roll_back_to
from bot.slack.blocks.words import change_words
from bot.slack.markup import code, escape, link, mention, plain


def worsened_message(card: WorsenedCard, names: Names) -> Message:
    release, cause = card.release, card.cause
    title = f"{change_words(release)} became worse after it succeeded"
    who = mention(release.requested_by.user)
    evidence = cause.evidence[:SHOWN_EVIDENCE]
    then = _then(card, names)
    head = f"❌ *{plain(title, 300)}*\n*Why:* {plain(cause.summary, 1_500)}\n{plain(card.compared)}"
    blocks = [section(head)]
    if evidence:
        blocks.append(preformatted("\n".join(line[:300] for line in evidence)))
    blocks.append(section(f"*Then:* {plain(then, 600)} {who}"))
    if card.roll_back is not None:
        blocks.append(actions([roll_back_to(card.roll_back)]))
    shown = link(card.card, f"Card of {release.id}") if card.card else code(release.id)
    blocks.append(context(shown))
    lines = [f"{title}: {cause.summary}", card.compared, *evidence]
    text = top_text([*(escape(line) for line in lines), f"{escape(then)} {who}"])
    return Message(text, tuple(blocks))


def _then(card: WorsenedCard, names: Names) -> str:
    typed = card.release.target.typed
    said = "Nothing is rolled back by itself."
    if card.roll_back is None:
        said = f"{said} To roll back: {names.typed('rollout')} undo {typed}."
    if card.locks_machines:
        clear = f'{names.typed("clear")} {typed} reason="…"'
        said = f"{said} Machines may not release it until a person clears it: {clear}"
    return said
