"""The plan of a canary before the start: candidate, steps, gates and notes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.actions import CreateDeployment
from bot.releases.facts.observation import (
    AutoscalerSeen,
    BudgetSeen,
    Observation,
    QuotaSeen,
    Survey,
)
from bot.releases.facts.plan import ApprovalGate, DeploymentGoal, HoldGate
from bot.releases.facts.release import Phase, Release
from bot.releases.planning.draining import with_sleep
from tests.builders import (
    MINUTE,
    T0,
    a_canary,
    a_deployment,
    a_replica_set,
    a_rolling_update,
    a_service,
    a_template,
    an_observation,
    rules_with,
)
from tests.transitions.canary_plans import a_leftover, a_shift, notes_of, plan_of, surveyed
from tests.transitions.ticks import claimed, planned

RESOURCES = {"requests": {"cpu": "100m"}, "limits": {"memory": "10Mi"}}


def body_of(release: Release, seen: Observation) -> Any:
    release = decide(planned(release, seen), seen, T0).release
    assert seen.stable is not None
    decision = decide(release, replace(seen, stable=claimed(seen.stable, cause="")), T0)
    (made,) = decision.actions
    assert isinstance(made, CreateDeployment)
    return made.body


# --- the candidate --------------------------------------------------------------------------------


def test_candidate_is_stables_template_with_new_image_and_track() -> None:
    labels = {"app": "hello", "track": "stable", "version": "1.0.0"}
    body = body_of(a_canary(), an_observation(a_deployment(template=a_template(labels=labels))))
    made = with_sleep(a_template("2.0.0", labels={**labels, "track": "canary"}))
    assert body["spec"]["template"] == made
    assert body["spec"]["selector"] == {"matchLabels": {"app": "hello", "track": "canary"}}
    assert (
        body["spec"]["replicas"] == 0
        and body["metadata"]["annotations"]["pilothouse.dev/release"] == "hello-42"
    )
    assert body["metadata"]["annotations"]["kubernetes.io/change-cause"].startswith(
        "hello 2.0.0 by developer, hello-42"
    )


def test_canary_pods_sleep_before_they_end_and_stable_never_gets_that_hook() -> None:
    seen = an_observation()
    (container,) = body_of(a_canary(), seen)["spec"]["template"]["spec"]["containers"]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    plan = plan_of(a_canary(), seen)
    rolled = [
        goal.template
        for step in plan.steps
        for goal in step.goals
        if isinstance(goal, DeploymentGoal) and goal.template is not None
    ]
    assert rolled == [a_template("2.0.0")]
    assert "hello has no preStop hook, so pods of hello-canary get one that sleeps 5 s" in notes_of(
        a_canary(), seen
    )


def test_no_hook_is_written_on_a_cluster_that_knows_none_and_the_plan_says_so() -> None:
    seen = an_observation(survey=Survey(kubernetes=(1, 29)))
    (container,) = body_of(a_canary(), seen)["spec"]["template"]["spec"]["containers"]
    assert "lifecycle" not in container
    assert (
        "hello has no preStop hook, and Kubernetes 1.29 of this cluster cannot let pods sleep"
        " before they end (1.30 can): each pod of hello-canary that leaves may lose requests for up"
        " to a second"
    ) in notes_of(a_canary(), seen)


def test_the_oldest_cluster_that_lets_pods_sleep_gets_the_hook() -> None:
    seen = an_observation(survey=Survey(kubernetes=(1, 30)))
    (container,) = body_of(a_canary(), seen)["spec"]["template"]["spec"]["containers"]
    assert container["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_a_hook_of_the_template_is_left_as_it_is() -> None:
    template = a_template()
    hook = {"preStop": {"exec": {"command": ["sleep", "20"]}}}
    template["spec"]["containers"][0]["lifecycle"] = hook
    seen = an_observation(a_deployment(template=template))
    (container,) = body_of(a_canary(), seen)["spec"]["template"]["spec"]["containers"]
    assert container["lifecycle"] == hook
    assert "preStop" not in notes_of(a_canary(), seen)


def test_pods_without_a_grace_period_cannot_sleep_and_the_plan_says_what_they_lose() -> None:
    seen = an_observation(a_deployment(template=a_template(terminationGracePeriodSeconds=0)))
    (container,) = body_of(a_canary(), seen)["spec"]["template"]["spec"]["containers"]
    assert "lifecycle" not in container
    assert "each pod that is removed loses the requests that it is serving" in notes_of(
        a_canary(), seen
    )


def test_candidate_does_not_inherit_labels_of_delivery_tools() -> None:
    labels = {
        "app": "hello",
        "argocd.argoproj.io/instance": "hello",
        "app.kubernetes.io/instance": "hello",
    }
    release = a_canary(rules=rules_with(managed_elsewhere="warn"))
    assert body_of(release, an_observation(a_deployment(labels=labels)))["metadata"]["labels"] == {
        "app": "hello",
        "track": "canary",
    }


def test_candidate_keeps_match_expressions_except_track() -> None:
    rules = [
        {"key": "tier", "operator": "In", "values": ["web"]},
        {"key": "track", "operator": "NotIn", "values": ["canary"]},
    ]
    stable = a_deployment(
        template=a_template(labels={"app": "hello", "tier": "web"}),
        selector={"matchLabels": {"app": "hello"}, "matchExpressions": rules},
    )
    selector = body_of(a_canary(), an_observation(stable))["spec"]["selector"]
    assert selector == {
        "matchLabels": {"app": "hello", "track": "canary"},
        "matchExpressions": rules[:1],
    }


# --- steps and gates ------------------------------------------------------------------------------


def test_each_step_holds_and_the_last_one_waits_for_the_promotion() -> None:
    plan = plan_of(
        a_canary(steps=(20, 50), hold_ms=MINUTE), an_observation(a_deployment(replicas=5))
    )
    gates = {
        step.name: [(type(gate).__name__, gate.name) for gate in step.gates] for step in plan.steps
    }
    assert gates == {
        "share-17": [("HoldGate", "hold")],
        "share-50": [("HoldGate", "hold"), ("ApprovalGate", "promote")],
        "promote": [],
        "finish": [],
    }
    assert all(
        gate.judged and gate.ms == MINUTE
        for step in plan.steps
        for gate in step.gates
        if isinstance(gate, HoldGate)
    )


def test_a_final_100_is_the_promotion() -> None:
    assert [step.name for step in plan_of(a_canary(steps=(50, 100))).steps] == [
        "share-50",
        "promote",
        "finish",
    ]


def test_steps_without_hold_follow_each_other() -> None:
    plan = plan_of(
        a_canary(steps=(25, 50), hold_ms=0, rules=rules_with(canary={"promote": "automatic"}))
    )
    assert all(not step.gates for step in plan.steps)


def test_the_promotion_takes_the_quorum_of_the_catalog() -> None:
    plan = plan_of(
        a_canary(
            rules=rules_with(
                approvals={"promote": 2, "expires_ms": 5 * MINUTE, "on_expiry": "abort"}
            )
        )
    )
    (gate,) = [gate for step in plan.steps for gate in step.gates if isinstance(gate, ApprovalGate)]
    assert (gate.quorum, gate.expires_ms, gate.on_expiry) == (2, 5 * MINUTE, "abort")


@pytest.mark.parametrize(
    ("replicas", "mode", "strategy", "floor"),
    [
        (4, "add", ("25%", "25%"), 3),
        (10, "shift", ("25%", "25%"), 2),
        (1, "add", (0, 1), 0),
        (3, "add", (1, 0), 3),
    ],
)
def test_the_floor_is_the_least_stable_pods_of_any_step(
    replicas: int, mode: str, strategy: tuple[Any, Any], floor: int
) -> None:
    seen = an_observation(a_deployment(replicas=replicas, strategy=a_rolling_update(*strategy)))
    plan = plan_of(
        a_canary(steps=(50,) if mode == "add" else (80,), rules=rules_with(canary={"mode": mode})),
        seen,
    )
    assert plan.floor == floor


# --- notes ----------------------------------------------------------------------------------------


def test_notes_shares_that_whole_pods_cannot_reach() -> None:
    notes = notes_of(a_canary(steps=(10, 50)))
    assert (
        "wanted 10%, nearest is 25% with 3 replicas" in notes
        and "shares within reach: 25%, 40%, 50%" in notes
    )


def test_reachable_shares_get_no_note() -> None:
    assert "wanted" not in notes_of(a_canary(steps=(25, 50)))


def test_suggests_the_share_of_shift_mode() -> None:
    assert "`mode: shift` reaches more" in notes_of(a_canary(steps=(80,)))


NOTED: dict[str, tuple[Observation, str]] = {
    "trafficDistribution": (
        an_observation(services=(a_service(traffic_distribution="PreferClose"),)),
        "trafficDistribution PreferClose",
    ),
    "internalTrafficPolicy": (
        an_observation(services=(a_service(internal_traffic_policy="Local"),)),
        "internalTrafficPolicy: Local",
    ),
    "externalTrafficPolicy": (
        an_observation(services=(a_service(external_traffic_policy="Local"),)),
        "externalTrafficPolicy: Local",
    ),
    "headless": (an_observation(services=(a_service(cluster_ip="None"),)), "is headless"),
    "grpc": (
        an_observation(services=(a_service(ports=({"port": 80, "appProtocol": "grpc"},)),)),
        "HTTP/2 or gRPC",
    ),
    "h2c": (
        an_observation(
            services=(a_service(ports=({"port": 80, "appProtocol": "kubernetes.io/h2c"},)),)
        ),
        "HTTP/2 or gRPC",
    ),
    "grpc by name": (
        an_observation(services=(a_service(ports=({"port": 80, "name": "grpc-web"},)),)),
        "HTTP/2 or gRPC",
    ),
    "ClientIP": (
        an_observation(
            services=(
                a_service(affinity={"sessionAffinity": "ClientIP", "sessionAffinityConfig": None}),
            )
        ),
        "session affinity ClientIP",
    ),
    "budget": (
        an_observation(
            survey=Survey(budgets=(BudgetSeen("hello-pdb", {"matchLabels": {"app": "hello"}}),))
        ),
        "PodDisruptionBudget hello-pdb counts canary pods too",
    ),
    "budget by expression": (
        an_observation(
            survey=Survey(
                budgets=(
                    BudgetSeen(
                        "web-pdb",
                        {
                            "matchExpressions": [
                                {"key": "app", "operator": "In", "values": ["hello", "auth"]}
                            ]
                        },
                    ),
                )
            )
        ),
        "PodDisruptionBudget web-pdb counts canary pods too",
    ),
    "autoscaler": (
        an_observation(survey=Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 9),))),
        (
            "may scale stable between 2 and 9: canary pods follow it down, so that their share does"
            " not grow; as it scales up, their share may fall to 25%"
        ),
    ),
    "an orphan of an earlier canary": (
        an_observation(
            a_deployment(
                replica_sets=(
                    *a_deployment().replica_sets,
                    a_replica_set(
                        "hello-canary-x", a_template("1.5.0"), labels={"track": "canary"}
                    ),
                )
            )
        ),
        "ReplicaSet hello-canary-x of hello belonged to an earlier canary",
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_notes_influences_on_the_share_of_requests(name: str) -> None:
    seen, note = NOTED[name]
    assert note in notes_of(a_canary(), seen)


def test_notes_that_sticky_counts_clients_by_address() -> None:
    assert "many clients behind one address count as one" in notes_of(a_canary(sticky=True))


def test_a_plain_service_needs_no_warning() -> None:
    template = with_sleep(a_template())
    seen = an_observation(a_deployment(template=template))
    assert notes_of(a_canary(steps=(25, 50)), seen) == ""


def test_a_small_quota_limits_the_candidates() -> None:
    quota = QuotaSeen("compute", {"pods": "12"}, {"pods": "10"})
    seen = an_observation(
        a_deployment(replicas=10, strategy=a_rolling_update(1, 4)), survey=Survey(quotas=(quota,))
    )
    plan = plan_of(a_canary(steps=(50,)), seen)
    assert [step.candidates for step in plan.steps] == [2, 2, 0]
    assert (
        "there is room for 2 canary pods: at least 6 of 10 stable pods serve during the promotion"
        in plan.notes
    )


def test_candidates_stay_within_an_autoscalers_maximum_and_the_plan_says_so() -> None:
    seen = an_observation(
        a_deployment(replicas=5),
        survey=Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 7),)),
    )
    plan = plan_of(a_canary(steps=(17, 50)), seen)
    assert [step.candidates for step in plan.steps] == [1, 2, 2, 0]
    assert "wanted 50%, nearest is 29% with 5 replicas" in plan.notes
    assert any(
        note.endswith("; HorizontalPodAutoscaler hello-hpa allows 7 pods in all")
        for note in plan.notes
    )


def test_max_candidates_may_exceed_an_autoscalers_maximum() -> None:
    seen = an_observation(
        a_deployment(replicas=5),
        survey=Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 5),)),
    )
    plan = plan_of(a_canary(steps=(20, 50), rules=rules_with(canary={"max_candidates": 5})), seen)
    assert [step.candidates for step in plan.steps] == [1, 5, 5, 0]


def test_notes_how_few_pods_serve_after_an_abort_in_shift_mode() -> None:
    notes = notes_of(a_shift(steps=(20, 80)), an_observation(a_deployment(replicas=5)))
    assert "an abort at 80% leaves 1 stable pod to serve until 4 more are ready" in notes


# --- adopted canaries -----------------------------------------------------------------------------


def test_notes_that_an_abort_removes_an_adopted_canary() -> None:
    notes = notes_of(a_canary(), surveyed(leftovers=(a_leftover(),)))
    assert (
        "hello-canary exists already and runs 2.0.0 (1 pod): it is adopted, so an abort"
        " removes it too" in notes
    )


def test_notes_an_adopted_canary_that_differs_in_more_than_its_image() -> None:
    other = a_deployment(
        "hello-canary",
        a_template("2.0.0", labels={"app": "hello", "track": "canary"}, hostNetwork=True),
        replicas=1,
    )
    assert "hello-canary's pods differ in more than labels from what hello would run" in notes_of(
        a_canary(), surveyed(leftovers=(other,))
    )
    assert "differ" not in notes_of(a_canary(), surveyed(leftovers=(a_leftover(),)))


def test_an_adopted_canary_belongs_to_the_original_state() -> None:
    release = planned(a_canary(), surveyed(leftovers=(a_leftover(),)))
    assert release.as_found is not None and release.as_found.candidate is not None
    assert release.as_found.candidate.uid == "uid-hello-canary"


def test_a_single_replica_gets_the_share_that_it_can_reach() -> None:
    release = a_canary(rules=rules_with(canary={"steps": (20, 50)}))
    plan = planned(release, an_observation(a_deployment(replicas=1))).plan
    assert plan is not None and plan.steps[0].share == 50
    note = "1 replica reaches 50% and no other share: the catalog's step 20% is left out"
    assert note in plan.notes


def test_steps_that_a_person_typed_are_never_left_out() -> None:
    release = planned(a_canary(steps=(20, 50)), an_observation(a_deployment(replicas=1)))
    assert release.phase is Phase.FAILED and release.cause is not None
    assert "1 replica and at most 1 candidate: 50% is possible" in release.cause.summary


def test_a_standing_canary_is_adopted_only_once_a_person_confirms() -> None:
    release = planned(a_canary(), surveyed(leftovers=(a_leftover(),)))
    assert release.plan is not None and release.phase is Phase.AWAITING_APPROVAL
    assert [gate.name for gate in release.plan.start] == ["adoption"]


def test_a_canary_left_by_a_release_that_is_over_is_adopted_with_a_note() -> None:
    left = surveyed(leftovers=(a_leftover(annotations={"pilothouse.dev/release": "hello-7"}),))
    release = planned(replace(a_canary(), stale_candidate_claim="hello-7"), left)
    assert release.plan is not None
    assert "hello-canary was left by release hello-7, which is over" in release.plan.notes
