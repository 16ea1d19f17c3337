"""A row of a benchmark's table, and the arithmetic of percentiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """``ours`` and ``baseline`` in ``unit``; ``goal`` in words; ``met``: whether it is reached."""

    what: str
    unit: str
    ours: float
    goal: str
    met: bool
    baseline: float | None = None
    settings: str = ""

    def cells(self) -> tuple[str, ...]:
        base = f"{self.baseline:.1f}" if self.baseline is not None else "-"
        ratio = f"{self.ours / self.baseline:.2f}" if self.baseline else "-"
        difference = f"{self.ours - self.baseline:+.1f}" if self.baseline is not None else "-"
        return (
            self.what,
            f"{self.ours:.1f} {self.unit}",
            base,
            ratio,
            difference,
            self.goal,
            "yes" if self.met else "NO",
            self.settings,
        )


COLUMNS = ("figure", "ours", "baseline", "ratio", "difference", "goal", "met", "settings")


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; ``share`` from 0 to 1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def table(rows: Sequence[Row]) -> str:
    lines = [COLUMNS, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
