"""`make faults`: releases of every strategy run while faults are injected; once all is quiet the
invariants are checked.

Seeded: the same seed draws the same faults in the same order. What they hit depends on the machine,
as in production.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bot.ports import StoreUnavailable
from sandbox.main import tail
from tests.faults.injections import INJECTIONS
from tests.faults.invariants import Verdict, judge
from tests.faults.people import People, busy_apps, wait_until
from tests.faults.stage import Stage, clock_library, open_stage
from tests.verification import record, retell

QUIET_WITHIN_S = 120.0
RECOVERY_WITHIN_S = 20.0
BETWEEN_FAULTS_S = (0.2, 1.2)
SHOWN_LINES = 12
TOTALS = (
    "faults",
    "kinds",
    "releases",
    "lost",
    "doubled",
    "stuck",
    "violations",
    "slowest recovery",
    "quiet after",
)
CLOCK_AHEAD_S = 90  # Redis' clock, all the time
LONGEST_S, LONG_FROM_S = 60.0, 240.0  # short runs cut long faults


@dataclass
class Course:
    """The faults that were injected, and how soon work continued after each."""

    caused: Counter[str] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    quiet_after_s: float = 0.0
    is_quiet: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="make faults",
        description="Cause faults while releases run, then check the invariants.",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=420.0,
        help="how long faults are caused (default 420; then all must end within 120)",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--apps", type=int, default=6)
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument(
        "--record",
        action="store_true",
        help="write the figures to docs/reference/verification.md and the README",
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the sandbox ends with it
    began = time.monotonic()
    ahead_s = CLOCK_AHEAD_S if clock_library() else 0
    if not ahead_s:
        print(
            "NOT CAUSED: clocks apart, because libfaketime is missing (Debian: apt install"
            " libfaketime).",
            file=sys.stderr,
        )
        if os.environ.get("CI") == "true":
            return 2
    with open_stage(options.apps, clock_ahead_s=ahead_s) as stage:
        stage.longest_s = LONGEST_S if options.seconds >= LONG_FROM_S else stage.longest_s
        people = People(stage, options.seed)
        with people.at_work():
            course = _cause(
                stage, people, options.seconds, random.Random(options.seed), options.only
            )
            _settle(stage, people, course)
        verdict = judge(stage, people.accepted)
        _print(course, verdict, people, time.monotonic() - began)
        if options.record:
            _record(
                course,
                verdict,
                f"{options.seconds:.0f} s of faults, seed {options.seed}, {options.apps} apps.",
            )
        clean = verdict.is_clean and course.is_quiet
        if not clean:
            for part in stage.sandbox.parts:
                print(f"--- {part.name}\n{tail(part.log, 25)}", file=sys.stderr)
    return 0 if clean else 1


def _order(chance: random.Random, only: str) -> Iterator[str]:
    """Every fault comes once before any repeats."""
    names = [name for name in INJECTIONS if only in name]
    while True:
        chance.shuffle(names)
        yield from names


def _cause(
    stage: Stage, people: People, seconds: float, chance: random.Random, only: str
) -> Course:
    course = Course()
    people.starts.set()
    ends = time.monotonic() + seconds
    wait_until(lambda: len(busy_apps(stage) or ()) >= len(stage.apps) // 2, 10)
    for name in _order(chance, only):
        if time.monotonic() > ends:
            break
        INJECTIONS[name](stage, people, chance)
        course.caused[name] += 1
        took = _recovery(stage)
        course.slowest[name] = max(took, course.slowest.get(name, 0.0))
        time.sleep(chance.uniform(*BETWEEN_FAULTS_S))
    people.starts.clear()
    return course


def _recovery(stage: Stage) -> float:
    """Seconds from the end of the fault until a tick of a release ended, or until nothing is due or
    in progress."""
    began = time.monotonic()
    before = _ticks(stage)

    def moved() -> bool:
        nonlocal before
        now = _ticks(stage)
        if before is None:
            before = now
            return False
        return (now is not None and now > before) or _is_idle(stage)

    wait_until(moved, RECOVERY_WITHIN_S)
    return time.monotonic() - began


def _is_idle(stage: Stage) -> bool:
    try:
        backlog = stage.leases.backlog()
    except StoreUnavailable:
        return False
    return backlog.leased == 0 and backlog.overdue_ms == 0


def _ticks(stage: Stage) -> int | None:
    try:
        return stage.leases.counters().get("jobs:release:done", 0)
    except StoreUnavailable:
        return None


def _settle(stage: Stage, people: People, course: Course) -> None:
    stage.calm()
    began = time.monotonic()

    course.is_quiet = wait_until(stage.is_quiet, QUIET_WITHIN_S)
    course.quiet_after_s = time.monotonic() - began


def _totals(course: Course, verdict: Verdict) -> list[str]:
    counts = [
        len(found) for found in (verdict.lost, verdict.doubled, verdict.stuck, verdict.violations)
    ]
    slowest = max(course.slowest.values(), default=0.0)
    amounts = [course.caused.total(), len(course.caused), verdict.releases, *counts]
    return [*map(str, amounts), f"{slowest:.1f} s", f"{course.quiet_after_s:.1f} s"]


def retelling(totals: Mapping[str, str]) -> str:
    """The README's sentence about the last run."""
    harm = (
        f"{totals['faults']} faults of {totals['kinds']} kinds while {totals['releases']}"
        " releases ran"
    )
    found = (
        f"{totals['lost']} lost, {totals['doubled']} doubled, {totals['stuck']} stuck,"
        f" {totals['violations']} invariants violated"
    )
    return (
        f"The last recorded run: {harm}; {found}; work continued at most"
        f" {totals['slowest recovery']} after a fault."
    )


def _record(course: Course, verdict: Verdict, settings: str) -> None:
    caused = ", ".join(
        f"{name} {times}x (work continued within {course.slowest[name]:.1f} s)"
        for name, times in sorted(course.caused.items())
    )
    totals = _totals(course, verdict)
    record("faults", TOTALS, [totals], settings, f"Caused: {caused}.")
    retell("faults", retelling(dict(zip(TOTALS, totals, strict=True))))


def _print(course: Course, verdict: Verdict, people: People, seconds: float) -> None:
    console = Console(width=110, highlight=False)
    table = Table("fault", "times", "work continued within", title="Faults while releases ran")
    for name, times in sorted(course.caused.items()):
        table.add_row(name, str(times), f"{course.slowest[name]:.1f} s")
    console.print(table)
    total = Table(*TOTALS)
    total.add_row(*_totals(course, verdict))
    console.print(total)
    outcomes = ", ".join(
        f"{count} {phase.replace('_', ' ')}" for phase, count in verdict.outcomes.most_common()
    )
    console.print(
        f"{outcomes}; {len(people.accepted)} commands accepted, {len(people.refused)} refused or"
        f" unanswered; {seconds:.0f} s"
    )
    for why, times in verdict.causes.most_common(SHOWN_LINES):
        console.print(f"  {times} {why}", markup=False)
    for what, lines in (
        ("lost", verdict.lost),
        ("doubled", verdict.doubled),
        ("stuck", verdict.stuck),
        ("violation", verdict.violations),
    ):
        for line in lines[:SHOWN_LINES]:
            console.print(f"  {what}: {line}", markup=False)
        if len(lines) > SHOWN_LINES:
            console.print(f"  {what}: and {len(lines) - SHOWN_LINES} more")


if __name__ == "__main__":
    sys.exit(main())
