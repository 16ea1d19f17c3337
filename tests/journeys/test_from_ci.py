"""A pipeline starts a release, people approve it in Slack, and its exit status is the outcome."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from tests.journeys.conftest import DEVELOPER, MANAGER, ON_CALL, Journey
from tests.journeys.test_canary import WAITS_FOR_PEOPLE


@contextmanager
def pipeline(journey: Journey, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`pilothouse deploy` with the API's address and a token, and nothing else of Pilothouse."""
    folder = journey.sandbox.folder
    port = yaml.safe_load((folder / "catalog.yaml").read_text(encoding="utf-8"))["api"]["port"]
    environment = {
        "PATH": os.environ["PATH"],
        "PILOTHOUSE_API_URL": f"http://127.0.0.1:{port}",
        "PILOTHOUSE_API_TOKEN_FILE": str(folder / "ci-token"),
    }
    run = "import sys; from bot.deploy import main; sys.exit(main())"
    command = [sys.executable, "-c", run, journey.app, *arguments, "--wait"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_ci_starts_and_a_person_approves(journey: Journey) -> None:
    claimed = ("--triggered-by", MANAGER)
    with pipeline(journey, "2.0.0", "canary", *claimed) as process:
        journey.sees(WAITS_FOR_PEOPLE)
        card = next(m for m in journey.messages() if "canary" in m["text"])
        assert f"by <@{MANAGER}>, as the API caller `ci` claims" in str(card["blocks"])
        own_vote = journey.say("/rollout promote {app}", user=MANAGER)
        assert "ci started this release for you: someone else must approve it." in own_vote
        journey.click("Promote", user=ON_CALL)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert f"{journey.app}" in out and out.splitlines()[-1].endswith("succeeded")
    assert journey.versions() == {"2.0.0": sum(journey.versions().values())}


@pytest.mark.slow
def test_a_release_that_fails_fails_its_pipeline(journey: Journey) -> None:
    with pipeline(journey, "missing", "--triggered-by", DEVELOPER) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 3, out
    assert "rolled back" in out.splitlines()[-1]


def test_after_a_version_failed_machines_wait_for_a_person(journey: Journey) -> None:
    """It reads in the thread what lifts the lock; people release meanwhile."""
    with pipeline(journey, "missing", "--triggered-by", DEVELOPER) as process:
        process.communicate(timeout=60)
    journey.sees(r"Machines may not release {app} until a person clears it")
    with pipeline(journey, "2.0.0", "--triggered-by", DEVELOPER) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 5 and "(locked)" in out, out
    assert set(journey.versions()) == {"1.0.0"}
    journey.say('/pilothouse clear {app} missing reason="a typo in the tag"')
    journey.sees(r"missing of {app} is cleared for machines: a typo in the tag")
    with pipeline(journey, "2.0.0", "rolling", "--triggered-by", DEVELOPER) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert set(journey.versions()) == {"2.0.0"}
