"""Tables as Slack's table block, or as text where Slack refuses it: in columns if a phone shows
them unbroken, else a line of named values for each row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.ports import Message, Table
from bot.releases.assess.card_snapshot import pod_role
from bot.releases.facts.ages import moment
from bot.releases.facts.card_snapshot import POD_COLUMNS, pod_row
from bot.releases.facts.counts import counted
from bot.releases.facts.release import Release
from bot.slack.blocks.elements import (
    MAX_BLOCKS,
    Block,
    context,
    fitting,
    preformatted,
    section,
    top_text,
)
from bot.slack.markup import (
    DAY_AND_TIME,
    columns,
    cut,
    escape,
    moment_in,
    one_line,
    padded,
    plain,
    units,
    with_clocks,
)

MAX_ROWS = 100  # with the header
MAX_COLUMNS = 20
MAX_CHARACTERS = 10_000
MAX_CELL = 300
NOTE_LINES = 15
NOTHING = "nothing found"
_PREFORMATTED = 2_900
PHONE_COLUMNS = 36
_BRACKETED = re.compile(r"\A<([a-z]+)>\Z")


def table_message(tables: Sequence[Table]) -> Message:
    """One message: tables with the same columns become one with a column that names the group;
    others become text."""
    filled = [table for table in tables if table.rows]
    empty = [table for table in tables if not table.rows]
    lines = [f"*{plain(table.title, 200)}*: {plain(table.note or NOTHING, 300)}" for table in empty]
    text = [f"{table.title}: {table.note or NOTHING}" for table in empty]
    blocks: list[Block] = []
    if len(filled) > 1 and len({table.columns for table in filled}) == 1:
        filled = [_joined(filled)]
    if len(filled) == 1:
        table = filled[0]
        blocks.append(section(_head(table)))
        block, left_out = _table_block(table)
        blocks += [section("\n".join(lines))] if lines else []
        blocks += [context(_left_out(left_out))] if left_out else []
        blocks.append(block)
        text = [table.title, table.note, *aligned(table), *text]
    else:
        for table in filled:
            blocks += [section(_head(table)), *_as_text(table)]
            text = [*text, table.title, table.note, *aligned(table)]
        blocks += [section("\n".join(lines))] if lines else []
    if len(blocks) > MAX_BLOCKS:
        blocks = [
            *blocks[: MAX_BLOCKS - 1],
            context("More than one message can show. Ask for one app."),
        ]
    return Message(top_text(escape(line) for line in text) or NOTHING, tuple(blocks))


def _head(table: Table) -> str:
    lines = [plain(line, 300) for line in table.note.split("\n")[:NOTE_LINES]] if table.note else []
    return "\n".join([f"*{plain(table.title, 200)}*", *lines])


def aligned(table: Table) -> list[str]:
    """Columns padded to equal width in a fixed-width font, in which Slack shows no moment in each
    reader's zone: the header names the zone."""
    dated = {i for row in table.rows for i, cell in enumerate(row) if moment_in(cell) is not None}
    names = [
        f"{name.upper()} (UTC)" if i in dated else name for i, name in enumerate(table.columns)
    ]
    rows = [tuple(name.upper() for name in names), *table.rows]
    cells = [[_in_utc(one_line(cell)) or "-" for cell in row] for row in rows]
    widths = [
        max(columns(row[i]) for row in cells if i < len(row))
        for i in range(max(len(row) for row in cells))
    ]
    return [
        "  ".join(padded(cell, widths[i]) for i, cell in enumerate(row)).rstrip() for row in cells
    ]


def _in_utc(cell: str) -> str:
    return cell if moment_in(cell) is None else with_clocks(cell).removesuffix(" UTC")


def as_file(tables: Sequence[Table]) -> str:
    """Every row of every table, for a file."""
    parts = [
        [table.title, *table.note.split("\n"), "", *(aligned(table) if table.rows else ())]
        for table in tables
    ]
    return "\n\n".join("\n".join(part).rstrip() for part in parts) + "\n"


def without_tables(message: Message) -> Message:
    """The same message with each table block as text, for when Slack replies
    ``invalid_blocks``."""
    blocks: list[Block] = []
    for block in message.blocks:
        if block.get("type") != "table":
            blocks.append(block)
            continue
        rows = [tuple(row) for row in rows_of(block)]
        blocks += _as_text(Table("", rows[0], tuple(rows[1:])))
    return Message(message.text, tuple(blocks[:MAX_BLOCKS]), message.metadata)


