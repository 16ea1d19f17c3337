"""Claims about an observation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.assess.conditions import condition_holds
from bot.releases.assess.rollout import is_complete, newest, rollout_line
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.plan import Condition
from tests.builders import (
    a_canary,
    a_deployment,
    a_release,
    a_replica_set,
    a_rolling_deployment,
    a_service,
    a_template,
    an_observation,
    pods_for,
)

LINES: list[tuple[DeploymentSeen, str]] = [
    (a_deployment(generation=2), "Waiting for deployment spec update to be observed..."),
    (
        a_deployment(conditions=(("Progressing", "False", "ProgressDeadlineExceeded", ""),)),
        'deployment "hello" exceeded its progress deadline',
    ),
    (
        a_rolling_deployment(new=1, old=3),
        (
            'Waiting for deployment "hello" rollout to finish: 1 out of 3 new replicas have been'
            " updated..."
        ),
    ),
    (
        a_rolling_deployment(new=3, old=1),
        (
            'Waiting for deployment "hello" rollout to finish: 1 old replicas are pending'
            " termination..."
        ),
    ),
    (
        a_rolling_deployment(new=3, old=0, new_ready=2),
        (
            'Waiting for deployment "hello" rollout to finish: 2 of 3 updated replicas are'
            " available..."
        ),
    ),
    (a_deployment(), 'deployment "hello" successfully rolled out'),
]


@pytest.mark.parametrize(("deployment", "line"), LINES)
def test_a_rollout_is_told_in_kubectls_words(deployment: DeploymentSeen, line: str) -> None:
    assert rollout_line(deployment) == line


@pytest.mark.parametrize(
    "deployment", [deployment for deployment, line in LINES if "Waiting" in line]
)
def test_what_kubectl_waits_for_is_not_complete(deployment: DeploymentSeen) -> None:
    assert not is_complete(deployment)


def test_newest_replica_set_is_of_the_current_template() -> None:
    old = a_replica_set("hello-1", a_template(), revision=1)
    new = a_replica_set("hello-2", a_template("2.0.0"), revision=2)
    found = newest(a_deployment(template=a_template(), replica_sets=(new, old)))
    assert found is not None and found.name == "hello-1"


def a_canary_of(count: int, **facts: int) -> DeploymentSeen:
    template = a_template("2.0.0", labels={"app": "hello", "track": "canary"})
    pods = pods_for("hello-canary-1", template, count, **facts)
    return a_deployment(
        "hello-canary",
        template,
        replicas=count,
        replica_sets=(a_replica_set("hello-canary-1", template, pods=pods),),
    )


def test_candidate_is_listed_when_every_available_pod_is_an_endpoint() -> None:
    seen = an_observation(candidate=a_canary_of(2))
    late = replace(seen, endpoints=tuple(e for e in seen.endpoints if e.pod != "hello-canary-1-1"))
    assert condition_holds(Condition.CANDIDATE_LISTED, a_release(), seen) and not condition_holds(
        Condition.CANDIDATE_LISTED, a_release(), late
    )


def test_two_addresses_of_one_pod_are_one_endpoint() -> None:
    seen = an_observation(candidate=a_canary_of(4))
    two = [e for e in seen.endpoints if e.pod in ("hello-canary-1-0", "hello-canary-1-1")]
    both = tuple(replace(e, address=f"{e.address}{family}") for e in two for family in ("", "v6"))
    half_listed = replace(seen, endpoints=both)
    assert not condition_holds(Condition.CANDIDATE_LISTED, a_canary(), half_listed)


def test_a_candidate_is_silent_while_its_pods_only_terminate() -> None:
    template = a_template("2.0.0")
    pods = tuple(replace(pod, terminating=True) for pod in pods_for("hello-canary-1", template, 2))
    gone = a_deployment(
        "hello-canary",
        template,
        replicas=0,
        replica_sets=(a_replica_set("hello-canary-1", template, pods=pods),),
    )
    assert condition_holds(Condition.CANDIDATE_SILENT, a_release(), an_observation(candidate=gone))
    assert not condition_holds(
        Condition.CANDIDATE_SILENT, a_release(), an_observation(candidate=a_canary_of(1))
    )


def test_foreign_pods_with_matching_labels_are_not_counted() -> None:
    stranger = replace(an_observation().endpoints[0], pod="stranger", pod_uid="uid-stranger")
    seen = an_observation(
        a_deployment(replicas=0, replica_sets=()), services=(a_service(),), endpoints=(stranger,)
    )
    assert not condition_holds(Condition.SERVED_BY_STABLE, a_release(), seen)
