"""Canaries that are refused before the start."""

from __future__ import annotations

from typing import Any

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.observation import (
    AutoscalerSeen,
    Observation,
    QuotaSeen,
    SelectingSeen,
)
from bot.releases.facts.release import Phase, Release
from tests.builders import (
    T0,
    a_canary,
    a_deployment,
    a_rolling_deployment,
    a_service,
    a_target,
    a_template,
    an_observation,
)
from tests.transitions.canary_plans import a_leftover, a_shift, surveyed

RESOURCES = {"requests": {"cpu": "100m"}, "limits": {"memory": "10Mi"}}


def with_spec(**spec: Any) -> Observation:
    return an_observation(a_deployment(template=a_template(**spec)))


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
        "hello has 3 replicas and at most 3 candidates: 25%, 40%, 50% are possible.",
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
        "25% is possible; HorizontalPodAutoscaler hello-hpa allows 4 pods in all",
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
            "is claimed by release hello-7, which this installation does not know to be over. If no"
            " other installation runs it, remove it with `kubectl -n default delete deployment"
            " hello-canary`"
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
