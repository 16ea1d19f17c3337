"""One snapshot of an app: two rounds of reads, at most eight side by side, and nothing guessed.

The first round reads the Deployments and all that does not depend on them, the second the
ReplicaSets and pods that their selectors match. The selector only narrows the lists; who belongs to
whom follows from ownerReferences alone. Nothing is read twice: a survey's lists hold the app's own
objects too, and a Deployment whose uid is known names its cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bot.cluster import errors, reading
from bot.cluster.connect import (
    Connection,
    in_query,
    label_query,
    listed_autoscaler,
    path_of,
)
from bot.cluster.events import event_lines, with_events
from bot.ports import ClusterUnreachable
from bot.releases.facts.observation import (
    AutoscalerSeen,
    DeploymentSeen,
    Observation,
    PodSeen,
    SelectingSeen,
    ServiceSeen,
    Survey,
)
from bot.releases.facts.target import (
    Strategy,
    Target,
    default_candidate_name,
    default_candidate_names,
)

SILENT_FOR_MS = 10_000
"""When the events of a pod without a sandbox are read: most pods have started by then."""
_KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
_SURVEYED = (
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "resourcequotas",
    "networkpolicies",
    "services",
    "deployments",
)
_CLAIMS = "persistentvolumeclaims"


@dataclass(frozen=True)
class Home:
    """The cluster in which an object was found. No other cluster has an object of this uid."""

    object_uid: str
    cluster_uid: str


def cluster_uid(connection: Connection) -> str:
    try:
        return str(connection.required(_KUBE_SYSTEM)["metadata"]["uid"])
    except errors.NotThere as gone:
        raise ClusterUnreachable(
            f"the cluster {connection.server} has no namespace kube-system to know it by"
        ) from gone


def observe(
    connection: Connection,
    target: Target,
    *,
    uid: Callable[[], str],
    version: Callable[[], tuple[int, int] | None],
    home: Home | None = None,
    candidate: str,
    or_candidate: str = "",
    extra_services: Sequence[str],
    autoscaler: str,
    survey: bool,
    events: bool,
) -> Observation:
    """``home``: of the app's Deployment, where it is known. Raises ClusterUnreachable, also where
    the bot lacks a permission: a partial observation would mislead."""
    service_names = tuple(dict.fromkeys((*target.services, *extra_services)))
    names = tuple(
        dict.fromkeys(name for name in (target.deployment, candidate, or_candidate) if name)
    )
    at, which = time.time_ns() // 1_000_000, None if home else connection.start(uid)
    kubernetes = connection.start(version) if survey else None
    reads = _Reads(connection, target.namespace, names, service_names, survey=survey, events=events)
    scaler = _start_autoscaler(connection, target.namespace, autoscaler)
    stable, *others = reads.deployments()
    if which is None and not (stable and home and stable["metadata"]["uid"] == home.object_uid):
        which = connection.start(uid)
    mounted = _start_claims(connection, target.namespace, stable) if survey else None
    owned = _read_owned(
        connection, target.namespace, [stable, next((one for one in others if one), None)]
    )
    found = [one.seen() if one else None for one in owned]
    pods = tuple(_pods(found))
    warnings, scale_ups = _read_events(connection, target.namespace, reads.warnings, pods, at)
    seen = [with_events(one, warnings, scale_ups) if one else None for one in found]
    return Observation(
        at=at,
        cluster_uid=which.result() if which else home.cluster_uid if home else "",
        stable=seen[0],
        candidate=seen[1],
        services=tuple(reading.service(item) for item in reads.services() if item),
        endpoints=reading.endpoints(_slice_items(reads.slices)),
        survey=(
            _survey(
                reads.surveyed() | {_CLAIMS: mounted.result() if mounted else []},
                target,
                seen[0],
                names,
                service_names,
                kubernetes.result(),
            )
            if kubernetes is not None
            else None
        ),
        autoscaler=scaler(),
        events=event_lines(warnings, [one for one in seen if one]),
    )


def is_unchanged(
    connection: Connection, target: Target, seen: Observation, *, candidate: str
) -> bool:
    """See bot.ports.Cluster. No other cluster has an object of the same uid. Raises
    ClusterUnreachable."""
    if seen.stable is None:
        return False
    then = {("deployments", one.name): one for one in (seen.stable, seen.candidate) if one}
    services = {("services", one.name): one for one in seen.services}
    names = [("deployments", name) for name in (target.deployment, candidate) if name]
    names += [("services", name) for name in target.services]
    reads = {
        (kind, name): connection.start(connection.existing, path_of(kind, target.namespace, name))
        for kind, name in names
    }
    return all(
        _version(read.result()) == _version_seen(then.get(which) or services.get(which))
        for which, read in reads.items()
    )


def _version(item: Mapping[str, Any] | None) -> tuple[str, str] | None:
    return (item["metadata"]["uid"], item["metadata"]["resourceVersion"]) if item else None


def _version_seen(item: DeploymentSeen | ServiceSeen | None) -> tuple[str, str] | None:
    return (item.uid, item.resource_version) if item else None


class _Reads:
    """The first round, all under way. What a survey lists is not read one by one too, unless the
    bot may not list it."""

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        deployments: Sequence[str],
        services: Sequence[str],
        *,
        survey: bool,
        events: bool,
    ) -> None:
        self._connection, self._namespace = connection, namespace
        self._named = {"deployments": deployments, "services": services}
        self._lists = {
            kind: connection.start(connection.list_if_allowed, path_of(kind, namespace))
            for kind in (_SURVEYED if survey else ())
        }
        self._single = {} if survey else {kind: self._start(kind) for kind in self._named}
        in_services = in_query(reading.SERVICE_NAME, services)
        slices = path_of("endpointslices", namespace)
        self.slices = (
            connection.start(connection.required, slices, in_services) if services else None
        )
        self.warnings = _start_events(connection, namespace, "type=Warning") if events else None

    def _start(self, kind: str) -> list[Future[Any]]:
        return [
            self._connection.start(self._connection.existing, path_of(kind, self._namespace, name))
            for name in self._named[kind]
        ]

    def deployments(self) -> list[Any]:
        return self._found("deployments")

    def services(self) -> list[Any]:
        return self._found("services")

    def _found(self, kind: str) -> list[Any]:
        """In the order of the names; None for what does not exist."""
        items = self._lists[kind].result() if kind in self._lists else None
        if items is not None:
            by_name = {item["metadata"]["name"]: item for item in items}
            return [by_name.get(name) for name in self._named[kind]]
        if kind not in self._single:
            self._single[kind] = self._start(kind)
        return [future.result() for future in self._single[kind]]

    def surveyed(self) -> dict[str, list[Any]]:
        return {kind: future.result() or [] for kind, future in self._lists.items()}


def _start_events(connection: Connection, namespace: str, selector: str) -> Future[Any]:
    query = {"fieldSelector": selector, "limit": "500"}
    return connection.start(connection.optional_items, path_of("events", namespace), query)


def _pods(deployments: Sequence[DeploymentSeen | None]) -> Iterator[PodSeen]:
    for one in deployments:
        for replica_set in one.replica_sets if one else ():
            yield from replica_set.pods


def is_stuck(pod: PodSeen, at: int) -> bool:
    """Its own status may not say why it does not start, or what stops it: its events do."""
    waits = not pod.ready and not pod.terminating and pod.phase in ("Pending", "Running")
    silent = not pod.has_sandbox and not pod.unschedulable
    return waits and (pod.restarts > 0 or (silent and at - pod.created_at > SILENT_FOR_MS))


def _start_autoscaler(
    connection: Connection, namespace: str, name: str
) -> Callable[[], AutoscalerSeen | None]:
    if not name:
        return lambda: None
    read = connection.start(listed_autoscaler, connection, namespace, name)

    def seen() -> AutoscalerSeen | None:
        found = read.result()
        return reading.autoscaler(found) if found else None

    return seen


def _start_claims(
    connection: Connection, namespace: str, stable: Mapping[str, Any] | None
) -> Future[Any] | None:
    """None where no volume of the template is a claim."""
    if stable is None or not _claims(stable["spec"]["template"]):
        return None
    return connection.start(connection.optional_items, path_of(_CLAIMS, namespace))


def _read_events(
    connection: Connection,
    namespace: str,
    started: Future[list[Any]] | None,
    pods: Sequence[PodSeen],
    at: int,
) -> tuple[list[Any], list[Any]]:
    """Warnings, when asked for or when a pod is stuck; scale-ups when one cannot be scheduled."""
    if started is None and any(is_stuck(pod, at) for pod in pods):
        started = _start_events(connection, namespace, "type=Warning")
    homeless = started is not None and any(pod.unschedulable for pod in pods)
    growing = homeless and _start_events(connection, namespace, "reason=TriggeredScaleUp")
    return started.result() if started else [], growing.result() if growing else []


def observe_apps(
    connection: Connection, targets: Sequence[Target], *, uid: Callable[[], str]
) -> dict[str, Observation]:
    """What each app runs, by its name: Deployments and Services alone, two reads a namespace.
    Raises ClusterUnreachable."""
    at, which = time.time_ns() // 1_000_000, connection.start(uid)
    namespaces = dict.fromkeys(target.namespace for target in targets)
    lists = {
        (kind, namespace): connection.start(connection.required, path_of(kind, namespace))
        for namespace in namespaces
        for kind in ("deployments", "services")
    }

    def named(kind: str, target: Target, names: Sequence[str]) -> list[Any]:
        items = {item["metadata"]["name"]: item for item in _items(lists[kind, target.namespace])}
        return [items.get(name) for name in names]

    found = {}
    for target in targets:
        green = default_candidate_name(target, Strategy.BLUEGREEN)
        stable, candidate = (
            reading.deployment(one) if one else None
            for one in named("deployments", target, (target.deployment, green))
        )
        services = tuple(
            reading.service(one) for one in named("services", target, target.services) if one
        )
        found[target.app] = Observation(at, which.result(), stable, candidate, services)
    return found


@dataclass(frozen=True)
class _Owned:
    deployment: Any
    replica_sets: Future[Any]
    pods: Future[Any]

    def seen(self) -> DeploymentSeen:
        # ReplicaSets and pods are read side by side: a pod whose new ReplicaSet is not yet listed
        # is counted next time.
        return reading.deployment(self.deployment, _items(self.replica_sets), _items(self.pods))


def _read_owned(
    connection: Connection, namespace: str, deployments: Sequence[Any]
) -> list[_Owned | None]:
    """What belongs to each, by one list of each kind for both where one selector covers theirs."""
    selectors = [one["spec"]["selector"] for one in deployments if one is not None]
    covering = covering_selector(selectors)
    lists = [
        tuple(
            connection.start(connection.required, path_of(kind, namespace), label_query(selector))
            for kind in ("replicasets", "pods")
        )
        for selector in ([covering] if covering is not None else selectors)
    ]
    started = iter(lists if covering is None else lists * len(selectors))
    return [None if one is None else _Owned(one, *next(started)) for one in deployments]


def covering_selector(selectors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Matches all that each of them matches, and little else: a candidate's labels are those of
    stable and one more, or have other values of the same keys. None where there is none."""
    if len(selectors) == 1:
        return selectors[0]
    if len(selectors) != 2:
        return None
    fewer, more = sorted(selectors, key=lambda one: len(one.get("matchLabels") or {}))
    if _is_within(more, fewer):
        return fewer
    if fewer.get("matchExpressions") or more.get("matchExpressions"):
        return None
    labels, others = fewer.get("matchLabels") or {}, more.get("matchLabels") or {}
    if not labels or not labels.keys() <= others.keys():
        return None
    either = {key: sorted({labels[key], others[key]}) for key in labels}
    return {
        "matchExpressions": [
            {"key": key, "operator": "In", "values": values} for key, values in either.items()
        ]
    }


