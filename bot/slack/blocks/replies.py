"""The reply to a typed command or a click."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from bot.commands.help import help_entry, overview
from bot.commands.model import Suggestion
from bot.commands.table import BY_NAME, UMBRELLA, Names
from bot.operations.replies import (
    AskReasonReply,
    CardLink,
    ComparisonReply,
    ConfirmReply,
    DocumentReply,
    FreezeReply,
    HelpReply,
    ListingReply,
    OpenFormReply,
    Pending,
    PlanReply,
    Receipt,
    Refusal,
    Reply,
    RollBackTo,
    StoryReply,
    TableReply,
    TextReply,
    WhoamiReply,
)
from bot.ports import Message
from bot.releases.facts.release import Release
from bot.slack.blocks.approvals import MAX_MENTIONS
from bot.slack.blocks.buttons import (
    ACTION_PREFIX,
    SHOW,
    replace_button,
    roll_back_button,
    show_button,
)
from bot.slack.blocks.elements import (
    MAX_BLOCKS,
    Block,
    actions,
    button,
    context,
    menu,
    preformatted,
    section,
    top_text,
)
from bot.slack.blocks.explained import explained
from bot.slack.blocks.freezes import freeze_message
from bot.slack.blocks.plan import plan_message
from bot.slack.blocks.story import compared, story_message
from bot.slack.blocks.tables import table_message
from bot.slack.blocks.words import MARKS, change_words, phase_words, uncapitalised
from bot.slack.markup import (
    age,
    code,
    cut,
    date,
    escape,
    escaped,
    link,
    mention,
    plain,
    with_clocks,
)

_CHANNEL = re.compile(r"&lt;#([CG][A-Z0-9]{2,})&gt;")
DOCUMENT_SHOWN = 2_800
LISTED = 20
CONFIRM = f"{ACTION_PREFIX}go_on"
ASK = f"{ACTION_PREFIX}ask"
BRING = f"{ACTION_PREFIX}bring"
TO_REVISION = f"{ACTION_PREFIX}revision"
SHARE = f"{ACTION_PREFIX}share"
FILE = f"{ACTION_PREFIX}file"
SUGGESTION = f"{ACTION_PREFIX}meant"
_PARTS = (
    ("Release", ("deploy", "scale", "rollout", "apply")),
    ("Inspect", ("pods", "get", "traffic", "releases", "release", "apps", "explain")),
    ("Freeze, and get help", ("freeze", "unfreeze", "clear", "whoami", "help")),
)


def reply_message(reply: Reply, *, names: Names, apps: Sequence[str], now: int) -> Message:
    match reply:
        case TextReply() | AskReasonReply() | Pending():
            return notice(_line_of(reply))
        case Refusal():
            return _refusal(reply)
        case Receipt():
            return _receipt(reply)
        case TableReply() | DocumentReply() | PlanReply() | ListingReply():
            file = reply.file if isinstance(reply, TableReply) else ""
            return _with_share(_found(reply, now), reply.share, file)
        case StoryReply() | ComparisonReply():
            told = story_message(reply, now) if isinstance(reply, StoryReply) else compared(reply)
            return _with_share(told, reply.share)
        case HelpReply() | OpenFormReply():
            return _about_commands(reply, names, apps)
        case WhoamiReply():
            return _whoami(reply)
        case FreezeReply():
            return freeze_message(reply)
        case ConfirmReply():
            return _confirm(reply)
        case _ as never:
            assert_never(never)


def _line_of(reply: TextReply | AskReasonReply | Pending) -> str:
    match reply:
        case TextReply(line=line):
            return line
        case AskReasonReply(release=release, to_abort=True):
            return f"Abort {release.id}?"
        case AskReasonReply(release=release, to_finish=True):
            return f"Why does {release.id} end here?"
        case AskReasonReply(release=release):
            return f"Why do you reject {release.id}?"
        case Pending():
            return "Working on it…"


def _found(reply: TableReply | DocumentReply | PlanReply | ListingReply, now: int) -> Message:
    """The result of a query, which can be shared with the channel."""
    match reply:
        case TableReply(tables=tables, cards=cards, roll_backs=roll_backs):
            return _with_roll_backs(_with_cards(table_message(tables), cards), roll_backs)
        case DocumentReply():
            return _document(reply)
        case PlanReply(release=release, plan=plan):
            return plan_message(release, plan)
        case ListingReply(title=title, releases=releases):
            return _listing(title, releases, now)


def _with_cards(message: Message, cards: Sequence[CardLink]) -> Message:
    shown = [_card_line(one) for one in cards[: max(0, MAX_BLOCKS - 1 - len(message.blocks))]]
    text = top_text(
        [message.text, *(f"Card of {one.release_id}: {escape(one.address)}" for one in cards)]
    )
    return replace(message, text=text, blocks=(*message.blocks, *shown)) if cards else message


def _with_roll_backs(message: Message, rows: Sequence[RollBackTo]) -> Message:
    if not rows or len(message.blocks) >= MAX_BLOCKS - 1:
        return message
    buttons = [roll_back_to(one) for one in rows]
    return replace(message, blocks=(*message.blocks, actions(buttons)))


def roll_back_to(one: RollBackTo) -> Block:
    """Always confirmed: nothing says that it is an emergency."""
    value = {"what": one.app, "choice": str(one.revision), "plan": one.state}
    title = f"Roll back {one.app} to {one.version}?"
    text = f"{one.app} {one.from_version} → {one.version}, as in revision {one.revision}."
    confirm = (title, text, "Roll back")
    label = f"Roll back to {one.version} ({one.revision})"
    action = f"{TO_REVISION}:{one.revision}"
    return button(label, action, value, confirm=confirm)


def _card_line(card: CardLink) -> Block:
    bring = button("Bring its card down", BRING, {"release": card.release_id})
    line = f"{link(card.address, card.release_id)} · {plain(card.state, 100)}"
    return section(line, accessory=bring)


def _about_commands(reply: HelpReply | OpenFormReply, names: Names, apps: Sequence[str]) -> Message:
    if isinstance(reply, HelpReply):
        return (
            _help(names, apps) if reply.command is None else _help_for(reply.command, names, apps)
        )
    example = names.example("deploy", reply.app or (apps[0] if apps else "APP"))
    refusal = _refusal(Refusal("Which version?", example))
    to_form = show_button("Open the form", f"deploy {reply.app}".rstrip(), style="primary")
    return replace(refusal, blocks=(*refusal.blocks, actions([to_form])))


def _with_share(message: Message, token: str, file: str = "") -> Message:
    buttons = [button("Share here", SHARE, {"token": token})] if token else []
    buttons += [button("Send all as a file", FILE, {"token": file})] if file else []
    if not buttons or len(message.blocks) >= MAX_BLOCKS:
        return message
    return replace(message, blocks=(*message.blocks, actions(buttons)))


def reply_text(text: str, limit: int = 2_800) -> str:
    """A line from an operation, escaped; its `code` and its channels still work."""
    return _CHANNEL.sub(r"<#\1>", escaped(text, limit))


def notice(line: str) -> Message:
    shown = reply_text(line)
    return Message(with_clocks(shown), (section(shown),))


def _refusal(refusal: Refusal) -> Message:
    line, hint = refusal.line, refusal.hint
    shown = f"⚠️ {reply_text(line, 1_800)}"
    if refusal.instead:
        buttons = [
            _suggestion(one, refusal.token, number) for number, one in enumerate(refusal.instead)
        ]
        choices = escape(", ".join(one.text for one in refusal.instead))
        text = top_text([reply_text(line, 1_800), f"Choose one: {choices}"])
        return Message(text, (section(shown), actions(buttons)))
    form = reply_text(hint, 1_000)
    if refusal.who:
        return _refusal_with_names(refusal, shown)
    if hint:
        shown += (
            f"\nTry: {code(hint, 1_000)}"
            if hint.startswith(("/", "@")) and "`" not in hint
            else f"\n{form}"
        )
    return Message(top_text([reply_text(line, 1_800), form]), (section(shown),))


def _refusal_with_names(refusal: Refusal, shown: str) -> Message:
    who = ", ".join(mention(one) for one in refusal.who[:MAX_MENTIONS])
    more = f" and {len(refusal.who) - MAX_MENTIONS} more" * (len(refusal.who) > MAX_MENTIONS)
    can = f"They can: {who}{more}."
    blocks: list[Block] = [section(f"{shown} {can}")]
    if refusal.ask:
        blocks.append(actions([button("Ask them", ASK, {"release": refusal.ask})]))
    return Message(top_text([f"{reply_text(refusal.line, 1_800)} {can}"]), tuple(blocks))


def _suggestion(suggestion: Suggestion, token: str, number: int) -> Block:
    # Slack requires a distinct name for each action of a block.
    action, value = f"{SUGGESTION}:{number}", {"token": token, "choice": str(number)}
    if suggestion.how == "form":
        return button(f"Open the form: {suggestion.text}", action, value)
    confirm = ("Run this command?", suggestion.effect, "Run it")
    return button(
        suggestion.label or suggestion.text,
        action,
        value,
        confirm=confirm if suggestion.how == "confirm" else None,
    )


def _receipt(receipt: Receipt) -> Message:
    release, what = receipt.release, change_words(receipt.release)
    place = f" Its card is in <#{escape(release.channel)}>." if receipt.elsewhere else ""
    if receipt.fresh:
        line = f"{escaped(what, 1_000)}: started as {escape(release.id)}.{place}"
        shown = f"🚢 *{plain(what, 300)}*: started as {code(release.id)}.{place}"
    else:
        line = (
            f"{escaped(what, 1_000)} already runs as {escape(release.id)}:"
            f" {escape(phase_words(release))}. Nothing new was started."
        )
        shown = (
            f"ℹ️ *{plain(what, 300)}* already runs as {code(release.id)}:"
            f" {plain(phase_words(release), 300)}. Nothing new was started."
        )
        if receipt.card:
            shown += f" {link(receipt.card, 'See its card')}."
        elif release.channel:
            shown += f" Its card is in <#{escape(release.channel)}>."
    if not receipt.behind:
        return Message(line, (section(shown),))
    waits = f"It waits for {receipt.behind}."
    blocks = (
        section(f"{shown} {plain(waits, 200)}"),
        actions([replace_button(release, receipt.behind)]),
    )
    return Message(f"{line} {escape(waits)}", blocks)


def _document(document: DocumentReply) -> Message:
    shown = cut(document.text, DOCUMENT_SHOWN)
    blocks: list[Block] = [section(f"*{plain(document.title, 200)}*")]
    blocks.append(explained(shown) if document.explains else preformatted(shown))
    if shown != document.text:
        blocks.append(context("The full text is in your direct messages with this app."))
    return Message(top_text([escape(document.title), escaped(document.text, 3_000)]), tuple(blocks))


def _help(names: Names, apps: Sequence[str]) -> Message:
    """Short enough for a phone: what each command is for. Choosing one shows its usage."""
    app = apps[0] if apps else "APP"
    first = [names.example("deploy", app), names.example("pods", app)]
    blocks: list[Block] = [
        section(
            "*Pilothouse releases software on Kubernetes.* Type a command or press a button:\n"
            + "\n".join(f"• {code(line)}" for line in first)
        ),
        actions(
            [
                show_button("Release an app", "deploy", style="primary"),
                show_button("Pods", "pods"),
                show_button("Apps", "apps"),
                show_button("Releases", "releases"),
                show_button("Who am I?", "whoami"),
            ]
        ),
    ]
    for title, commands in _PARTS:
        lines = [
            f"{code(names.typed(name), 100)} {plain(uncapitalised(BY_NAME[name].summary))}"
            for name in commands
        ]
        blocks.append(section(f"*{title}*\n" + "\n".join(lines)))
    topics = [
        (names.typed(name), json.dumps({"what": f"help {name}"}))
        for _, commands in _PARTS
        for name in commands
    ]
    blocks.append(actions([menu("More about a command", f"{SHOW}:topic", topics)]))
    also = code(f"/{names.prefix}{UMBRELLA} COMMAND")
    blocks.append(
        context(f"Every command also works as {also} and as a mention of the app, even in threads.")
    )
    text = [
        "Pilothouse releases software on Kubernetes.",
        *(f"{usage}: {summary}" for usage, summary in overview(names)),
    ]
    return Message(top_text(escape(line) for line in text), tuple(blocks))


def _help_for(command: str, names: Names, apps: Sequence[str]) -> Message:
    entry = help_entry(command, names, apps[0] if apps else "APP")
    parts = [code(entry.usage, 400), plain(entry.summary)]
    parts += [f"• {plain(line, 400)}" for line in entry.details]
    parts += ["*Examples*", *(code(line) for line in entry.examples)]
    foot = f"{entry.seen_by} Who may use it: {entry.who}."
    text = [entry.usage, entry.summary, *entry.details, "Examples:", *entry.examples, foot]
    more = [show_button("Open the form", "deploy", style="primary")] if command == "deploy" else []
    blocks = (
        section("\n".join(parts)),
        actions([*more, show_button("All commands", "help")]),
        context(plain(foot)),
    )
    return Message(top_text(escape(line) for line in text), blocks)


def _whoami(who: WhoamiReply) -> Message:
    here = (
        "This channel accepts commands."
        if who.channel_allowed
        else "This channel does not accept commands."
    )
    facts = [
        ("User", who.person.user),
        ("Workspace", who.person.team),
        ("User groups", ", ".join(who.groups) or "none"),
        ("Roles", ", ".join(who.roles) or "none"),
        *((f"Roles in {app}", ", ".join(roles) or "none") for app, roles in who.elsewhere),
        ("Channel", who.channel),
    ]
    lines = [f"*{name}:* {code(value, 500)}" for name, value in facts]
    blocks = (
        section("\n".join([mention(who.person.user), *lines, here])),
        section("An admin grants you more with this line in the catalog:"),
        preformatted(who.grant_line),
    )
    text = [f"{name}: {value}" for name, value in facts]
    return Message(
        top_text(escape(line) for line in [*text, here, f"To grant more: {who.grant_line}"]), blocks
    )


def _confirm(confirm: ConfirmReply) -> Message:
    body = "\n".join(confirm.lines)
    shown = cut(body, DOCUMENT_SHOWN)
    blocks: list[Block] = [section(f"*{plain(confirm.title, 300)}*")]
    blocks += [preformatted(shown)] if body else []
    blocks += [context("Further lines are not shown.")] if shown != body else []
    go_ahead = button(confirm.action, CONFIRM, {"token": confirm.token}, style="primary")
    if confirm.roll_back:
        go_ahead = roll_back_button(confirm.roll_back, confirmed=True)
    blocks.append(actions([go_ahead]))
    text = [confirm.title, *confirm.lines, f"To continue, press {confirm.action}."]
    return Message(top_text(escape(line) for line in text), tuple(blocks))


def _listing(title: str, releases: Sequence[Release], now: int) -> Message:
    if not releases:
        return notice(f"{title}: none yet")
    lines, text = [], [title]
    for release in releases[:LISTED]:
        when = date(release.created_at, "{date_short_pretty} {time}")
        words = f"{change_words(release)} · {phase_words(release)}"
        lines.append(
            f"{MARKS[release.phase]} {code(release.id)} {plain(words, 300)} ·"
            f" {mention(release.requested_by.user)} · {when}"
        )
        text.append(f"{release.id}: {words}, {age(now - release.created_at)} ago")
    if len(releases) > LISTED:
        lines.append(f"and {len(releases) - LISTED} more")
    half = (len(lines) + 1) // 2
    chunks = [lines] if len(lines) <= 5 else [lines[:half], lines[half:]]
    blocks = (section(f"*{plain(title, 200)}*"), *(section("\n".join(chunk)) for chunk in chunks))
    return Message(top_text(escape(line) for line in text), blocks)
