"""Slack's encoding of a typed line: mentions become tokens, the rest is escaped; and the way back
to plain text."""

from __future__ import annotations

import re

from sandbox.slack.workspace import Workspace

_TOKEN = re.compile(
    r"<(?:@[UW][A-Z0-9]+|#C[A-Z0-9]+|!subteam\^S[A-Z0-9]+|!date\^[^>]*|https?://[^>\s]+)(?:\|[^>]*)?>"
)
_URL = re.compile(r"https?://[^\s<>|]+")


def format_typed(text: str, workspace: Workspace) -> str:
    """Tokens that the page or a test typed stay; `@handle`, `#channel` and URLs become tokens; `&`,
    `<`, `>` are escaped."""
    out: list[str] = []
    position = 0
    for token in _TOKEN.finditer(text):
        out.append(_format_words(text[position : token.start()], workspace))
        out.append(token.group())
        position = token.end()
    out.append(_format_words(text[position:], workspace))
    return "".join(out)


def _format_words(text: str, workspace: Workspace) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _URL.sub(lambda match: f"<{match.group()}>", escaped)
    for pattern, token in _mention_patterns(workspace):
        escaped = pattern.sub(token, escaped)
    return escaped


def _mention_patterns(workspace: Workspace) -> list[tuple[re.Pattern[str], str]]:
    names: list[tuple[str, str]] = []
    for person in workspace.people.values():
        names += [
            (f"@{person.name}", f"<@{person.id}>"),
            (f"@{person.real_name}", f"<@{person.id}>"),
        ]
    names += [(f"@{group.handle}", f"<!subteam^{group.id}>") for group in workspace.groups.values()]
    names += [
        (f"#{place.name}", f"<#{place.id}>")
        for place in workspace.conversations.values()
        if not place.is_im
    ]
    names += [(f"@{word}", f"<!{word}>") for word in ("here", "channel", "everyone")]
    names.sort(key=lambda pair: -len(pair[0]))
    return [
        (re.compile(rf"(?<![\w<@#/]){re.escape(name)}(?![\w-])", re.IGNORECASE), token)
        for name, token in names
    ]


def mentions(text: str, user_id: str) -> bool:
    return re.search(rf"<@{re.escape(user_id)}(?:\|[^>]*)?>", text) is not None
