"""The Cluster and Clusters ports, made of this package's functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.cluster.apply import apply
from bot.cluster.connect import (
    REQUEST_TIMEOUT_S,
    WRITE_TIMEOUT_S,
    ClusterAddress,
    Connection,
)
from bot.cluster.discovery import kubernetes_version
from bot.cluster.explain import explain
from bot.cluster.logs import logs
from bot.cluster.observe import Home, cluster_uid, is_unchanged, observe, observe_apps
from bot.cluster.permissions import missing_permissions
from bot.cluster.probe import ask_pods, probe, sample_pods
from bot.cluster.restraint import Restraint
from bot.cluster.server_side_apply import apply_manifests, plan_manifests
from bot.cluster.tables import table
from bot.cluster.watch import RESOURCES, OnChange, Remembered, Watcher
from bot.ports import Applied, ObjectChange, Shelf, Table
from bot.releases.facts.actions import Action
from bot.releases.facts.observation import AnswerSeen, Observation, ProbeSeen, Written
from bot.releases.facts.plan import Probe
from bot.releases.facts.target import Target

UID_STANDS_S = 1.0
"""The observations of one job, a few tenths of a second apart, ask once which cluster this is."""
VERSION_STANDS_S = 600.0
"""A cluster is upgraded while workers run."""


class KubernetesCluster:
    """One Kubernetes cluster. Made without touching it: the first call of each process connects."""

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        in_cluster: bool = False,
        timeout_s: float = REQUEST_TIMEOUT_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        shelf: Shelf | None = None,
        uid_stands_s: float = UID_STANDS_S,
        name: str = "",
        installation: str = "",
    ) -> None:
        """``name``: in the catalog. ``installation``: whose claims it writes."""
        self._installation = installation
        self._address = ClusterAddress(kubeconfig, context, in_cluster)
        self._name = name
        self._timeout_s = timeout_s
        self._uid_stands_s = uid_stands_s
        self._shelf = shelf
        self.connection = Connection(
            self._address,
            timeout_s=timeout_s,
            write_timeout_s=write_timeout_s,
            cluster=name,
            restraint=Restraint(name or self._address.context or "in the pod"),
        )
        self._known: tuple[str, float, str] = ("", 0.0, "")
        self._versions: dict[str, tuple[float, tuple[int, int] | None]] = {}  # by server
        self._homes: dict[tuple[str, str, str], Home] = {}  # by server, namespace, Deployment

    def prepare(self) -> None:
        """For a process that forks workers: read kubeconfig and certificates once. Opens no
        connection. Raises ClusterUnreachable."""
        self.connection.prepare()

    def uid(self) -> str:
        """Read again after a second, or when the kubeconfig names another server: another cluster
        may take over an address, and then nothing may be written. (Every write also names the uid
        of its object.)"""
        server, now = self.connection.server, time.monotonic()
        known, at, uid = self._known
        if server != known or now - at > self._uid_stands_s:
            uid = cluster_uid(self.connection)
            self._known = (server, now, uid)
        return uid

    def _kubernetes_version(self) -> tuple[int, int] | None:
        """Major and minor, read again after ten minutes; None where the API server does not say.
        Raises ClusterUnreachable."""
        server, now = self.connection.server, time.monotonic()
        read_at, version = self._versions.get(server, (-VERSION_STANDS_S, None))
        if now - read_at >= VERSION_STANDS_S:
            version = kubernetes_version(self.connection)
            self._versions[server] = (now, version)
        return version

    def server_time(self) -> int | None:
        return self.connection.server_time()

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
        place = (self.connection.server, target.namespace, target.deployment)
        seen = observe(
            self.connection,
            target,
            uid=self.uid,
            version=self._kubernetes_version,
            home=self._homes.get(place),
            candidate=candidate,
            or_candidate=or_candidate,
            extra_services=extra_services,
            autoscaler=autoscaler,
            survey=survey,
            events=events,
        )
        if seen.stable is not None:
            self._homes[place] = Home(seen.stable.uid, seen.cluster_uid)
        return seen

    def is_unchanged(self, target: Target, seen: Observation, *, candidate: str) -> bool:
        return is_unchanged(self.connection, target, seen, candidate=candidate)

    def observe_apps(self, targets: Sequence[Target]) -> Mapping[str, Observation]:
        return observe_apps(self.connection, targets, uid=self.uid)

    def apply(self, target: Target, action: Action) -> Written | None:
        return apply(self.connection, target.namespace, action, installation=self._installation)

    def logs(
        self, target: Target, pod: str, *, container: str | None, lines: int, previous: bool
    ) -> tuple[str, ...]:
        return logs(
            self.connection,
            target.namespace,
            pod,
            container=container,
            lines=lines,
            previous=previous,
        )

    def table(self, targets: Sequence[Target], kind: str, *, wide: bool) -> Table:
        return table(self.connection, targets, kind, wide=wide)

    def explain(self, path: str, *, recursive: bool) -> str:
        return explain(self.connection, path, recursive=recursive, shelf=self._shelf)

    def plan_manifests(
        self, target: Target, manifests: Sequence[Mapping[str, Any]]
    ) -> tuple[ObjectChange, ...]:
        return plan_manifests(self.connection, target, manifests)

    def apply_manifests(
        self,
        target: Target,
        manifests: Sequence[Mapping[str, Any]],
        *,
        skip_template_of: str,
        may_write: Callable[[ObjectChange], bool],
    ) -> Applied:
        return apply_manifests(
            self.connection,
            target,
            manifests,
            skip_template_of=skip_template_of,
            may_write=may_write,
        )

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
        return probe(
            self.connection,
            target.namespace,
            service,
            path,
            requests=requests,
            sticky=sticky,
            url=url,
        )

    def sample_pods(
        self, target: Target, pods: Sequence[str], probe: Probe
    ) -> tuple[AnswerSeen, ...]:
        return sample_pods(self.connection, target.namespace, pods, probe)

    def ask_pods(self, target: Target, pods: Sequence[str], probe: Probe) -> ProbeSeen:
        return ask_pods(self.connection, target.namespace, pods, probe)

    def missing_permissions(self, namespace: str) -> tuple[str, ...]:
        return missing_permissions(self.connection, namespace)

    def namespaces(self) -> tuple[str, ...]:
        """Raises ClusterUnreachable, and Refused where the account may not list them."""
        listed = self.connection.get("/api/v1/namespaces")
        return tuple(one["metadata"]["name"] for one in listed.get("items") or ())

    def watch(
        self,
        namespaces: Sequence[str],
        on_change: OnChange,
        remembered: Remembered | None = None,
        resources: Sequence[str] = RESOURCES,
    ) -> Watcher:
        """A watcher that is not yet started: ``with`` starts and stops it. It has connections of
        its own. ``remembered``: what changes are told from that happened before it."""
        streams = len(resources) * len(set(namespaces))
        connection = Connection(
            self._address,
            timeout_s=self._timeout_s,
            connections=2 * streams,
            cluster=self._name,
        )
        return Watcher(
            connection, namespaces, on_change, remembered=remembered, resources=resources
        )


class KubernetesClusters:
    """The catalog's clusters by name, from plain settings: ``{"local": {"kubeconfig": …, "context":
    …, "in_cluster": …}}``."""

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        shelf: Shelf | None = None,
        *,
        installation: str = "",
    ) -> None:
        self._clusters = {
            name: KubernetesCluster(
                kubeconfig=one.get("kubeconfig"),
                context=one.get("context"),
                in_cluster=bool(one.get("in_cluster")),
                shelf=shelf,
                name=name,
                installation=installation,
            )
            for name, one in settings.items()
        }

    def __getitem__(self, name: str) -> KubernetesCluster:
        return self._clusters[name]

    def names(self) -> tuple[str, ...]:
        return tuple(self._clusters)
