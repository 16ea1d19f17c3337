"""Undoes what keyboards and Slack do to typed text, before parsing.

Phones write curly quotes and turn ``--`` into a dash; Slack turns an image into a link, escapes ``&
< >``, and writes people, channels and broadcasts in angle brackets.
"""

from __future__ import annotations

import re

MOST_CHARACTERS = 40_000
"""Of one message of Slack (docs.slack.dev, chat.postMessage: truncating content)."""

_DOUBLE = str.maketrans(dict.fromkeys("“”„‟«»〝〞＂", '"') | dict.fromkeys("‘’‚‛＇", "'"))
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\t\r\n]+")
_INVISIBLE = re.compile(r"[\u200b\u2060\ufeff]")
_HYPHEN = re.compile(r"[\u2010\u2011\ufe63\uff0d]")
_DASH_IN_A_WORD = re.compile(r"(?<=[\w-])[‒–—―﹘−－](?=[\w-])")
_OUTSIDE_QUOTES = re.compile(r'[^"]+|"[^"]*"?')
_LONG_DASH = re.compile(r"(?:(?<=\s)|\A)[‒–—―﹘−－]{1,2}(?=[A-Za-z])")
_BRACKETS = re.compile(r"<([^<>\s][^<>]*)>")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_DIRECTION_MARKS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def normalise(text: str) -> str:
    """One line, plain quotes and dashes, Slack's markup resolved to what was typed."""
    text = _BRACKETS.sub(_unlinked, text)
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = _INVISIBLE.sub("", text.translate(_DOUBLE))
    text = _SPACES.sub(" ", text)
    text = "".join(
        part if part.startswith('"') else _DASH_IN_A_WORD.sub("-", _HYPHEN.sub("-", part))
        for part in _OUTSIDE_QUOTES.findall(text)
    )
    return _LONG_DASH.sub("--", text).strip()


def _unlinked(match: re.Match[str]) -> str:
    """``<http://gcr.io/a:1|gcr.io/a:1>`` was typed ``gcr.io/a:1``; ``<@U1|ann>`` stays ``<@U1>``;
    ``<!channel>`` is ``@channel``."""
    target, bar, label = match.group(1).partition("|")
    if target.startswith("@"):
        return f"<{target}>"
    if target.startswith("#"):
        return f"#{label}" if label else target
    if target.startswith("!"):
        return label if bar and label else f"@{target[1:].partition('^')[0]}"
    if bar and label:
        return label
    return re.sub(r"\A(?:mailto:|tel:)", "", target)


def plain_word(word: str) -> str:
    """A word without the marks that copying adds: backticks and direction marks."""
    return word.strip(_DIRECTION_MARKS).strip("`").strip(_DIRECTION_MARKS)


def without_mention(text: str, user: str) -> str:
    """The text around the bot's mention."""
    text = text[:MOST_CHARACTERS]
    return re.sub(rf"<@{re.escape(user)}(?:\|[^<>]*)?>[,:]?", " ", text).strip()
