"""A failing seed, reduced to the disturbances that it takes, and told as a story."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.world import Mode, Outcome, World

REGRESSIONS = Path(__file__).parent / "regressions"
MOST_RUNS = 150
TOLD = re.compile(
    r" (trouble|person|kubectl|gitops|redis|watch|network|job|judge): | types | clicks |\.apply\("
    r"| (lost|reply lost|late|limited|killed before|killed after)$|\.save\(|VIOLATION"
)
LONGEST = 180


@dataclass(frozen=True)
class Regression:
    """What a seed found once. ``only``: the disturbances that it takes."""

    seed: str
    mode: Mode
    only: tuple[str, ...]
    found: str
    mended: str = ""

    def world(self, **options: Any) -> World:
        return World(self.seed, mode=self.mode, only=frozenset(self.only), **options)

    def write(self, path: Path) -> None:
        fields = {**self.__dict__, "mode": self.mode.value}
        path.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Regression:
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Regression(**{**fields, "mode": Mode(fields["mode"]), "only": tuple(fields["only"])})


def kind_of(violation: str) -> str:
    """What was broken, whoever broke it and whenever."""
    return re.sub(r"\d+", "", violation.partition(": ")[2])[:40]


@dataclass
class Shrinking:
    seed: str
    mode: Mode
    options: dict[str, Any] = field(default_factory=dict)
    report: Callable[[str], None] = lambda _line: None
    runs: int = 0

    def shrink(self) -> tuple[Regression, Outcome]:
        """Raises ValueError where the seed fails in nothing."""
        whole = self._run(None)
        if not whole.violations:
            raise ValueError(f"seed {self.seed} keeps its promises")
        wanted = kind_of(whole.violations[0])
        kept = self._reduce(whole.happened, wanted)
        outcome = self._run(frozenset(kept))
        found = next(one for one in outcome.violations if kind_of(one) == wanted)
        return Regression(self.seed, self.mode, tuple(kept), found), outcome

    def _reduce(self, names: Sequence[str], wanted: str) -> list[str]:
        """Drops ever smaller parts, as long as what is left fails in the same way."""
        kept, size = [*names], max(1, len(names) // 2)
        while self.runs < MOST_RUNS:
            before = len(kept)
            for at in range(len(kept) - 1, -1, -size):
                part = slice(max(0, at - size + 1), at + 1)
                without = [*kept[: part.start], *kept[part.stop :]]
                if self.runs < MOST_RUNS and self._fails(without, wanted):
                    kept = without
                    self.report(f"{len(kept)} disturbances, {self.runs} runs")
            if size == 1 and len(kept) == before:
                break
            size = max(1, size // 2)
        return kept

    def _fails(self, names: Sequence[str], wanted: str) -> bool:
        outcome = self._run(frozenset(names))
        return wanted in {kind_of(one) for one in outcome.violations}

    def _run(self, only: frozenset[str] | None) -> Outcome:
        self.runs += 1
        return World(self.seed, mode=self.mode, only=only, **self.options).run()


def story(outcome: Outcome) -> list[str]:
    """What happened, in seconds since the beginning, up to the first violation."""
    began = int(outcome.lines[0].partition(" ")[0])
    told = []
    for line in outcome.lines:
        at, _, what = line.partition(" ")
        if TOLD.search(line):
            told.append(f"{(int(at) - began) / 1000:9.3f}  {what[:LONGEST]}")
        if "VIOLATION" in line:
            break
    return told