def _is_within(narrow: Mapping[str, Any], wide: Mapping[str, Any]) -> bool:
    """Whether a list by the wide selector holds everything that the narrow one matches."""
    labels, rules = narrow.get("matchLabels") or {}, narrow.get("matchExpressions") or ()
    held = (wide.get("matchLabels") or {}).items() <= labels.items()
    return held and all(rule in rules for rule in wide.get("matchExpressions") or ())


def _items(future: Future[Any]) -> list[Any]:
    return future.result().get("items") or []


def _slice_items(future: Future[Any] | None) -> list[Any]:
    if future is None:
        return []
    try:
        return _items(future)
    except errors.NotThere as gone:
        raise ClusterUnreachable(
            "the API server does not serve EndpointSlices (discovery.k8s.io/v1)"
        ) from gone


def _survey(
    items: Mapping[str, list[Any]],
    target: Target,
    stable: DeploymentSeen | None,
    observed_deployments: Sequence[str],
    observed_services: Sequence[str],
    kubernetes: tuple[int, int] | None,
) -> Survey:
    claims = _claims(stable.template) if stable is not None else frozenset()
    leftovers = set(default_candidate_names(target))
    return Survey(
        autoscalers=tuple(map(reading.autoscaler, items["horizontalpodautoscalers"])),
        budgets=tuple(map(reading.budget, items["poddisruptionbudgets"])),
        quotas=tuple(map(reading.quota, items["resourcequotas"])),
        selecting=(
            *(
                _selecting("NetworkPolicy", one, one["spec"].get("podSelector"))
                for one in items["networkpolicies"]
            ),
            *(
                _selecting("NetworkPolicy", one, peer["podSelector"])
                for one in items["networkpolicies"]
                for peer in _peers(one["spec"])
                if peer.get("podSelector")
            ),
            *(
                _selecting("PodDisruptionBudget", one, one["spec"].get("selector"))
                for one in items["poddisruptionbudgets"]
            ),
            *(
                _selecting("Service", one, {"matchLabels": one["spec"]["selector"]})
                for one in items["services"]
                if one["spec"].get("selector") and one["metadata"]["name"] not in observed_services
            ),
            *(
                _selecting("Deployment", one, one["spec"]["selector"])
                for one in items["deployments"]
                if one["metadata"]["name"] not in observed_deployments
            ),
        ),
        claims=tuple(
            (one["metadata"]["name"], tuple(one["spec"].get("accessModes") or ()))
            for one in items["persistentvolumeclaims"]
            if one["metadata"]["name"] in claims
        ),
        leftovers=tuple(
            reading.deployment(one)
            for one in items["deployments"]
            if one["metadata"]["name"] in leftovers
        ),
        kubernetes=kubernetes,
    )


def _selecting(kind: str, item: Mapping[str, Any], selector: Any) -> SelectingSeen:
    return SelectingSeen(kind, item["metadata"]["name"], selector or {})


def _peers(policy: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The peers that a NetworkPolicy lets in and out: a pod that loses such a label loses, for
    example, its way to the database."""
    for side, key in (("ingress", "from"), ("egress", "to")):
        for rule in policy.get(side) or ():
            yield from rule.get(key) or ()


def _claims(template: Mapping[str, Any]) -> frozenset[str]:
    """Names of the PersistentVolumeClaims that a pod template mounts."""
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return frozenset(
        one["persistentVolumeClaim"]["claimName"]
        for one in volumes
        if one.get("persistentVolumeClaim")
    )
