"""What an undo returns to: the last version that was good, never one that was rolled back or
undone."""

from __future__ import annotations

import pytest

from tests.journeys.conftest import Journey


def deploy(journey: Journey, version: str) -> None:
    journey.say(f"/deploy {{app}} {version}")
    settle_on(journey, version)


def undo(journey: Journey, to: str) -> None:
    journey.say("/rollout undo {app}")
    settle_on(journey, to)


def settle_on(journey: Journey, version: str) -> None:
    """All pods run it, and the release that brought it is over."""

    def is_settled() -> bool:
        claim = (journey.deployment().metadata.annotations or {}).get("pilothouse.dev/release")
        is_on_it = claim is None and journey.versions() == {version: 5}
        return is_on_it and not journey.has_release_running()

    journey.until(is_settled, f"all pods on {version}", within=60)


@pytest.mark.slow
def test_what_was_undone_or_rolled_back_is_not_returned_to(journey: Journey) -> None:
    deploy(journey, "2.0.0")
    deploy(journey, "3.0.0")
    undo(journey, "2.0.0")
    undo(journey, "1.0.0")  # 3.0.0 was undone
    deploy(journey, "4.0.0")
    journey.say("/deploy {app} missing")
    journey.sees(r"{app} is back on 4\.0\.0, rolled back")
    undo(journey, "1.0.0")  # not the version that was rolled back, nor one that was undone


def test_an_undo_that_changes_no_version_says_so(journey: Journey) -> None:
    journey.say("/rollout restart {app}")
    journey.sees(r"{app} is on 1\.0\.0, restarted")
    journey.say("/rollout undo {app}")
    journey.sees(r"no version changes: {app} stays on 1\.0\.0")
    assert journey.versions().keys() == {"1.0.0"}
