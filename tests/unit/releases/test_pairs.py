from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.assess.pairs import idle_of, retarget_to_serving
from bot.releases.facts.observation import DeploymentSeen, Observation, Survey
from bot.releases.facts.target import Strategy, default_candidate_name
from tests.builders import a_deployment, a_service, a_target, a_template, an_observation

BLUE = a_deployment()
GREEN = a_deployment("hello-green", a_template("2.0.0", labels={"app": "hello-green"}))
TO_GREEN, TO_BLUE = {"app": "hello-green"}, {"app": "hello"}


def a_pair(selector: dict[str, str], green: DeploymentSeen | None = GREEN) -> Observation:
    return an_observation(BLUE, green, services=(a_service(selector=selector),))


def test_app_is_the_green_deployment_where_services_select_it() -> None:
    faced = retarget_to_serving(a_target(), a_pair(TO_GREEN))
    assert (faced.deployment, faced.idle) == ("hello-green", "hello")
    assert default_candidate_name(faced, Strategy.BLUEGREEN) == "hello", (
        "the next release uses the other one"
    )
    assert default_candidate_name(faced, Strategy.CANARY) == "hello-green-canary"


def test_a_survey_is_enough_to_know_it() -> None:
    """A rolling release looks at no candidate."""
    seen = replace(a_pair(TO_GREEN, None), survey=Survey(leftovers=(GREEN,)))
    assert retarget_to_serving(a_target(), seen).deployment == "hello-green"


@pytest.mark.parametrize(
    "seen",
    [
        a_pair(TO_BLUE),
        a_pair(TO_GREEN, None),
        an_observation(BLUE, GREEN, services=()),
        an_observation(
            BLUE,
            GREEN,
            services=(a_service(selector=TO_GREEN), a_service("inner", selector=TO_BLUE)),
        ),
        an_observation(BLUE, a_deployment("hello-canary"), services=(a_service(),)),
    ],
    ids=["blue serves", "no green", "no Service", "half switched", "a canary"],
)
def test_else_the_catalogs_deployment_is(seen: Observation) -> None:
    assert retarget_to_serving(a_target(services=("hello", "inner")), seen) == a_target(
        services=("hello", "inner")
    )


def test_a_pair_faces_once() -> None:
    faced = retarget_to_serving(a_target(), a_pair(TO_GREEN))
    assert (
        retarget_to_serving(
            faced, an_observation(GREEN, BLUE, services=(a_service(selector=TO_GREEN),))
        )
        == faced
    )


def test_idle_is_the_side_that_does_not_serve() -> None:
    blue_serves, green_serves = (
        a_pair(TO_BLUE),
        an_observation(GREEN, BLUE, services=(a_service(selector=TO_GREEN),)),
    )
    assert idle_of(a_target(), blue_serves) == GREEN
    assert idle_of(retarget_to_serving(a_target(), a_pair(TO_GREEN)), green_serves) == BLUE


@pytest.mark.parametrize(
    "green",
    [
        None,
        a_deployment("hello-green", replicas=0, replica_sets=()),
        replace(GREEN, terminating=True),
        a_deployment("hello-green"),
    ],
)
def test_not_idle_when_gone_empty_or_serving(green: DeploymentSeen | None) -> None:
    assert idle_of(a_target(), a_pair(TO_BLUE, green)) is None
