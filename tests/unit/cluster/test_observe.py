"""Which pods have their events read: they say what a pod's own status does not."""

from __future__ import annotations

from typing import Any

import pytest

from bot.cluster.observe import SILENT_FOR_MS, is_stuck
from tests.builders import SECOND, T0, a_pod


@pytest.mark.parametrize(
    ("pod", "age"),
    [
        ({"restarts": 1, "has_sandbox": True}, SECOND),  # a probe may have stopped it
        ({"restarts": 0}, SILENT_FOR_MS + SECOND),  # a volume may be missing
    ],
)
def test_the_events_of_a_pod_that_does_not_run_are_read(pod: dict[str, Any], age: int) -> None:
    assert is_stuck(a_pod(ready=False, created_at=T0, **pod), T0 + age)


@pytest.mark.parametrize(
    ("pod", "age"),
    [
        ({"ready": False}, SECOND),
        ({"ready": False, "has_sandbox": True}, SILENT_FOR_MS + SECOND),
        ({"ready": True, "restarts": 1}, SECOND),
        ({"ready": False, "restarts": 1, "terminating": True}, SECOND),
    ],
)
def test_the_events_of_a_pod_that_starts_or_runs_are_not_read(
    pod: dict[str, Any], age: int
) -> None:
    assert not is_stuck(a_pod(created_at=T0, **pod), T0 + age)
