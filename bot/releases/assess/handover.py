"""May a Service change hands? Capacity is promised against the load that is carried now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bot.releases.assess.rollout import live_pods, newest, pods_of, ready_endpoints
from bot.releases.assess.selectors import selected_ready
from bot.releases.facts.counts import some_of
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen, ServiceSeen
from bot.releases.facts.release import Release

LOCAL = "Local"


def serving_pods(
    seen: Observation, deployment: DeploymentSeen | None, service: str
) -> tuple[PodSeen, ...]:
    """Ready pods of a Deployment behind a Service: pods, not addresses, and none that is published
    without being ready."""
    uids = {endpoint.pod_uid for endpoint in ready_endpoints(seen, deployment, (service,))}
    return tuple(pod for pod in pods_of(deployment) if pod.uid in uids and pod.ready)


def load_of(seen: Observation, deployment: DeploymentSeen | None, services: Collection[str]) -> int:
    """The pods that a Deployment serves with, in the Service where they are most."""
    return max((len(serving_pods(seen, deployment, name)) for name in services), default=0)


@dataclass(frozen=True)
class Handover:
    """From ``giver`` to ``receiver``, whose pods the ``selectors`` choose afterwards.

    ``floor``: pods that must stay available as found; ``ceiling``: more than that is never asked
    of the receiver (None: no limit). ``together``: where both serve, up to so many pods of both
    count as the load: what carried it alone before.
    """

    seen: Observation
    receiver: DeploymentSeen | None
    giver: DeploymentSeen | None
    services: tuple[str, ...]
    selectors: tuple[dict[str, str], ...]
    floor: int
    ceiling: int | None = None
    together: int = 0

    @property
    def needed(self) -> int:
        """Pods that the receiver must have ready: one at least, never more than the ceiling."""
        load = load_of(self.seen, self.giver, self.services)
        own = load_of(self.seen, self.receiver, self.services)
        pods = max(1, self.floor, load, min(self.together, load + own))
        return pods if self.ceiling is None else max(1, min(pods, self.ceiling))

    @property
    def ready(self) -> int:
        return min(
            (len(selected_ready(selector, self.receiver)) for selector in self.selectors),
            default=0,
        )

    def shortfalls(self) -> tuple[str, ...]:
        """What the receiver still lacks, in words; () where the Services may change hands."""
        if self.receiver is None:
            return ("there is no Deployment to take over",)
        name, lacks = self.receiver.name, []
        if self.ready < self.needed:
            lacks.append(f"{name} has {self.ready} of {self.needed} ready pods")
        for service in self.seen.services:
            if service.name in self.services:
                lacks += self._published_early(service)
                lacks += self._bare_nodes(service)
        return tuple(lacks)

    def _published_early(self, service: ServiceSeen) -> list[str]:
        if not service.publishes_not_ready or self.receiver is None:
            return []
        unready = sum(not pod.ready for pod in live_pods(pods_of(self.receiver)))
        if not unready or not load_of(self.seen, self.giver, (service.name,)):
            return []
        text = (
            f"{unready} of {self.receiver.name}'s pods are not ready, and Service {service.name}"
            " would publish them (publishNotReadyAddresses)"
        )
        return [text]

    def _bare_nodes(self, service: ServiceSeen) -> list[str]:
        policy = local_policy(service)
        if not policy or self.receiver is None:
            return []
        serving = {pod.node for pod in serving_pods(self.seen, self.giver, service.name)}
        covered = {
            pod.node
            for selector in self.selectors
            for pod in selected_ready(selector, self.receiver)
        }
        bare = sorted(serving - covered)
        if not bare:
            return []
        verb = "serves" if len(bare) == 1 else "serve"
        what = f"without a ready pod of {self.receiver.name} ({policy})"
        return [f"{some_of(bare, 3)} {verb} {service.name} {what}"]


def local_policy(service: ServiceSeen) -> str:
    """Traffic stays on the node that it reaches; "" where it does not."""
    if service.external_traffic_policy == LOCAL:
        return "externalTrafficPolicy: Local"
    if service.internal_traffic_policy == LOCAL:
        return "internalTrafficPolicy: Local"
    return ""


def runs_one_template(deployment: DeploymentSeen, selectors: tuple[dict[str, str], ...]) -> bool:
    """Whether every ready pod that the selectors choose has the present template."""
    current = newest(deployment)
    own = {pod.uid for pod in current.pods} if current else set()
    return all(
        pod.uid in own for selector in selectors for pod in selected_ready(selector, deployment)
    )


def most_for_stable(release: Release, seen: Observation) -> int | None:
    """The most pods that stable is raised to: an autoscaler's maximum, else as many as found."""
    plan, found = release.plan, release.as_found
    if plan is None or found is None:
        return None
    most = plan.autoscaler[1] if plan.autoscaler else found.stable.replicas
    return max(most, seen.stable.replicas if seen.stable else 0)


def original_selectors(release: Release) -> tuple[dict[str, str], ...]:
    """The Services' own, as found."""
    return (
        tuple(service.selector for service in release.as_found.services) if release.as_found else ()
    )


def handover_to_stable(
    release: Release,
    seen: Observation,
    selectors: tuple[dict[str, str], ...],
    services: tuple[str, ...] | None = None,
) -> Handover:
    """``services``: those that count; None: the app's."""
    return Handover(
        seen,
        receiver=seen.stable,
        giver=seen.candidate,
        services=release.target.services if services is None else services,
        selectors=selectors,
        floor=release.plan.floor if release.plan else 0,
        ceiling=most_for_stable(release, seen),
        together=_carried_alone(release),
    )


def _carried_alone(release: Release) -> int:
    """A canary takes load from stable, so that an autoscaler makes it smaller; 0 for a
    blue/green release, whose sides never serve together."""
    plan, found = release.plan, release.as_found
    if plan is None or found is None or not plan.failed_candidate_to_zero:
        return 0
    return found.stable.replicas


def handover_to_candidate(
    release: Release, seen: Observation, services: tuple[str, ...] | None = None
) -> Handover:
    """``services``: as for ``handover_to_stable``."""
    plan = release.plan
    return Handover(
        seen,
        receiver=seen.candidate,
        giver=seen.stable,
        services=release.target.services if services is None else services,
        selectors=((plan.candidate_selector or {}) if plan else {},),
        floor=plan.floor if plan else 0,
    )


def load_to_carry(release: Release, seen: Observation) -> int:
    """Ready pods that stable needs to take over from the candidate."""
    return handover_to_stable(release, seen, original_selectors(release)).needed


def accepts_less(release: Release) -> bool:
    """Stable may take over with fewer pods than serve now: a person said so, or the new version
    fails."""
    at_once = release.rollback is not None and release.rollback.at_once
    return at_once or release.progress.accepts_less


def is_nobody_served(seen: Observation, services: Collection[str]) -> bool:
    """Some Service has no ready pod of either side."""
    return any(
        not load_of(seen, seen.stable, (name,)) and not load_of(seen, seen.candidate, (name,))
        for name in services
    )
