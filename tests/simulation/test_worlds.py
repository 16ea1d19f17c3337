"""Worlds by their seeds: what must not happen does not, and where it is made to happen the judge
says so."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.ports import Locked, Message
from tests.simulation.many import Settings, worlds
from tests.simulation.world import Mode, World

SEED = int(os.environ.get("SIMULATION_SEED", "1"))
FEW, MANY = 2, 30


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FEW, MANY))
def test_a_world_keeps_its_promises(number: int) -> None:
    outcome = World(str(SEED + number)).run()
    assert not outcome.violations, "\n".join((*outcome.lines[-60:], *outcome.violations))


@pytest.mark.parametrize("mode", [*Mode])
def test_a_world_in_each_mode_keeps_its_promises(mode: Mode) -> None:
    outcome = World(str(SEED + MANY), mode=mode).run()
    assert outcome.counts[f"mode: {mode}"] == 1
    assert not outcome.violations, "\n".join((*outcome.lines[-60:], *outcome.violations))


def test_a_seed_gives_the_same_trace_after_another() -> None:
    """Byte for byte; `make simulate ARGS="--again-after 1000"` runs a thousand between."""
    first, other, again = (World(str(SEED + number)).run() for number in (1, 0, 1))
    assert again.lines == first.lines
    for outcome in (first, other):
        assert not outcome.violations, "\n".join((*outcome.lines[-60:], *outcome.violations))


@pytest.mark.slow
def test_a_seed_is_replayed_byte_for_byte_whatever_ran_before_it() -> None:
    def digest(hash_seed: str, *before: str) -> str:
        code = (
            "from tests.simulation.world import World\n"
            f"for seed in {before!r}: World(seed).run()\n"
            "print(World('7').run().digest)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code],
            check=True, capture_output=True, text=True, timeout=300,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        return ran.stdout

    assert digest("1") == digest("2") == digest("3", "1", "2", "3")


@pytest.mark.slow
def test_worlds_in_several_processes_are_the_same() -> None:
    seeds, settings = (2, 3), Settings(None, "memory")
    alone, beside = (
        [(one.seed, one.counts) for one in worlds(seeds, settings, cores)] for cores in (1, 2)
    )
    assert alone == beside


# --- a judge that finds what is wrong -------------------------------------------------------------


@dataclass
class Spoiled:
    """A port with some of its calls replaced."""

    behind: Any
    calls: dict[str, Callable[..., Any]]

    def __getattr__(self, method: str) -> Any:
        return self.calls.get(method) or getattr(self.behind, method)


def locks_for_everyone(port: str, behind: Any) -> Any:
    return Spoiled(behind, {"acquire": lambda *_: Locked()}) if port == "store" else behind


def messages_without_a_key(port: str, behind: Any) -> Any:
    """A post whose reply was lost is not found again."""

    def find_posted(*_: Any, **__: Any) -> str:
        return ""

    return Spoiled(behind, {"find_posted": find_posted}) if port == "slack" else behind


def audit_without_writes(port: str, behind: Any) -> Any:
    def save(release: Any, events: Any, **options: Any) -> Any:
        kept = tuple(event for event in events if event.kind != "wrote")
        return behind.save(release, kept, **options)

    return Spoiled(behind, {"save": save}) if port == "store" else behind


def cards_that_stand_still(port: str, behind: Any) -> Any:
    def edit(channel: str, ts: str, message: Message) -> None:
        behind.edit(channel, ts, replace(message, text="in progress"))

    return Spoiled(behind, {"edit": edit}) if port == "slack" else behind


@pytest.mark.parametrize(
    ("defect", "found"),
    [
        (locks_for_everyone, "runs beside"),
        (messages_without_a_key, "was posted 2 times"),
        (audit_without_writes, "is not in the audit"),
        (cards_that_stand_still, "says 'in progress'"),
    ],
)
@pytest.mark.slow
def test_the_judge_finds_a_defect_within_some_seeds(
    defect: Callable[[str, Any], Any], found: str
) -> None:
    for seed in range(1, 31):
        world = World(str(seed), rate=0.03, mode=Mode.LIVENESS, spoil=defect)
        if any(found in one for one in world.run().violations):
            return
    pytest.fail(f"nothing like {found!r} in 30 seeds")
