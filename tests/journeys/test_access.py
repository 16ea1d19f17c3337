"""Who may do what changes while a release runs, and Slack does not always say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.journeys.conftest import (
    APPROVERS,
    CHANNEL,
    DEVELOPER,
    MANAGER,
    ON_CALL,
    SECOND,
    Ground,
    Journey,
)
from tests.journeys.test_canary import WAITS_FOR_PEOPLE
from tests.journeys.test_canary_moments import an_app


@contextlib.contextmanager
def slack_away(journey: Journey) -> Iterator[None]:
    """It delivers messages, but does not say who anyone is."""
    slack = journey.sandbox.slack
    for method in ("users.info", "usergroups.list"):
        slack.fault("server_error", method=method, times=-1)
    journey.forget_people()
    try:
        yield
    finally:
        slack.clear_faults()


def posted(journey: Journey, text: str) -> None:
    """In the channel or one of its threads."""
    journey.until(lambda: journey.sandbox.slack.messages(CHANNEL, about=text), f"`{text}`")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["left the group", "was deactivated"])
def test_an_approval_of_someone_who_may_no_longer_approve_is_not_counted(
    ground: Ground, how: str
) -> None:
    journey = an_app(ground, "quorum")
    slack = journey.sandbox.slack
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(WAITS_FOR_PEOPLE)
    journey.click("Promote", user=SECOND)
    journey.sees("1 of 2")
    try:
        if how == "left the group":
            slack.group(APPROVERS, [ON_CALL])
        else:
            slack.person(SECOND, is_deleted=True)
        journey.forget_people()
        journey.click("Promote", user=MANAGER)
        posted(journey, "developer2 may no longer approve: not counted")
    finally:
        slack.group(APPROVERS, [ON_CALL, SECOND])
        slack.person(SECOND)
        journey.forget_people(last_known=True)  # else other journeys' SECOND may do nothing
    journey.click("Promote", user=ON_CALL)
    journey.sees(r"{app} is on 2\.0\.0")


@pytest.mark.slow
def test_a_release_is_aborted_while_slack_is_away(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary steps=20,50 hold=10m")
    journey.sees(r"{app} 1\.0\.0 → 2\.0\.0 canary.*holding")
    with slack_away(journey):
        journey.click("Abort", user=DEVELOPER)
        card = journey.sees(r"{app} is back on 1\.0\.0, aborted")
        journey.sees(r"{app}.*by the memberships of \S+ \d\d:\d\d:\d\d UTC; Slack did not answer")
    assert "1.0.0" in card


@pytest.mark.slow
def test_a_promotion_waits_until_slack_answers(journey: Journey) -> None:
    journey.say("/deploy {app} 2.0.0 canary")
    journey.sees(WAITS_FOR_PEOPLE)
    with slack_away(journey):
        journey.click("Promote", user=MANAGER)
        posted(journey, "waiting for Slack to say whether")
        assert journey.versions().get("1.0.0")
    journey.sees(r"{app} is on 2\.0\.0")
