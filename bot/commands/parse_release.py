"""Which release a person means: its id, a link to its card, or the last one of an app."""

from __future__ import annotations

import re

from bot.commands.model import Command, Mistake, ReleaseCommand
from bot.commands.reading import Line, app_named, mistake_about_app, no_more

_ID = re.compile(r"[a-z0-9][a-z0-9.-]*-\d{1,9}", re.ASCII | re.IGNORECASE)
_LINK = re.compile(
    r"https?://[^/\s]+/archives/(?P<channel>[A-Z0-9]{2,30})/p(?P<at>\d{10})(?P<part>\d{6})"
    r"(?:\?(?P<query>\S*))?",
    re.ASCII,
)
_PARENT = re.compile(r"(?:\A|&)thread_ts=(\d{10}\.\d{6})(?:&|\Z)", re.ASCII)
"""What the link to a reply names beside it: the message that it replies to."""


def parse_release(line: Line) -> Command | Mistake:
    positional = list(line.words.positional)
    compare = "compare" in line.words.options
    if not positional:
        if line.only_app is not None:
            return ReleaseCommand(app=line.only_app, compare=compare)
        example = f"{next(iter(line.here or line.apps), 'hello')}-42"
        return Mistake(
            f"Which release? Name one, such as `{example}`, or paste a link to its card.",
            f"{line.names.typed('release')} {example}",
        )
    word = positional.pop(0)
    if (link := _LINK.fullmatch(word)) is not None:
        parent = _PARENT.search(link["query"] or "")
        ts = parent[1] if parent else f"{link['at']}.{link['part']}"
        return no_more(line, positional) or ReleaseCommand(
            card=f"{link['channel']}/{ts}", compare=compare
        )
    if (app := app_named(line, word)) is not None:
        return _of_app(line, app, positional, compare)
    if _ID.fullmatch(word):
        name, _, number = word.rpartition("-")
        known = app_named(line, name) or name.lower()
        return no_more(line, positional) or ReleaseCommand(f"{known}-{number}", compare=compare)
    return mistake_about_app(line, word)


def _of_app(line: Line, app: str, more: list[str], compare: bool) -> Command | Mistake:
    if more:
        form = f"{line.names.typed('deploy')} {app} {' '.join(more)}"
        return Mistake(f"To release a version: `{form}`", form, ("release", ("deploy",)))
    return ReleaseCommand(app=app, compare=compare)
