"""The text of kubectl explain as rich text that flows: on a phone a fixed-width line of 76
characters breaks in the middle of words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.slack.blocks.elements import Block

# Spaces before a line of a description. Only a tree indents fields as far, and it has no
# descriptions.
_PROSE = 4
_BROKEN_AT = 76
_LINK = re.compile(r"(https?://[^\s<>\"`]*[^\s<>\"`.,;:)])")
_Element = dict[str, Any]


def explained(text: str) -> Block:
    """Descriptions become paragraphs; the head and a tree, whose lines are short, stay in fixed
    width."""
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
    """With --recursive: fields without descriptions."""
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
    """Joins the lines that kubectl broke for a terminal."""
    made: list[str] = []
    before = ""
    for line in (line.strip() for line in text.split("\n")):
        # The next word would have fitted, so the break is the author's.
        fitted = len(before) + 1 + len(line.partition(" ")[0]) <= _BROKEN_AT
        if line and (not before or fitted or line.startswith(("- ", "* "))):
            made.append(line)
        elif line:
            made[-1] += f" {line}"
        before = line
    return "\n".join(made)


def _fields(text: str) -> Iterator[_Element]:
    """Each field's name and type, its values, and its description."""
    prose: list[str] = []
    first = True
    for line in text.split("\n"):
        if line.startswith(" " * _PROSE) or not line.strip():
            prose.append(line)
            continue
        yield from _described(prose)
        name, tab, kind = line.strip().partition("\t")
        if tab:
            yield from () if first else (_words("\n"),)
            yield _words(name, code=True)
            yield _words(f" {kind}\n")
        else:  # "enum: …"
            yield _words(f"{name}\n", italic=True)
        first = False
    yield from _described(prose)


def _described(prose: list[str]) -> Iterator[_Element]:
    text = _paragraphs("\n".join(prose))
    prose.clear()
    if text:
        yield from _linked(f"{text}\n")


def _linked(text: str) -> Iterator[_Element]:
    """Addresses as short links: a whole address is wider than a phone."""
    for number, part in enumerate(_LINK.split(text)):
        if number % 2:
            yield {"type": "link", "url": part, "text": part.split("/")[2] or part}
        elif part:
            yield _words(part)
