"""What a Service that changes hands still lacks."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.handover import Handover, load_of
from bot.releases.facts.observation import DeploymentSeen, Observation, ServiceSeen
from tests.builders import (
    a_deployment,
    a_replica_set,
    a_service,
    a_template,
    an_observation,
    pods_for,
)

GREEN = {"app": "hello-green"}


def pods_on(
    name: str, labels: dict[str, str], nodes: str, *, ready: int | None = None
) -> DeploymentSeen:
    template = a_template(labels=labels)
    pods = pods_for(name, template, len(nodes), ready=ready)
    placed = tuple(replace(pod, node=node) for pod, node in zip(pods, nodes, strict=True))
    sets = (a_replica_set(name, template, pods=placed),)
    return a_deployment(name, template, replicas=len(nodes), replica_sets=sets)


def to_green(service: ServiceSeen, *, blue: str, green: str, ready: int | None = None) -> Handover:
    candidate = pods_on("hello-green", GREEN, green, ready=ready)
    seen = an_observation(pods_on("hello", {"app": "hello"}, blue), candidate, services=(service,))
    return Handover(seen, candidate, seen.stable, ("hello",), (GREEN,), floor=0)


def test_as_many_ready_pods_as_serve_are_needed() -> None:
    handover = to_green(a_service(), blue="abc", green="abc", ready=2)
    assert handover.shortfalls() == ("hello-green has 2 of 3 ready pods",)


def test_a_ceiling_limits_what_is_needed() -> None:
    handover = to_green(a_service(), blue="abc", green="ab")
    assert replace(handover, ceiling=2).shortfalls() == ()


def test_a_local_policy_needs_a_pod_on_each_node_that_serves() -> None:
    outside = a_service(external_traffic_policy="Local")
    (bare,) = to_green(outside, blue="ab", green="bb").shortfalls()
    assert (
        bare == "a serves hello without a ready pod of hello-green (externalTrafficPolicy: Local)"
    )
    inside = a_service(internal_traffic_policy="Local")
    (bare,) = to_green(inside, blue="abc", green="ccc").shortfalls()
    assert bare.startswith("a, b serve hello without a ready pod of hello-green (internalTraffic")
    assert to_green(outside, blue="ab", green="ab").shortfalls() == ()


def test_a_service_that_publishes_unready_pods_waits_for_all_of_them() -> None:
    service = a_service(publishes_not_ready=True)
    (lacks,) = to_green(service, blue="ab", green="abc", ready=2).shortfalls()
    assert lacks.startswith(
        "1 of hello-green's pods are not ready, and Service hello would publish"
    )


def with_two_addresses(seen: Observation) -> Observation:
    return replace(
        seen,
        endpoints=(
            *seen.endpoints,
            *(replace(e, address=f"{e.address}-6") for e in seen.endpoints),
        ),
    )


def test_pods_count_and_not_their_addresses() -> None:
    seen = with_two_addresses(an_observation())
    assert load_of(seen, seen.stable, ("hello",)) == 3