def has_table(message: Message) -> bool:
    return any(block.get("type") == "table" for block in message.blocks)


def pods_table(release: Release, *, now: int) -> Table:
    """The pods and their images in the release's latest card snapshot."""
    has_both = len({pod.side for pod in release.card_snapshot.pods}) > 1
    rows = tuple(
        pod_row(pod_role(release, pod.side, is_new=pod.is_new, has_both=has_both), pod, now)
        for pod in release.card_snapshot.pods
    )
    more = release.card_snapshot.pods_total - len(rows)
    return Table(
        f"Pods of {release.target.label}",
        POD_COLUMNS,
        rows,
        f"and {more} more pods" if more > 0 else "",
    )


def _joined(tables: Sequence[Table]) -> Table:
    rows = tuple((table.title, *row) for table in tables for row in table.rows)
    notes = "; ".join(f"{table.title}: {table.note}" for table in tables if table.note)
    return Table(
        ", ".join(table.title for table in tables), ("group", *tables[0].columns), rows, notes
    )


def _table_block(table: Table) -> tuple[Block, int]:
    """(the block, rows left out)."""
    names = table.columns[:MAX_COLUMNS]
    rows = [[_cell(name.upper()) for name in names]]
    used = sum(units(text_of(cell)) for cell in rows[0])
    for row in table.rows:
        cells = [_cell(row[i] if i < len(row) else "") for i in range(len(names))]
        used += sum(units(text_of(cell)) for cell in cells)
        if len(rows) == MAX_ROWS or used > MAX_CHARACTERS:
            break
        rows.append(cells)
    return {"type": "table", "rows": rows}, len(table.rows) - (len(rows) - 1)


def _cell(text: str) -> Block:
    """A moment in each reader's zone. Without the brackets of kubectl's `<none>` and `<pending>`:
    some clients read them as markup and drop the word."""
    if (at_ms := moment_in(text)) is not None:
        date = {
            "type": "date",
            "timestamp": at_ms // 1000,
            "format": DAY_AND_TIME,
            "fallback": with_clocks(text),
        }
        section_ = {"type": "rich_text_section", "elements": [date]}
        return {"type": "rich_text", "elements": [section_]}
    return {"type": "raw_text", "text": cut(_BRACKETED.sub(r"\1", one_line(text)), MAX_CELL) or "-"}


def _as_text(table: Table) -> list[Block]:
    """In pieces that fit: at most 99 rows, then the number left out."""
    shown = replace(table, rows=table.rows[: MAX_ROWS - 1])
    lines = aligned(shown)
    if max(columns(line) for line in lines) <= PHONE_COLUMNS:
        blocks = [preformatted(piece) for piece in _pieces(lines)]
    else:
        blocks = [section(piece) for piece in _pieces(_named_values(shown))]
    left_out = max(0, len(table.rows) - (MAX_ROWS - 1))
    return blocks + ([context(_left_out(left_out))] if left_out else [])


def _named_values(table: Table) -> list[str]:
    """A line for each row: columns that break on a phone can no longer be read."""
    return [
        " · ".join(
            [
                f"• *{plain(one_line(row[0]) or '-', MAX_CELL)}*",
                *(
                    f"{plain(name.lower())} {plain(one_line(cell) or '-', MAX_CELL)}"
                    for name, cell in zip(table.columns[1:], row[1:], strict=False)
                ),
            ]
        )
        for row in table.rows
    ]


def _pieces(lines: Sequence[str]) -> list[str]:
    """What fits one block each."""
    pieces: list[list[str]] = [[]]
    size = 0
    for line in lines:
        shown = fitting(line, _PREFORMATTED)
        if size + units(shown) + 1 > _PREFORMATTED:
            pieces.append([])
            size = 0
        pieces[-1].append(shown)
        size += units(shown) + 1
    return ["\n".join(piece) for piece in pieces if piece]


def _left_out(count: int) -> str:
    return f"{counted(count, 'more row')} not shown"


def rows_of(block: Mapping[str, Any]) -> list[list[str]]:
    """The texts of a table block."""
    return [[text_of(cell) for cell in row] for row in block["rows"]]


def text_of(cell: Block) -> str:
    if cell["type"] != "rich_text":
        return str(cell["text"])
    return moment(cell["elements"][0]["elements"][0]["timestamp"] * 1000)
