"""``python -m tests.simulation``: worlds by their seeds, and what the judge found in them."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path

from tests.simulation.many import Ran, Settings, worlds
from tests.simulation.reached import LEAST, MANY_SEEDS, reached_too_seldom
from tests.simulation.recording import PAIR, Figures, next_seed, pairs_line, record
from tests.simulation.shrinking import Shrinking, story
from tests.simulation.world import STORES, Mode, World


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make simulate ARGS=", description="Runs the whole product in one process, by seeds."
    )
    parser.add_argument("--releases", type=int, default=100, help="at least so many releases")
    parser.add_argument("--seeds", type=int, default=0, help="so many seeds, instead of releases")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the next follow")
    parser.add_argument(
        "--mode", type=Mode, choices=[*Mode], help="faults without end, or faults that stop"
    )
    parser.add_argument("--store", choices=STORES, default="scripts", help="what keeps the records")
    parser.add_argument("--cores", type=int, default=1, help="so many processes at once")
    parser.add_argument("--hours", type=float, default=0, help="so long, from the last seed on")
    parser.add_argument(
        "--until-failure", action="store_true", help="no further than the first that fails"
    )
    parser.add_argument(
        "--record", action="store_true", help="write the figures into the documentation"
    )
    parser.add_argument(
        "--again-after", type=int, default=0, metavar="N",
        help="the first seed, N others, and the first again: its trace must be the same",
    )  # fmt: skip
    parser.add_argument("--replay", metavar="SEED", help="one seed, with its story")
    parser.add_argument("--shrink", metavar="SEED", help="a failing seed as a short story")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where a shrunk seed is kept")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="where its whole trace goes")
    chosen = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)  # the trace tells more
    if chosen.replay is not None:
        return replay(chosen.replay, Settings(chosen.mode, chosen.store), chosen.trace)
    if chosen.shrink is not None:
        return shrink(chosen.shrink, chosen.mode, chosen.keep)
    settings = Settings(chosen.mode, chosen.store)
    if chosen.again_after:
        return again_after(chosen.seed, chosen.again_after, settings)
    first = chosen.seed or (next_seed(settings.store) if chosen.hours else 1)
    wanted = Wanted(first, chosen.releases, chosen.seeds, chosen.hours, chosen.until_failure)
    return run(wanted, settings, chosen.cores, is_recorded=chosen.record)


def replay(seed: str, settings: Settings, trace: Path | None) -> int:
    outcome = settings.world(seed, keeps_lines=True).run()
    if trace is not None:
        trace.write_text("\n".join(outcome.lines) + "\n", encoding="utf-8")
    print(f"seed {seed}: {outcome.releases} releases, trace {outcome.digest[:16]}")
    for violation in outcome.violations:
        print(f"  {violation}")
    return 1 if outcome.violations else 0


def again_after(first: int, others: int, settings: Settings) -> int:
    """Whatever a process keeps of other worlds changes none."""
    seed = first or 1
    before = settings.world(str(seed), keeps_lines=True).run().lines
    for other in range(seed + 1, seed + 1 + others):
        settings.world(str(other), keeps_lines=False).run()
    after = settings.world(str(seed), keeps_lines=True).run().lines
    same = "the same trace, byte for byte" if after == before else "ANOTHER TRACE"
    print(f"seed {seed} after {others} others: {same} ({len(after)} lines)")
    return 0 if after == before else 1


def shrink(seed: str, mode: Mode | None, keep: Path | None) -> int:
    drawn = World(seed, mode=mode).mode or Mode.LIVENESS
    try:
        found, outcome = Shrinking(seed, drawn, report=print).shrink()
    except ValueError as error:
        print(error)
        return 0
    print("\n".join(story(outcome)))
    print(f"seed {seed}, {drawn}, needs: {', '.join(found.only)}")
    if keep is not None:
        found.write(keep)
    return 1


@dataclass(frozen=True)
class Wanted:
    """From the seed ``first`` on: ``hours``, else so many ``seeds``, else so many ``releases``."""

    first: int
    releases: int
    seeds: int = 0
    hours: float = 0
    until_failure: bool = False

    def numbers(self) -> Iterable[int]:
        if self.hours:
            ends = time.monotonic() + 3600 * self.hours
            return takewhile(lambda _seed: time.monotonic() < ends, count(self.first))
        return range(self.first, self.first + self.seeds) if self.seeds else count(self.first)

    def is_reached(self, tally: Tally) -> bool:
        if self.until_failure and tally.failed:
            return True
        return not self.hours and not self.seeds and tally.releases >= self.releases


def run(wanted: Wanted, settings: Settings, cores: int, *, is_recorded: bool = False) -> int:
    tally = Tally()
    for ran in worlds(wanted.numbers(), settings, cores):
        tally.add(ran)
        if wanted.is_reached(tally):
            break
    for name, number in sorted(tally.counts.items()):
        if not name.startswith(PAIR):
            print(f"{number:8} {name}")
    print(f"pairs of faults: {pairs_line(tally.counts)}")
    seldom = reached_too_seldom(tally.counts)
    for name, number in seldom.items():
        print(f"reached {number} times, fewer than {LEAST}: {name}")
    print(
        f"{settings.store}: {tally.releases} releases in {tally.seeds} seeds"
        f" ({wanted.first} to {tally.last}),"
        f" {tally.cpu_s:.0f} s of a core, {tally.releases / max(tally.cpu_s, 0.001):.1f} a second;"
        f" {tally.failed} seeds failed"
    )
    if is_recorded:
        figures = Figures(
            settings.store, wanted.first, tally.last, tally.releases, tally.failed,
            round(tally.cpu_s), tally.counts,
        )  # fmt: skip
        record(figures)
    return 1 if tally.failed or (seldom and tally.seeds >= MANY_SEEDS) else 0


@dataclass
class Tally:
    releases: int = 0
    seeds: int = 0
    failed: int = 0
    last: int = 0
    cpu_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, ran: Ran) -> None:
        for violation in ran.violations[:3]:
            print(f"seed {ran.seed}: {violation}", flush=True)
        self.releases += ran.releases
        self.seeds += 1
        self.failed += bool(ran.violations)
        self.last = ran.seed
        self.cpu_s += ran.cpu_s
        self.counts.update(ran.counts)


if __name__ == "__main__":
    sys.exit(main())
