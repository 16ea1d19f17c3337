"""What blue/green does not start on: one clear line, nothing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.observation import (
    AutoscalerSeen,
    EndpointSeen,
    Observation,
    QuotaSeen,
    SelectingSeen,
    Survey,
)
from bot.releases.facts.release import Phase, Release
from tests.builders import (
    T0,
    a_bluegreen,
    a_deployment,
    a_rolling_deployment,
    a_rolling_update,
    a_service,
    a_target,
    a_template,
    an_observation,
    rules_with,
)

VERSIONED = {"app": "hello", "version": "1.0.0"}


def refusal(seen: Observation, release: Release | None = None) -> str:
    """The one line; asserts that the release ended without an action."""
    decision = decide(release or a_bluegreen(), seen, T0)
    assert decision.actions == ()
    assert decision.release.phase is Phase.FAILED, "it was planned after all"
    assert decision.release.cause is not None
    line = decision.release.cause.summary
    assert "\n" not in line
    return line


def notes(seen: Observation, release: Release | None = None) -> str:
    decision = decide(release or a_bluegreen(), seen, T0)
    assert decision.release.plan is not None, decision.release.cause
    return "\n".join(decision.release.plan.notes)


def test_no_service() -> None:
    release = a_bluegreen(target=a_target(services=()))
    assert "has no Service to switch" in refusal(an_observation(services=()), release)


def test_a_service_without_a_selector() -> None:
    assert "Service hello has no selector" in refusal(
        an_observation(services=(a_service(selector={}),))
    )


def test_a_service_that_selects_something_else() -> None:
    line = refusal(an_observation(services=(a_service(selector={"app": "other"}),)))
    assert "Service hello does not select hello's pods (its selector: app=other)" in line


def test_refuses_a_service_that_selects_another_apps_pods() -> None:
    other = SelectingSeen(
        "Deployment", "hello-canary", {"matchLabels": {"app": "hello", "track": "canary"}}
    )
    line = refusal(an_observation(survey=Survey(selecting=(other,))))
    assert "also selects pods of Deployment hello-canary" in line


def test_refuses_a_service_that_selects_an_unknown_pod() -> None:
    seen = an_observation()
    stray = EndpointSeen("hello", "10.1.1.9", "stray", "uid-stray", ready=True)
    assert "also selects pod stray" in refusal(replace(seen, endpoints=(*seen.endpoints, stray)))


@pytest.mark.parametrize(
    ("quota", "numbers"),
    [
        (
            QuotaSeen("small", {"pods": "5"}, {"pods": "3"}),
            "quota small: pods 3 of 5 used, 4 more needed",
        ),
        (
            QuotaSeen("one", {"count/deployments.apps": "1"}, {"count/deployments.apps": "1"}),
            "1 of 1 used, 1 more needed",
        ),
    ],
)
def test_refuses_a_quota_too_small_for_both_with_the_numbers(
    quota: QuotaSeen, numbers: str
) -> None:
    line = refusal(an_observation(survey=Survey(quotas=(quota,))))
    assert "There is no room for blue and green side by side (3 + 3 pods, 1 more to settle)" in line
    assert numbers in line


def test_a_roll_that_needs_no_surge_needs_no_room_for_it() -> None:
    quota = Survey(quotas=(QuotaSeen("exact", {"pods": "6"}, {"pods": "3"}),))
    assert "4 more needed" in refusal(an_observation(survey=quota))
    assert "is switched by" in notes(
        an_observation(a_deployment(strategy=a_rolling_update(0, 1)), survey=quota)
    )


def test_stable_in_the_middle_of_a_roll() -> None:
    assert "half-rolled" in refusal(
        an_observation(a_rolling_deployment(new=1, old=2, version="1.5.0"))
    )


def test_recreate() -> None:
    assert "strategy Recreate" in refusal(
        an_observation(a_deployment(strategy={"type": "Recreate"}))
    )


@pytest.mark.parametrize("mode", ["ReadWriteOnce", "ReadWriteOncePod"])
def test_a_claim_that_only_one_node_or_pod_can_mount(mode: str) -> None:
    line = refusal(an_observation(survey=Survey(claims=(("data", (mode,)),))))
    assert f"mounts the claim data ({mode})" in line


def test_a_claim_that_many_may_mount_is_fine() -> None:
    assert "hello is switched by" in notes(
        an_observation(survey=Survey(claims=(("data", ("ReadWriteMany",)),)))
    )


def test_host_ports() -> None:
    template = a_template()
    template["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    assert "host port 8080" in refusal(an_observation(a_deployment(template=template)))


def test_no_deployment_to_switch_from() -> None:
    assert "has 0 replicas" in refusal(an_observation(a_deployment(replicas=0)))


def test_the_version_label_in_its_own_selector_offers_to_keep_both() -> None:
    stable = a_deployment(
        template=a_template(labels=VERSIONED), selector={"matchLabels": VERSIONED}
    )
    seen = an_observation(stable, services=(a_service(selector=VERSIONED),))
    target = a_target(version_label="version")
    assert "settle: keep" in refusal(seen, a_bluegreen(target=target))
    kept = a_bluegreen(target=target, rules=rules_with(bluegreen={"settle": "keep"}))
    assert "both Deployments stay" in notes(seen, kept)


def test_a_version_that_is_not_a_label_value() -> None:
    target = a_target(version_label="version")
    stable = a_deployment(template=a_template(labels=VERSIONED))
    assert "cannot be the value of the label version" in refusal(
        an_observation(stable), a_bluegreen("2.0.0_", target=target)
    )


def test_refuses_a_green_of_another_version_and_offers_adoption() -> None:
    labels = {"app": "hello", "color": "green"}
    green = a_deployment(
        "hello-green", a_template("1.5.0", labels=labels), selector={"matchLabels": labels}
    )
    blue = a_deployment(template=a_template(labels={"app": "hello", "color": "blue"}))
    line = refusal(
        an_observation(
            blue, green, services=(a_service(selector={"app": "hello", "color": "blue"}),)
        )
    )
    assert "Deploy 1.5.0 bluegreen to adopt it" in line
    assert "kubectl -n default delete deployment hello-green" in line


def test_refuses_another_releases_green_with_the_removal_command() -> None:
    green = a_deployment(
        "hello-green",
        annotations={"pilothouse.dev/release": "hello-7"},
        replicas=0,
        replica_sets=(),
    )
    assert (
        "hello-green is claimed by release hello-7, which this installation does not know to be"
        " over. If no other" in refusal(an_observation(candidate=green))
    )


def test_a_green_that_the_service_selects_already() -> None:
    green = a_deployment("hello-green", a_template("2.0.0"))
    assert "selects pods of hello-green already" in refusal(an_observation(candidate=green))


def test_an_autoscaler_that_moves_green() -> None:
    survey = Survey(autoscalers=(AutoscalerSeen("green", "hello-green", 1, 5),))
    assert "HorizontalPodAutoscaler green scales hello-green" in refusal(
        an_observation(survey=survey)
    )


def test_a_service_of_another_app_that_would_select_green() -> None:
    survey = Survey(
        selecting=(SelectingSeen("Service", "greens", {"matchLabels": {"app": "hello-green"}}),)
    )
    assert "Service greens" in refusal(an_observation(survey=survey))


def test_an_existing_preview_service() -> None:
    survey = Survey(
        selecting=(SelectingSeen("Service", "hello-preview", {"matchLabels": {"app": "other"}}),)
    )
    release = a_bluegreen(rules=rules_with(bluegreen={"preview": True}))
    assert "A Service hello-preview exists already" in refusal(
        an_observation(survey=survey), release
    )


def test_a_service_managed_elsewhere() -> None:
    managed = a_service(annotations={"argocd.argoproj.io/tracking-id": "hello"})
    assert "Argo CD" in refusal(an_observation(services=(managed,)))
    warned = a_bluegreen(rules=rules_with(managed_elsewhere="warn"))
    assert "Argo CD" in notes(an_observation(services=(managed,)), warned)


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"cluster_ip": "None"}, "headless"),
        ({"selector": {"app": "hello"}}, "app: hello → hello-green"),
    ],
)
def test_the_plan_notes_surprises(facts: dict[str, Any], word: str) -> None:
    assert word in notes(an_observation(services=(a_service(**facts),)))


def test_another_service_that_would_reach_green_early_is_noted() -> None:
    stable = a_deployment(template=a_template(labels=VERSIONED))
    survey = Survey(
        selecting=(SelectingSeen("Service", "metrics", {"matchLabels": {"app": "hello"}}),)
    )
    seen = an_observation(stable, services=(a_service(selector=VERSIONED),), survey=survey)
    assert "Service metrics reaches green before the switch" in notes(
        seen, a_bluegreen(target=a_target(version_label="version"))
    )
