"""A simulated cluster behind the Cluster port: one model a namespace, with what a real API server
does to its clients: conflicts, writes that arrive late, answers that are older than one's own
write, and changes nobody hears of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.ports import (
    Applied,
    Cluster,
    ClusterUnreachable,
    ObjectChange,
    PreconditionFailed,
    Refused,
    Table,
)
from bot.releases.facts.actions import Action
from bot.releases.facts.observation import AnswerSeen, Observation, ProbeSeen, Written
from bot.releases.facts.plan import Probe
from bot.releases.facts.target import Target
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.modelled_cluster import Refused as TooLate

OLD_ANSWERS = 4
"""How many states ago an API server that lags may answer from."""
OLDEST_ANSWER_MS = 15_000


@dataclass
class Namespace:
    """One app's objects, and how they stood before each change."""

    model: ModelledCluster
    before: list[ModelledCluster] = field(default_factory=list)

    def keep(self) -> None:
        """Called before a change."""
        self.before = [*self.before[-OLD_ANSWERS + 1 :], self.model.fork()]
        clock = self.model.clock
        self.before[-1].left_at = clock() if clock is not None else 0

    def as_answered(self, lag: int, now: int) -> ModelledCluster:
        """``lag`` changes ago, but by no server that is longer behind than any that works."""
        lag = min(lag, len(self.before))
        while lag and now - self.before[-lag].left_at > OLDEST_ANSWER_MS:
            lag -= 1
        return self.before[-lag] if lag else self.model

    def signature(self) -> object:
        """What a watch would report: who is there, of which generation, and which pods are
        ready."""
        return (
            [
                (one.name, one.uid, one.generation, [(pod.name, pod.ready) for pod in one.pods()])
                for one in self.model.deployments.values()
            ],
            [(one.name, one.resource_version) for one in self.model.services.values()],
            sorted((name, tuple(pods)) for name, pods in self.model.endpoints.items()),
        )


@dataclass
class SimulatedCluster:
    """``lags`` says how many states ago an observation is from, ``on_write`` hears of each write
    before and after it is carried out, ``on_change`` of each change."""

    name: str
    clock: Callable[[], int]
    namespaces: Mapping[str, Namespace]
    ahead_ms: int = 0  # its own clock, before that of everybody else
    lags: Callable[[], int] = lambda: 0
    on_write: Callable[[str, Action], Callable[[], None]] = lambda _namespace, _action: lambda: None
    on_change: Callable[[str], None] = lambda _namespace: None

    # --- the port ---------------------------------------------------------------------------------

    def uid(self) -> str:
        return f"uid-{self.name}"

    def server_time(self) -> int | None:
        return self.clock() + self.ahead_ms

    def observe(
        self,
        target: Target,
        *,
        candidate: str,
        or_candidate: str = "",
        extra_services: Sequence[str] = (),
        autoscaler: str = "",
        survey: bool = False,
        events: bool = False,
    ) -> Observation:
        namespace = self.namespaces[target.namespace]
        model = namespace.as_answered(self.lags(), self.clock() + self.ahead_ms)
        if candidate not in model.deployments and or_candidate in model.deployments:
            candidate = or_candidate
        seen = model.snapshot(
            self.clock(),
            target.deployment,
            candidate,
            (*target.services, *extra_services),
            surveyed=survey,
            autoscaler=autoscaler,
        )
        return replace(seen, cluster_uid=self.uid())

    def is_unchanged(self, target: Target, seen: Observation, *, candidate: str) -> bool:
        model = self.namespaces[target.namespace].model
        names = [one.name for one in seen.services]
        now = model.snapshot(
            seen.at, target.deployment, candidate, names, surveyed=False, autoscaler=""
        )

        def versions(found: Observation) -> list[tuple[str, str, str]]:
            objects = (found.stable, found.candidate, *found.services)
            return [(one.name, one.uid, one.resource_version) for one in objects if one is not None]

        return seen.stable is not None and versions(now) == versions(seen)

    def observe_apps(self, targets: Sequence[Target]) -> Mapping[str, Observation]:
        return {one.app: self.observe(one, candidate=f"{one.deployment}-green") for one in targets}

    def apply(self, target: Target, action: Action) -> Written | None:
        self.carry_out(target.namespace, action)
        seen = self.namespaces[target.namespace].model.snapshot(
            self.clock(), action.name, "", (), surveyed=False, autoscaler=""
        )
        if action.kind in ("patch_service", "create_service", "delete_service"):
            return None
        return Written(replace(seen.stable, replica_sets=()) if seen.stable else None)

    def carry_out(self, namespace: str, action: Action) -> None:
        """Now, whoever waits for it."""
        there = self.namespaces[namespace]
        there.keep()
        done = self.on_write(namespace, action)
        try:
            there.model.apply(action)
        except (TooLate, KeyError) as late:
            raise PreconditionFailed(str(late)) from late
        done()
        self.on_change(namespace)

    def logs(
        self, target: Target, pod: str, *, container: str | None, lines: int, previous: bool
    ) -> tuple[str, ...]:
        return (f"{pod} cannot go on",)

    def sample_pods(
        self, target: Target, pods: Sequence[str], probe: Probe
    ) -> tuple[AnswerSeen, ...]:
        return self.namespaces[target.namespace].model.sample(tuple(pods))

    def ask_pods(self, target: Target, pods: Sequence[str], probe: Probe) -> ProbeSeen:
        return self.namespaces[target.namespace].model.ask(tuple(pods))

    def table(self, targets: Sequence[Target], kind: str, *, wide: bool) -> Table:
        raise ClusterUnreachable("tables are not simulated")

    def explain(self, path: str, *, recursive: bool) -> str:
        raise ClusterUnreachable("explain is not simulated")

    def plan_manifests(
        self, target: Target, manifests: Sequence[Mapping[str, Any]]
    ) -> tuple[ObjectChange, ...]:
        raise Refused("manifests are not simulated")

    def apply_manifests(
        self,
        target: Target,
        manifests: Sequence[Mapping[str, Any]],
        *,
        skip_template_of: str,
        may_write: Callable[[ObjectChange], bool],
    ) -> Applied:
        raise Refused("manifests are not simulated")

    def probe(
        self,
        target: Target,
        service: str,
        path: str,
        *,
        requests: int,
        sticky: bool,
        url: str | None,
    ) -> tuple[str, ...]:
        raise ClusterUnreachable("the service proxy is not simulated")

    def missing_permissions(self, namespace: str) -> tuple[str, ...]:
        return ()

    # --- the controllers --------------------------------------------------------------------------

    def beat(self, namespace: str) -> None:
        """Controllers and kubelets move one step."""
        there = self.namespaces[namespace]
        before = there.signature()
        there.model.beat()
        if there.signature() != before:
            self.on_change(namespace)


def as_port(cluster: SimulatedCluster) -> Cluster:
    """A method that the port gains is missed here by the type checker."""
    return cluster


class SimulatedClusters:
    """See bot.ports.Clusters."""

    def __init__(self, clusters: Mapping[str, Any]) -> None:
        self._clusters = clusters

    def __getitem__(self, name: str) -> Any:
        return self._clusters[name]

    def names(self) -> tuple[str, ...]:
        return tuple(self._clusters)
