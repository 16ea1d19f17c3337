"""What a run of many seeds must have reached, each often enough to mean something."""

from __future__ import annotations

from collections.abc import Mapping

from bot.releases.facts.release import Phase
from bot.releases.facts.target import Strategy
from tests.simulation.fates import FATES
from tests.simulation.troubles import ALL

LEAST = 20
MANY_SEEDS = 500
"""A shorter run shows what it did not reach, and does not fail for it."""
ENDS = (Phase.SUCCEEDED, Phase.ABORTED, Phase.ROLLED_BACK)
WRITES = ("create_deployment", "patch_deployment", "delete_deployment", "patch_service")
TRANSITIONS = (
    (Phase.QUEUED, Phase.AWAITING_APPROVAL),
    (Phase.QUEUED, Phase.PROGRESSING),
    (Phase.QUEUED, Phase.ABORTED),
    (Phase.QUEUED, Phase.FAILED),
    (Phase.AWAITING_APPROVAL, Phase.PROGRESSING),
    (Phase.AWAITING_APPROVAL, Phase.ABORTED),
    (Phase.PROGRESSING, Phase.HOLDING),
    (Phase.PROGRESSING, Phase.AWAITING_PROMOTION),
    (Phase.PROGRESSING, Phase.PAUSED),
    (Phase.PROGRESSING, Phase.DRIFTED),
    (Phase.PROGRESSING, Phase.ROLLING_BACK),
    (Phase.PROGRESSING, Phase.SUCCEEDED),
    (Phase.HOLDING, Phase.PROGRESSING),
    (Phase.HOLDING, Phase.ROLLING_BACK),
    (Phase.AWAITING_PROMOTION, Phase.PROGRESSING),
    (Phase.PAUSED, Phase.PROGRESSING),
    (Phase.PAUSED, Phase.ROLLING_BACK),
    (Phase.DRIFTED, Phase.ROLLING_BACK),
    (Phase.ROLLING_BACK, Phase.ABORTED),
    (Phase.ROLLING_BACK, Phase.ROLLED_BACK),
)
"""Others are met too, and counted; these a run of many seeds must meet."""


def declared() -> tuple[str, ...]:
    """Faults, troubles, phases, transitions, writes, and how releases of each strategy end."""
    return (
        *(f"{port}: {fate.value}" for port, drawn in FATES.items() for fate in drawn),
        "stale read",
        "watch gap",
        *ALL,
        "watch: bookmark",
        "watch: resumed",
        *(f"phase: {phase.value}" for phase in Phase),
        *(f"transition: {before.value} -> {after.value}" for before, after in TRANSITIONS),
        *(f"ended: {strategy.value} {phase.value}" for strategy in Strategy for phase in ENDS),
        *(f"write: {kind}" for kind in WRITES),
        "mode: safety",
        "mode: liveness",
    )


def reached_too_seldom(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) for name in declared() if counts.get(name, 0) < LEAST}
