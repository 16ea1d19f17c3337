"""The figures of runs, on the page of all figures: `--record` writes them, `--hours` goes on from
the last seed that stands there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from tests import verification
from tests.simulation.fates import FATES
from tests.simulation.troubles import ALL
from tests.verification import PAGE, README

SECTION = "simulate"
STORES = {"scripts": "Redis scripts", "memory": "store in memory"}
PAIR = "pair: "
OFTEN = 20
TEXTS = ("date", "seeds", "pairs of faults, latest run")
"""Rows that are no sums; of every other, a run that goes on from the last adds its own."""
NONE = "-"


@dataclass(frozen=True)
class Figures:
    """Of one run, from the seed ``first`` to ``last``."""

    store: str
    first: int
    last: int
    releases: int
    failed: int
    cpu_s: int
    counts: Mapping[str, int]

    def rows(self) -> dict[str, str]:
        found = {
            "date": verification.today(),
            "seeds": f"{self.first} to {self.last}",
            "seeds that failed": f"{self.failed}",
            "releases": f"{self.releases}",
            "seconds of a core": f"{self.cpu_s}",
        }
        for strategy in Strategy:
            ended = (f"ended: {strategy.value} {phase.value}" for phase in Phase if phase.is_final)
            number = sum(self.counts.get(name, 0) for name in ended)
            found[f"ended: {strategy.value}"] = f"{number}"
        for name in (*_fates(), *ALL, "stale read", "watch gap"):
            found[name] = f"{self.counts.get(name, 0)}"
        return found | {TEXTS[-1]: pairs_line(self.counts)}


def _fates() -> tuple[str, ...]:
    return tuple(f"{port}: {fate.value}" for port, drawn in FATES.items() for fate in drawn)


def next_seed(store: str, page: Path = PAGE) -> int:
    """After the last that was recorded."""
    seeds = _recorded(page).get("seeds", {}).get(STORES[store], "")
    return int(seeds.split()[-1]) + 1 if seeds not in ("", NONE) else 1


def record(figures: Figures, page: Path = PAGE, summary: Path = README) -> None:
    known, column = _recorded(page), STORES[figures.store]
    goes_on = figures.first > 1 and figures.first == next_seed(figures.store, page)
    table = []
    for name, value in figures.rows().items():
        before = known.get(name, {})
        cells = {one: before.get(one, NONE) for one in STORES.values()}
        cells[column] = _joined(name, before.get(column, NONE), value) if goes_on else value
        table.append([name, *cells.values()])
    verification.record(SECTION, ["counted", *STORES.values()], table, page=page)
    verification.retell(SECTION, _sentence(table), page=summary)


def _recorded(page: Path) -> dict[str, dict[str, str]]:
    return {row["counted"]: row for row in verification.recorded(SECTION, page)}


def _joined(name: str, before: str, now: str) -> str:
    if name == "seeds":
        return f"{before.split()[0]} to {now.split()[-1]}"
    if name in TEXTS or before == NONE:
        return now
    return str(int(before) + int(now))


def _sentence(table: Sequence[Sequence[str]]) -> str:
    rows = {name: cells for name, *cells in table}
    told = [
        f"{releases} releases over the {column} (seeds {seeds}, {failed} failed)"
        for column, seeds, failed, releases in zip(
            STORES.values(), rows["seeds"], rows["seeds that failed"], rows["releases"], strict=True
        )
        if seeds != NONE
    ]
    return f"The last recorded runs of `make simulate`: {'; '.join(told)}."


def pairs_line(counts: Mapping[str, int]) -> str:
    """Two faults that one release met."""
    pairs = {name: number for name, number in counts.items() if name.startswith(PAIR)}
    often = sum(number >= OFTEN for number in pairs.values())
    faults = {one for name in pairs for one in name.removeprefix(PAIR).split(" + ")}
    possible = len(faults) * (len(faults) - 1) // 2
    return f"{len(pairs)} of {possible} met by one release, {often} of them {OFTEN} times"
