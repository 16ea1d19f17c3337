"""The scheduler alone: one process at a time, in an order that the seed decides."""

from __future__ import annotations

import random

from tests.simulation.scheduling import Scheduler, SimulatedRuntime, ending


def order_of(seed: int) -> list[str]:
    scheduler = Scheduler(random.Random(seed), 0)
    ran: list[str] = []

    def work(name: str) -> None:
        for _ in range(3):
            ran.append(name)
            scheduler.pause(0)

    for name in "abc":
        scheduler.spawn(name, lambda name=name: work(name))  # type: ignore[misc]
    scheduler.run(1_000)
    return ran


def test_the_seed_alone_decides_who_runs_next() -> None:
    assert order_of(1) == order_of(1)
    assert len({tuple(order_of(seed)) for seed in range(20)}) > 10


def test_time_passes_only_when_nobody_can_run_sooner() -> None:
    scheduler = Scheduler(random.Random(1), 0)
    seen: list[int] = []

    def sleep(for_ms: int) -> None:
        scheduler.pause(for_ms)
        seen.append(scheduler.now)

    for for_ms in (3_600_000, 10, 500):
        scheduler.spawn("sleeper", lambda for_ms=for_ms: sleep(for_ms))  # type: ignore[misc]
    scheduler.run(3_600_000)
    assert seen == [10, 500, 3_600_000]


def test_a_killed_process_runs_nothing_more_its_finally_neither() -> None:
    scheduler = Scheduler(random.Random(1), 0)
    ran: list[str] = []

    def work() -> None:
        try:
            ran.append("began")
            scheduler.pause(100)
            ran.append("went on")
        finally:
            if scheduler.current is not None and scheduler.current.is_alive:
                ran.append("cleaned up")

    process = scheduler.spawn("worker", work)
    scheduler.run(10)
    scheduler.kill(process)
    scheduler.run(1_000)
    assert ran == ["began"]


def test_work_beside_is_a_thread_of_its_process_and_dies_with_it() -> None:
    scheduler = Scheduler(random.Random(1), 0)
    runtime = SimulatedRuntime(scheduler, random.Random(2))
    ran: list[str] = []

    def read() -> None:
        scheduler.pause(50)
        ran.append("read")

    def work() -> None:
        started = [runtime.start(read), runtime.start(lambda: scheduler.pause(10_000))]
        ended = runtime.wait(started, 0.2)
        ran.append(f"{len(ended)} of {len(started)} ended")
        scheduler.pause(1_000)
        runtime.start(read)
        scheduler.pause(1_000)

    with ending(scheduler):
        process = scheduler.spawn("worker", work)
        scheduler.run(1_205)
        assert ran == ["read", "1 of 2 ended"]
        scheduler.kill(process)
        scheduler.run(20_000)
    assert ran == ["read", "1 of 2 ended"]


def test_a_wait_that_ended_early_wakes_nobody_twice() -> None:
    scheduler = Scheduler(random.Random(1), 0)
    woken: list[int] = []

    def work() -> None:
        scheduler.wait_for("signal", 100)
        woken.append(scheduler.now)
        scheduler.pause(1_000)
        woken.append(scheduler.now)

    scheduler.spawn("waiter", work)
    scheduler.run(5)
    scheduler.raise_signal("signal")
    scheduler.run(5_000)
    assert woken == [5, 1_005]
