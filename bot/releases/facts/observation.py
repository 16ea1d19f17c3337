"""What one observation of the cluster found. Plain facts, no judgement; made by bot.cluster.observe
and by test builders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bot.releases.facts.counters import MetricsSeen

CLAIM_ANNOTATION = "pilothouse.dev/release"
INSTALLATION_ANNOTATION = "pilothouse.dev/installation"
"""Beside a claim: whose it is. No decision reads it; it is for a claim that outlives its record."""
"""Whose an object is: the id of the release that may write it."""
MINIMUM_ANNOTATION = "pilothouse.dev/min-replicas"
"""Of an autoscaler: its minReplicas as the release that claims it found them."""


@dataclass(frozen=True)
class ContainerSeen:
    name: str
    image: str  # from the pod's spec
    image_id: str = ""
    ready: bool = False
    restarts: int = 0
    waiting: str = ""  # state.waiting.reason
    message: str = ""  # state.waiting.message, or of the termination
    ended_message: str = ""  # of the last termination, also while another message waits
    running_since: int = 0
    last_started_at: int = 0  # the newest start that is known; 0: none
    last_terminated: str = (
        ""  # lastState.terminated.reason, or state.terminated.reason: Error, OOMKilled, Completed
    )
    exit_code: int | None = None
    last_terminated_at: int = 0
    init: bool = False


@dataclass(frozen=True)
class PodSeen:
    name: str
    uid: str
    labels: dict[str, str] = field(default_factory=dict)
    node: str = ""
    ip: str = ""
    phase: str = "Pending"
    reason: str = ""  # status.reason: Evicted, NodeLost, Preempting…
    message: str = ""
    ready: bool = False
    ready_since: int = 0
    created_at: int = 0
    accepted_at: int = 0  # status.startTime: the kubelet has the pod and begins to pull; 0: not yet
    has_sandbox: bool = False  # PodReadyToStartContainers: volumes are mounted, the network is up
    terminating: bool = False
    unschedulable: str = ""  # message of PodScheduled=False, reason Unschedulable
    containers: tuple[ContainerSeen, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()  # its Warning events where read: reason, message
    scale_up: bool = False  # an autoscaler of nodes has reported that it adds one for this pod

    @property
    def restarts(self) -> int:
        return sum(container.restarts for container in self.containers)


@dataclass(frozen=True)
class ReplicaSetSeen:
    """Owned by the Deployment through ownerReferences, never by labels alone."""

    name: str
    uid: str
    revision: int
    template: Any  # without the pod-template-hash label
    template_hash: str
    labels: dict[str, str] = field(default_factory=dict)
    desired: int = 0
    replicas: int = 0
    ready: int = 0
    available: int = 0
    created_at: int = 0
    change_cause: str = ""
    pods: tuple[PodSeen, ...] = ()
    failure: str = ""  # condition ReplicaFailure's message: quota, admission


@dataclass(frozen=True)
class DeploymentSeen:
    name: str
    uid: str
    generation: int
    observed_generation: int
    replicas: int  # spec
    paused: bool
    selector: Any
    template: Any
    strategy: Any
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    min_ready_seconds: int = 0
    progress_deadline_seconds: int = 600
    status_replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    conditions: tuple[tuple[str, str, str, str], ...] = ()  # type, status, reason, message
    replica_sets: tuple[ReplicaSetSeen, ...] = ()  # newest revision first
    managers: tuple[
        tuple[str, str, str, str], ...
    ] = ()  # manager, operation, subresource, dotted field path it owns
    written_at: tuple[tuple[str, str, int], ...] = ()  # manager, subresource, its last write
    terminating: bool = False
    resource_version: str = ""
    owner: str = ""  # the controller that owns it: kind and name
    finalizers: tuple[str, ...] = ()
    installation: str = ""  # of the claim

    @property
    def claim(self) -> str:
        return self.annotations.get(CLAIM_ANNOTATION, "")


@dataclass(frozen=True)
class ServiceSeen:
    name: str
    uid: str
    resource_version: str
    selector: dict[str, str]
    affinity: Any
    type: str = "ClusterIP"
    cluster_ip: str = ""
    ports: Any = ()
    annotations: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    managers: tuple[tuple[str, str, str, str], ...] = ()
    written_at: tuple[tuple[str, str, int], ...] = ()
    traffic_distribution: str = ""
    internal_traffic_policy: str = ""
    external_traffic_policy: str = ""
    publishes_not_ready: bool = False  # its endpoints count as ready whatever their pods are


@dataclass(frozen=True)
class EndpointSeen:
    service: str
    address: str
    pod: str  # targetRef name, "" when none
    pod_uid: str
    ready: bool
    terminating: bool = False
    serving: bool = False  # its pod is ready, also while it ends


@dataclass(frozen=True)
class AutoscalerSeen:
    """A HorizontalPodAutoscaler."""

    name: str
    target: str
    min_replicas: int
    max_replicas: int
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    managers: tuple[tuple[str, str, str, str], ...] = ()
    written_at: tuple[tuple[str, str, int], ...] = ()

    @property
    def claim(self) -> str:
        return self.annotations.get(CLAIM_ANNOTATION, "")

    @property
    def min_as_found(self) -> int | None:
        """What the release that claims it found; None where none raised it."""
        found = self.annotations.get(MINIMUM_ANNOTATION, "")
        return int(found) if found.isdecimal() else None


@dataclass(frozen=True)
class BudgetSeen:
    """A PodDisruptionBudget."""

    name: str
    selector: Any


@dataclass(frozen=True)
class QuotaScope:
    """Which pods a ResourceQuota counts (ScopedResourceSelectorRequirement). ``spec.scopes`` are
    read as ``Exists``."""

    name: str
    operator: str = "Exists"
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuotaSeen:
    """A ResourceQuota: hard and used by resource name, as strings of Kubernetes quantities. It
    counts pods in all of its scopes."""

    name: str
    hard: dict[str, str]
    used: dict[str, str]
    scopes: tuple[QuotaScope, ...] = ()


@dataclass(frozen=True)
class SelectingSeen:
    """An object in the namespace that selects pods by labels, to find what depends on a label."""

    kind: str  # NetworkPolicy, PodDisruptionBudget, Service, Deployment
    name: str
    selector: Any  # a LabelSelector ({"matchLabels":…, "matchExpressions":…})


@dataclass(frozen=True)
class Survey:
    """Read once, for planning only."""

    autoscalers: tuple[AutoscalerSeen, ...] = ()
    budgets: tuple[BudgetSeen, ...] = ()
    quotas: tuple[QuotaSeen, ...] = ()
    selecting: tuple[SelectingSeen, ...] = ()
    claims: tuple[
        tuple[str, tuple[str, ...]], ...
    ] = ()  # PersistentVolumeClaims the template uses: name, access modes
    leftovers: tuple[DeploymentSeen, ...] = ()  # Deployments called <app>-canary or <app>-green
    kubernetes: tuple[int, int] | None = None  # major, minor; None: the API server does not say


@dataclass(frozen=True)
class ProbeSeen:
    """How the candidate's pods answered: how many requests were made, and the first error of each
    pod that failed."""

    asked: int
    failed: tuple[tuple[str, str], ...] = ()  # pod, error


@dataclass(frozen=True)
class AnswerSeen:
    """One request to one pod. Bad: the pod answered wrongly or too late. Lost: the proxy, the API
    server or the network brought no answer of it."""

    pod: str
    outcome: Literal["good", "bad", "lost"]
    why: str = ""


@dataclass(frozen=True)
class Observation:
    """One snapshot. ``stable`` None: the API server said it does not exist (never: could not be
    reached)."""

    at: int
    cluster_uid: str
    stable: DeploymentSeen | None
    candidate: DeploymentSeen | None = None
    services: tuple[ServiceSeen, ...] = ()
    endpoints: tuple[EndpointSeen, ...] = ()
    survey: Survey | None = None
    # stable's, where the release may raise its minimum; None: not read, or gone
    autoscaler: AutoscalerSeen | None = None
    probe: ProbeSeen | None = None  # None: no pod was asked in this observation
    answers: tuple[AnswerSeen, ...] = ()  # of both sides, where they are being judged
    metrics: MetricsSeen | None = None  # of both sides; None: none were asked for
    events: tuple[
        str, ...
    ] = ()  # recent Warning events of the app's objects, newest first: "reason: message"
    deleted: str = ""  # the Deployment that is gone by the answer to our own delete, not by a read
    kind: Literal["observation"] = "observation"


@dataclass(frozen=True)
class Written:
    """What the API server answered to a write: the Deployment as it is now, without what it owns.
    None: it is gone."""

    deployment: DeploymentSeen | None


@dataclass(frozen=True)
class Unreachable:
    """The cluster could not be read. This too is an observation, and never means that objects are
    gone."""

    at: int
    why: str
    kind: Literal["unreachable"] = "unreachable"


Seen: TypeAlias = Observation | Unreachable
