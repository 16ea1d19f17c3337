"""Many worlds, in one process or in several: those import this module, and no ``__main__``."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from tests.simulation.world import STORES, Mode, World


@dataclass(frozen=True)
class Settings:
    mode: Mode | None
    store: str

    def world(self, seed: str, *, keeps_lines: bool) -> World:
        return World(seed, keeps_lines=keeps_lines, mode=self.mode, server=STORES[self.store])


@dataclass(frozen=True)
class Ran:
    seed: int
    releases: int
    counts: Mapping[str, int]
    violations: tuple[str, ...]
    cpu_s: float


def run_one(seed: int, settings: Settings) -> Ran:
    logging.disable(logging.CRITICAL)  # the trace tells more
    began = time.process_time()
    outcome = settings.world(str(seed), keeps_lines=False).run()
    took = time.process_time() - began
    return Ran(seed, outcome.releases, outcome.counts, tuple(outcome.violations), took)


def worlds(seeds: Iterable[int], settings: Settings, cores: int) -> Iterator[Ran]:
    """In the order of the seeds."""
    if cores == 1:
        yield from (run_one(seed, settings) for seed in seeds)
        return
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        ahead: deque[Future[Ran]] = deque()
        for seed in seeds:
            ahead.append(pool.submit(run_one, seed, settings))
            if len(ahead) > 2 * cores:
                yield ahead.popleft().result()
        yield from (one.result() for one in ahead)
