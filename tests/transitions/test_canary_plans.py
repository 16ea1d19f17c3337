"""What a canary's plan says before the start, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.actions import CreateDeployment
from bot.releases.facts.observation import (
    AutoscalerSeen,
    BudgetSeen,
    DeploymentSeen,
    Observation,
    QuotaSeen,
    SelectingSeen,
    Survey,
)
from bot.releases.facts.plan import ApprovalGate, HoldGate, Plan
from bot.releases.facts.release import Phase, Release
from tests.builders import (
    MINUTE,
    T0,
    a_canary,
    a_deployment,
    a_replica_set,
    a_rolling_deployment,
    a_rolling_update,
    a_service,
    a_target,
    a_template,
    an_observation,
    rules_with,
)
from tests.transitions.ticks import claimed, planned

RESOURCES = {"requests": {"cpu": "100m"}, "limits": {"memory": "10Mi"}}


def plan_of(release: Release, seen: Observation | None = None) -> Plan:
    plan = planned(release, seen).plan
    assert plan is not None, "the plan was refused"
    return plan


def notes_of(release: Release, seen: Observation | None = None) -> str:
    return "\n".join(plan_of(release, seen).notes)


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
    assert body["spec"]["template"] == a_template("2.0.0", labels={**labels, "track": "canary"})
    assert body["spec"]["selector"] == {"matchLabels": {"app": "hello", "track": "canary"}}
    assert (
        body["spec"]["replicas"] == 0
        and body["metadata"]["annotations"]["pilothouse.dev/release"] == "hello-42"
    )
    assert body["metadata"]["annotations"]["kubernetes.io/change-cause"].startswith(
        "hello 2.0.0 by developer, hello-42"
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
        "internalTrafficPolicy Local",
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
    assert notes_of(a_canary(steps=(25, 50))) == ""


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


# --- what cannot start ----------------------------------------------------------------------------


def a_leftover(version: str = "2.0.0", **facts: Any) -> DeploymentSeen:
    labels = {"app": "hello", "track": "canary"}
    return a_deployment("hello-canary", a_template(version, labels=labels), replicas=1, **facts)


def with_spec(**spec: Any) -> Observation:
    return an_observation(a_deployment(template=a_template(**spec)))


def surveyed(**facts: Any) -> Observation:
    return an_observation(survey=Survey(**facts))


def a_shift(**options: Any) -> Release:
    return a_canary(rules=rules_with(canary={"mode": "shift"}), **options)


HOST_PORT = [
    {
        "name": "hello",
        "image": "kelseyhightower/hello:1.0.0",
        "ports": [{"containerPort": 80, "hostPort": 8080}],
    }
]
REFUSED: dict[str, tuple[Release, Observation, str]] = {
    "share 0": (a_canary(steps=(0, 50)), an_observation(), "0% is not a share for a canary"),
    "share above 100": (a_canary(steps=(50, 120)), an_observation(), "120% is not a share"),
    "100 in the middle": (a_canary(steps=(100, 50)), an_observation(), "100% is not a share"),
    "not rising": (
        a_canary(steps=(50, 20)),
        an_observation(),
        "The steps must rise, but are 50, 20",
    ),
    "twice the same": (a_canary(steps=(20, 20)), an_observation(), "The steps must rise"),
    "no step": (
        a_canary(steps=(100,)),
        an_observation(),
        "needs a share between 1% and 99% before the promotion",
    ),
    "too many steps": (
        a_canary(steps=(10, 20, 30, 40)),
        an_observation(),
        "4 steps (10%, 20%, 30%, 40%) cannot be told apart with 3 replicas",
    ),
    "no Service in the catalog": (
        a_canary(target=a_target(services=())),
        an_observation(),
        "hello has no Service",
    ),
    "Service of others": (
        a_canary(),
        an_observation(services=(a_service(selector={"app": "other"}),)),
        "Service hello does not select hello's pods",
    ),
    "Service without selector": (
        a_canary(),
        an_observation(services=(a_service(selector={}),)),
        "has no selector",
    ),
    "Service for the stable track": (
        a_canary(),
        an_observation(
            a_deployment(template=a_template(labels={"app": "hello", "track": "stable"})),
            services=(a_service(selector={"app": "hello", "track": "stable"}),),
        ),
        "Service hello selects track=stable, but the new pods of hello-canary have track=canary",
    ),
    "same image": (a_canary("1.0.0"), an_observation(), "hello already runs 1.0.0"),
    "paused": (a_canary(), an_observation(a_deployment(paused=True)), "hello is paused"),
    "mid-rollout": (
        a_canary(),
        an_observation(a_rolling_deployment(new=1, old=2)),
        (
            "hello is half-rolled (3 of 3 available, 1 updated). Wait for it, or undo it"
            " (rollout undo hello)."
        ),
    ),
    "managed by Argo CD": (
        a_canary(),
        an_observation(
            a_deployment(
                annotations={"argocd.argoproj.io/tracking-id": "web:apps/Deployment:default/hello"}
            )
        ),
        (
            "hello is managed elsewhere: Argo CD (argocd.argoproj.io/tracking-id:"
            " web:apps/Deployment:default/hello)"
        ),
    ),
    "managed by Helm": (
        a_canary(),
        an_observation(a_deployment(annotations={"meta.helm.sh/release-name": "web"})),
        (
            "managed elsewhere: Helm (meta.helm.sh/release-name: web) would revert the change."
            " Change it there, or set"
        ),
    ),
    "image applied elsewhere": (
        a_canary(),
        an_observation(
            a_deployment(
                managers=(("gitops", "Apply", "", "spec.template.spec.containers.hello.image"),)
            )
        ),
        "gitops (applies spec.template.spec.containers.hello.image) would revert the change",
    ),
    "a Service that is not there": (
        a_canary(),
        an_observation(services=()),
        "There is no Service `hello` in namespace default",
    ),
    "unhealthy": (a_canary(), an_observation(a_deployment(available=1)), "hello is not healthy"),
    "Recreate": (
        a_canary(),
        an_observation(a_deployment(strategy={"type": "Recreate"})),
        "the strategy Recreate",
    ),
    "nothing runs": (a_canary(), an_observation(a_deployment(replicas=0)), "hello has 0 replicas"),
    "ReadWriteOnce": (
        a_canary(),
        surveyed(claims=(("data", ("ReadWriteOnce",)),)),
        "mounts the claim data (ReadWriteOnce)",
    ),
    "ReadWriteOncePod": (
        a_canary(),
        surveyed(claims=(("data", ("ReadWriteOncePod",)),)),
        "mounts the claim data (ReadWriteOncePod)",
    ),
    "host port": (a_canary(), with_spec(containers=HOST_PORT), "uses the host port 8080"),
    "shift with HPA": (
        a_shift(),
        surveyed(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 9),)),
        "HorizontalPodAutoscaler hello-hpa would undo the shrinking of hello",
    ),
    "two HPAs": (
        a_canary(),
        surveyed(
            autoscalers=(AutoscalerSeen("one", "hello", 2, 9), AutoscalerSeen("two", "hello", 1, 4))
        ),
        "Several HorizontalPodAutoscalers scale hello: one, two",
    ),
    "HPA of the candidate": (
        a_canary(),
        surveyed(autoscalers=(AutoscalerSeen("canary-hpa", "hello-canary", 1, 4),)),
        "HorizontalPodAutoscaler canary-hpa scales hello-canary",
    ),
    "HPA of a Deployment whose selector takes the candidate's pods in": (
        a_canary(),
        surveyed(
            autoscalers=(
                AutoscalerSeen("hello-hpa", "hello", 2, 9),
                AutoscalerSeen("old-hpa", "hello-old", 1, 4),
            ),
            selecting=(
                SelectingSeen("Deployment", "hello-old", {"matchLabels": {"app": "hello"}}),
            ),
        ),
        "HorizontalPodAutoscaler hello-hpa and old-hpa would count the pods of hello-canary",
    ),
    "stable as large as its HPA allows": (
        a_canary(),
        surveyed(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 3),)),
        (
            "hello has 3 pods, as many as HorizontalPodAutoscaler hello-hpa allows. Raise its"
            " maximum, or set `canary: {max_candidates: 1}`"
        ),
    ),
    "steps that an HPA leaves no room for": (
        a_canary(steps=(20, 50)),
        surveyed(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 4),)),
        "reachable: 25%; HorizontalPodAutoscaler hello-hpa allows 4 pods in all",
    ),
    "replicas applied elsewhere in shift mode": (
        a_shift(),
        an_observation(a_deployment(managers=(("gitops", "Apply", "", "spec.replicas"),))),
        "gitops (applies spec.replicas) would undo its shrinking",
    ),
    "affinity applied elsewhere": (
        a_canary(sticky=True),
        an_observation(
            services=(a_service(managers=(("gitops", "Apply", "", "spec.sessionAffinity"),)),)
        ),
        "would revert the session affinity. Leave `sticky` out",
    ),
    "no quota for one pod": (
        a_canary(),
        surveyed(quotas=(QuotaSeen("compute", {"pods": "3"}, {"pods": "3"}),)),
        "There is no room for a single canary pod: quota compute: pods 3 of 3 used",
    ),
    "another release's leftover": (
        a_canary(),
        surveyed(leftovers=(a_leftover(annotations={"pilothouse.dev/release": "hello-7"}),)),
        (
            "left over from release hello-7, which is no longer running. Remove it with `kubectl -n"
            " default delete deployment hello-canary`"
        ),
    ),
    "a leftover of another version": (
        a_canary(),
        surveyed(leftovers=(a_leftover("1.5.0"),)),
        (
            "hello-canary runs 1.5.0 and belongs to no release. Deploy 1.5.0 canary to adopt it, or"
            " remove it with `kubectl"
        ),
    ),
    "a leftover that goes": (
        a_canary(),
        surveyed(leftovers=(a_leftover(terminating=True),)),
        "is being deleted",
    ),
    "a paused leftover": (
        a_canary(),
        surveyed(leftovers=(a_leftover(paused=True),)),
        "is paused and cannot be adopted",
    ),
    "version label in own selector": (
        a_canary(target=a_target(version_label="version")),
        an_observation(
            a_deployment(
                template=a_template(labels={"app": "hello", "version": "1.0.0"}),
                selector={"matchLabels": {"app": "hello", "version": "1.0.0"}},
            )
        ),
        "the label version is in its own selector",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_canary_that_cannot_run_is_refused_in_one_line(name: str) -> None:
    release, seen, line = REFUSED[name]
    decision = decide(release, seen, T0)
    assert decision.release.phase is Phase.FAILED and decision.actions == ()
    assert decision.release.cause is not None
    assert line in decision.release.cause.summary and "\n" not in decision.release.cause.summary


def test_notes_that_an_abort_removes_an_adopted_canary() -> None:
    notes = notes_of(a_canary(), surveyed(leftovers=(a_leftover(),)))
    assert (
        "hello-canary was begun by hand and already runs 2.0.0 (1 pod): it is adopted, so an abort"
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
    plan = planned(a_canary(steps=(20, 50)), an_observation(a_deployment(replicas=1))).plan
    assert plan is not None and plan.steps[0].share == 50
    assert "1 replica cannot tell the steps apart: 20% is left out" in plan.notes
