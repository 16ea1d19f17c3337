"""The probe before the switch: green is asked by itself, and nobody is sent to a green that does
not answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.probing import pods_to_probe
from bot.releases.facts.causes import FailureClass
from bot.releases.facts.plan import Probe
from bot.releases.facts.release import Phase
from bot.releases.facts.rules import ProbeRules
from tests.builders import (
    MINUTE,
    SECOND,
    T0,
    a_bluegreen,
    a_deployment,
    a_service,
    a_template,
    an_observation,
    rules_with,
)
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.test_refusals import notes, refusal
from tests.transitions.bluegreen.walk import Walk

SICK = "kelseyhightower/hello:2.0.0"
ON_GREEN = {"app": "hello-green"}


def a_sick_green() -> Walk:
    walk = scenes.with_probe()
    walk.cluster.sick_images.add(SICK)
    return walk


def ticks(walk: Walk, number: int) -> None:
    for _ in range(number):
        walk.tick()


def test_asks_for_no_approval_while_green_fails_its_probe() -> None:
    walk = a_sick_green()
    ticks(walk, 20)
    assert walk.release.phase is Phase.PROGRESSING
    assert walk.switches() == []
    told = [line for line in walk.told if "/version fails on hello-green" in line]
    assert len(told) == 1, "told once, however often it is asked"
    assert "it answers 503" in told[0]
    assert "it answers 503" in walk.release.progress.probe_failure


def test_continues_by_itself_once_green_passes_its_probe() -> None:
    walk = a_sick_green()
    ticks(walk, 10)
    walk.cluster.sick_images.clear()
    walk.to_the_end()
    assert walk.release.phase is Phase.SUCCEEDED
    assert any("3 requests of /version were answered" in line for line in walk.told)


def test_retries_a_failing_probe_after_some_seconds() -> None:
    walk = a_sick_green()
    ticks(walk, 10)
    decision = decide(walk.release, walk.look(), walk.now)
    assert decision.wake_at is not None
    assert walk.now < decision.wake_at <= walk.now + 5 * SECOND


def test_does_not_switch_to_a_green_that_fails_after_the_approval() -> None:
    walk = scenes.with_probe()
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.cluster.sick_images.add(SICK)
    walk.approves = True
    ticks(walk, 10)
    assert walk.step == "switch"
    assert walk.switches() == []
    assert "it answers 503" in walk.release.progress.probe_failure
    walk.cluster.sick_images.clear()
    walk.to_step("switch", gate="window")
    assert walk.switches() == [("hello", ON_GREEN)]


@pytest.mark.parametrize("step", ["green", "switch"])
def test_rolls_back_at_the_deadline_when_green_never_passes_its_probe(
    step: str,
) -> None:
    walk = scenes.with_probe()
    if step == "switch":
        walk.to_step("green", gate="switch")
    walk.cluster.sick_images.add(SICK)
    ticks(walk, 10)
    while not walk.release.phase.is_final:
        walk.now += MINUTE
        walk.tick()
    assert walk.release.phase is Phase.ROLLED_BACK
    assert walk.release.cause is not None
    assert walk.release.cause.failure is FailureClass.DEADLINE
    assert "/version fails on hello-green" in walk.release.cause.summary
    back = [one.title for one in walk.release.timeline if not one.cut][-2:]
    assert back == ["send traffic back to 1.0.0", "remove hello-green"]
    assert walk.switches() == []
    assert walk.cluster.state() == walk.before


def test_probes_only_between_ready_and_switch_and_not_during_approval() -> None:
    walk = scenes.with_probe()
    asked: dict[tuple[str, str], bool] = {}
    while not walk.release.phase.is_final:
        seen = walk.look()
        asked[walk.step, walk.gate] = asked.get((walk.step, walk.gate), False) or bool(
            pods_to_probe(walk.release, seen)
        )
        if pods_to_probe(walk.release, seen):
            assert sum(pod.ready for pod in walk.cluster.deployments["hello-green"].pods()) == 3
        walk.tick()
    assert {where for where, was in asked.items() if was} == {("green", ""), ("switch", "")}


def test_a_paused_release_sends_no_probe() -> None:
    walk = a_sick_green()
    ticks(walk, 10)
    paused = replace(walk.release, phase=Phase.PAUSED)
    assert pods_to_probe(walk.release, walk.look())
    assert pods_to_probe(paused, walk.look()) == ()


def test_second_service_follows_the_first_after_a_failed_probe() -> None:
    walk = Walk(
        scenes.two_services().cluster,
        scenes.a_release_of(services=("hello", "hello-internal"), probe=ProbeRules(requests=3)),
    )
    walk.until(lambda walk: len(walk.switches()) == 1)
    walk.cluster.sick_images.add(SICK)
    walk.to_step("switch", gate="window")
    assert [name for name, _ in walk.switches()] == ["hello", "hello-internal"]


def test_probes_at_once_after_an_approval() -> None:
    """The click's look did not ask; the decision says that the next one comes at once."""
    walk = scenes.with_probe()
    walk.approves = False
    walk.to_step("green", gate="switch")
    walk.approves = True
    walk.tick()
    assert walk.release.progress.gate is not None
    decision = decide(walk.release, walk.look(), walk.now)
    assert decision.actions == ()
    assert decision.wake_at == walk.now


@pytest.mark.parametrize(
    ("port", "asked"),
    [
        ({"port": 80}, Probe("/version", 80, 20)),
        ({"port": 80, "targetPort": 8080}, Probe("/version", 8080, 20)),
        ({"port": 80, "targetPort": "http"}, Probe("/version", 8081, 20)),
        ({"name": "https", "port": 443, "targetPort": 8443}, Probe("/version", 8443, 20, "https")),
    ],
)
def test_probes_green_on_the_port_behind_the_service(port: dict[str, Any], asked: Probe) -> None:
    template = a_template()
    template["spec"]["containers"][0]["ports"] = [{"name": "http", "containerPort": 8081}]
    seen = an_observation(a_deployment(template=template), services=(a_service(ports=(port,)),))
    decision = decide(a_bluegreen(rules=rules_with(probe=ProbeRules())), seen, T0)
    assert decision.release.plan is not None, decision.release.cause
    assert decision.release.plan.probe == asked


def test_a_port_that_no_container_has_is_refused_before_the_start() -> None:
    seen = an_observation(services=(a_service(ports=({"port": 80, "targetPort": "web"},)),))
    assert "names the port `web`, which no container has" in refusal(
        seen, a_bluegreen(rules=rules_with(probe=ProbeRules()))
    )


def test_the_plan_warns_that_a_probe_url_does_not_reach_green() -> None:
    release = a_bluegreen(rules=rules_with(probe=ProbeRules(url="https://hello.example.com")))
    assert "is not probed before the switch" in notes(an_observation(), release)
    planned = decide(release, an_observation(), T0).release.plan
    assert planned is not None
    assert planned.probe is None


def test_no_probe_without_one_in_the_catalog() -> None:
    walk = scenes.plain().to_step("green")
    ticks(walk, 6)
    assert pods_to_probe(walk.release, walk.look()) == ()
