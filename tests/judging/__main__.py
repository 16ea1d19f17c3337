"""`python -m tests.judging --releases N`: false alarms, and good given to what is worse."""

from __future__ import annotations

import argparse
from dataclasses import replace

from bot.releases.facts.causes import Verdict
from tests.judging.drawn_releases import WORLDS, ever, upper_bound

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.judging")
    parser.add_argument("--releases", type=int, default=1_000)
    parser.add_argument("--worse", type=float, default=0.0, help="points; 0: no worse")
    parser.add_argument("--world", default="", help="part of a world's name")
    parser.add_argument("--false-alarms", type=float, default=0.01)
    chosen = parser.parse_args()
    verdict = Verdict.GOOD if chosen.worse else Verdict.BAD
    print(f"| world | {verdict.value} | of | at most, by 99% |")
    print("|---|---:|---:|---:|")
    for world in WORLDS:
        if chosen.world in world.name:
            meant = replace(world, worse=chosen.worse / 100)
            found = ever(verdict, meant, chosen.releases, chosen.false_alarms)
            bound = upper_bound(found, chosen.releases)
            print(f"| {world.name} | {found} | {chosen.releases:,} | {bound:.2%} |", flush=True)
