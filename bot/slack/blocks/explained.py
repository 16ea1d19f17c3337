"""The text of kubectl explain as rich text that flows: on a phone a fixed-width line of 76
characters breaks in the middle of words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.slack.blocks.elements import Block

# spaces before a line of a description; kubectl's fields stand deeper only in a tree, which has no
# descriptions
_PROSE = 4
_BROKEN_AT = 76
_LINK = re.compile(r"(https?://[^\s<>\"`]*[^\s<>\"`.,;:)])")
_Element = dict[str, Any]


def explained(text: str) -> Block:
    """The head and a tree stay in fixed width, where their lines are short; descriptions become
    paragraphs."""
    head, _, rest = text.partition("\nDESCRIPTION:\n")
    description, _, fields = rest.partition("\nFIELDS:\n")
    containers = [_fixed(_narrow(head))]
    if prose := _paragraphs(description):
        containers.append({"type": "rich_text_section", "elements": list(_linked(prose))})
    if fields and not _is_tree(fields):
        containers.append(
            {
                "type": "rich_text_section",
                "elements": [_words("\nFIELDS:\n", bold=True), *_fields(fields)],
            }
        )
    elif fields:
        containers.append(_fixed(_narrow(fields)))
    return {"type": "rich_text", "elements": containers}


def _is_tree(fields: str) -> bool:
    """With --recursive: a field follows a field, and nothing tells what either is for."""
    deep = [line for line in fields.split("\n") if line.startswith(" " * _PROSE)]
    return not deep or any("\t<" in line for line in deep)


def _narrow(text: str) -> str:
    return (
        "\n".join(
            line.replace("\t", " ").rstrip()
            for line in text.strip("\n").split("\n")
            if line.strip()
        )
        or " "
    )


def _fixed(text: str) -> _Element:
    return {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]}


def _words(text: str, **style: bool) -> _Element:
    return (
        {"type": "text", "text": text, "style": style} if style else {"type": "text", "text": text}
    )


def _paragraphs(text: str) -> str:
    """Lines that were broken for a terminal are one again."""
    made: list[str] = []
    before = ""
    for line in (line.strip() for line in text.split("\n")):
        fitted = (
            len(before) + 1 + len(line.partition(" ")[0]) <= _BROKEN_AT
        )  # so it was not the terminal that broke it
        if line and (not before or fitted or line.startswith(("- ", "* "))):
            made.append(line)
        elif line:
            made[-1] += f" {line}"
        before = line
    return "\n".join(made)


def _fields(text: str) -> Iterator[_Element]:
    """Each field's name and type, its values, and what it is for."""
    prose: list[str] = []
    first = True
    for line in text.split("\n"):
        if line.startswith(" " * _PROSE) or not line.strip():
            prose.append(line)
            continue
        yield from _told(prose)
        name, tab, kind = line.strip().partition("\t")
        if tab:
            yield from () if first else (_words("\n"),)
            yield _words(name, code=True)
            yield _words(f" {kind}\n")
        else:  # "enum: …"
            yield _words(f"{name}\n", italic=True)
        first = False
    yield from _told(prose)


def _told(prose: list[str]) -> Iterator[_Element]:
    told = _paragraphs("\n".join(prose))
    prose.clear()
    if told:
        yield from _linked(f"{told}\n")


def _linked(text: str) -> Iterator[_Element]:
    """An address as a short link: it is longer than a phone is wide."""
    for number, part in enumerate(_LINK.split(text)):
        if number % 2:
            yield {"type": "link", "url": part, "text": part.split("/")[2] or part}
        elif part:
            yield _words(part)
