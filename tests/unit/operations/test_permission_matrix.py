"""The matrix beside this file, written by hand, compared cell by cell with what the bot does: from
the request to its effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.operations.replies import Reply
from bot.policy.freezes import Freeze
from bot.policy.permission_table import BUTTONS
from tests.unit.operations import test_who_may_what as people
from tests.variations import quick

PATHS = {
    "S": "slash",
    "M": "mention",
    "T": "thread",
    "D": "direct message",
    "G": "suggestion",
    "F": "form",
    "H": "form of the home tab",
    "B": "button",
}
TYPED, FORMS = "SMTDG", "FH"
KINDS = {
    "viewer": ("viewer",),
    "deployer": ("deployer",),
    "approver": ("approver",),
    "admin": ("admin",),
    "norole": ("guest", "deactivated", "nonexistent"),
    "stranger": ("of a foreign team", "without a team"),
}
DENIED = (people.DENIED.pattern, "(?<!🧊 )all is frozen by", "An admin froze")
TEXTS = {
    "deploy-with-reason": 'deploy hello 2.0.0 reason="customers cannot pay"',
    "unfreeze-all": "unfreeze all",
}


@dataclass(frozen=True)
class Row:
    act: str
    is_own: bool
    is_frozen: bool
    cells: tuple[str, ...]  # the paths, in the order of KINDS

    @property
    def paths(self) -> str:
        if self.act in BUTTONS:
            return "B"
        return TYPED + (FORMS if self.act.startswith("deploy") else "")

    @property
    def expected(self) -> set[tuple[str, str]]:
        return {
            (path, kind)
            for cell, kinds in zip(self.cells, KINDS.values(), strict=True)
            for path in cell.strip("-")
            for kind in kinds
        }


def rows() -> Iterator[Row]:
    text = (Path(__file__).parent / "permissions.matrix").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        act, whose, when, *cells = line.split()
        for is_own in (False, True) if whose == "any" else (whose == "own",):
            for is_frozen in (False, True) if when == "any" else (when == "frozen",):
                yield Row(act, is_own, is_frozen, tuple(cells))


ROWS = list(rows())
EVERY_TENTH = sorted(ROWS, key=lambda row: ROWS.index(row) % 10)


def desk_of(kind: str, row: Row) -> people.Office:
    desk = people.office(kind)
    if row.is_own:
        desk = replace(desk, starter=desk.person)
    if row.is_frozen:
        freeze = Freeze("all", "incident", people.OTHER, desk.store.now())
        assert desk.store.change_freeze("all", None, freeze)
    return desk


def used(desk: people.Office, row: Row, path: str) -> Reply | None:
    if path == "B":
        return people.click_it(desk, row.act)
    if row.act in TEXTS:
        return people.type_text(desk, TEXTS[row.act], PATHS[path])
    act = row.act.replace("rollout-", "rollout ").replace("---", " --")
    return people.type_it(desk, act, PATHS[path])


def may(row: Row, path: str, kind: str) -> bool:
    desk = desk_of(kind, row)
    return not people.outcome(desk, used(desk, row, path), DENIED)


@pytest.mark.parametrize("row", quick(EVERY_TENTH, at_most=len(ROWS) // 10), ids=str)
def test_each_cell_is_what_the_bot_does(row: Row) -> None:
    kinds = [kind for some in KINDS.values() for kind in some]
    found = {(path, kind) for path in row.paths for kind in kinds if may(row, path, kind)}
    assert found == row.expected


def test_every_act_has_its_rows() -> None:
    acts = {row.act for row in ROWS} - set(TEXTS)
    typed = {one.replace("rollout ", "rollout-").replace(" --", "---") for one in people.COMMANDS}
    assert acts == {*typed - {"apply"}, *people.FREE, *BUTTONS}
