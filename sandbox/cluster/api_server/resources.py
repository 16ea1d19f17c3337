"""The resources that the simulated API server serves, and their names."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.cluster.api_server.schemas import SchemaType, type_of_custom_resource, type_of_kind
from sandbox.cluster.objects import Json

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Resource:
    """One resource type; `subresources` are the names behind its own path."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    has_generation: bool = False
    custom_schema: Json | None = field(default=None, hash=False, compare=False)
    singular_name: str = ""
    columns: tuple[
        tuple[str, str, str], ...
    ] = ()  # additionalPrinterColumns: name, type, JSON path

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The name of the resource in messages: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.singular_name or self.kind.lower()

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def is_custom(self) -> bool:
        return self.custom_schema is not None

    def schema(self) -> SchemaType | None:
        if self.custom_schema is not None:
            cached = _custom_types.get(id(self.custom_schema))
            if cached is None:
                cached = _custom_types[id(self.custom_schema)] = (
                    type_of_custom_resource(self.custom_schema),
                    self.custom_schema,
                )
            return cached[0]
        return type_of_kind(self.group, self.version, self.kind)


_custom_types: dict[
    int, tuple[SchemaType, Json]
] = {}  # the schema is kept so that its id stays its own

PODS = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    short_names=("po",),
    subresources=("log", "status", "eviction", "binding", "proxy"),
    categories=("all",),
    has_generation=True,
)
NAMESPACES = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    namespaced=False,
    short_names=("ns",),
    subresources=("status", "finalize"),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)
NODES = Resource(
    "", "v1", "nodes", "Node", namespaced=False, short_names=("no",), subresources=("status",)
)
SERVICES = Resource(
    "",
    "v1",
    "services",
    "Service",
    short_names=("svc",),
    subresources=("status", "proxy"),
    categories=("all",),
)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("", "v1", "events", "Event", short_names=("ev",))
RESOURCE_QUOTAS = Resource(
    "", "v1", "resourcequotas", "ResourceQuota", short_names=("quota",), subresources=("status",)
)
CLAIMS = Resource(
    "",
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=("status",),
)
SERVICE_ACCOUNTS = Resource(
    "", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",), subresources=("token",)
)
DEPLOYMENTS = Resource(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    short_names=("deploy",),
    subresources=("scale", "status"),
    categories=("all",),
    has_generation=True,
)
REPLICA_SETS = Resource(
    "apps",
    "v1",
    "replicasets",
    "ReplicaSet",
    short_names=("rs",),
    subresources=("scale", "status"),
    categories=("all",),
    has_generation=True,
)
AUTOSCALERS = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    short_names=("hpa",),
    subresources=("status",),
    categories=("all",),
)
BUDGETS = Resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    short_names=("pdb",),
    subresources=("status",),
    has_generation=True,
)
NETWORK_POLICIES = Resource(
    "networking.k8s.io",
    "v1",
    "networkpolicies",
    "NetworkPolicy",
    short_names=("netpol",),
    has_generation=True,
)
ENDPOINT_SLICES = Resource(
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", has_generation=True
)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
CLUSTER_ROLES = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
DEFINITIONS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    subresources=("status",),
    categories=("api-extensions",),
    has_generation=True,
)

BUILT_IN: tuple[Resource, ...] = (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    CLAIMS,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    DEPLOYMENTS,
    REPLICA_SETS,
    AUTOSCALERS,
    BUDGETS,
    NETWORK_POLICIES,
    ENDPOINT_SLICES,
    LEASES,
    ROLES,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLE_BINDINGS,
    DEFINITIONS,
)

SELF_REVIEWS: tuple[Resource, ...] = (
    Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        namespaced=False,
        verbs=("create",),
    ),
    Resource(
        "authorization.k8s.io",
        "v1",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        namespaced=False,
        verbs=("create",),
    ),
    Resource(
        "authentication.k8s.io",
        "v1",
        "selfsubjectreviews",
        "SelfSubjectReview",
        namespaced=False,
        verbs=("create",),
    ),
)


class ResourceTable:
    """The served resources; custom ones come and go with their definitions."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in BUILT_IN + SELF_REVIEWS:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._by_path[resource.group, resource.version, resource.plural] = resource
        self._by_kind[resource.api_version, resource.kind] = resource

    def remove(self, group: str, plural: str) -> None:
        for path, resource in list(self._by_path.items()):
            if resource.key == (group, plural):
                del self._by_path[path]
                self._by_kind.pop((resource.api_version, resource.kind), None)

    def at(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def all(self) -> list[Resource]:
        return list(self._by_path.values())

    def of_object(self, obj: Json) -> Resource | None:
        return self.of_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
