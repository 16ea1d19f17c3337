"""Which verbs the bot needs, and which of them it lacks, according to the API server."""

from __future__ import annotations

import contextlib
from typing import Any

from bot.cluster.connect import Connection
from bot.cluster.errors import NotThere
from bot.ports import Refused

# (group, resource or resource/subresource, verbs). The chart's rules grant these and no others, and
# tests/contracts/cluster_port/test_verbs.py records that they are what is sent. Kinds that /apply
# writes are granted by name (rbac.apply).
NEEDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("apps", "deployments", ("get", "list", "watch", "create", "patch", "delete")),
    ("apps", "replicasets", ("list", "watch")),
    ("", "pods", ("list", "watch")),
    ("", "pods/log", ("get",)),
    ("", "services", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "services/proxy", ("get",)),
    ("", "pods/proxy", ("get",)),
    ("discovery.k8s.io", "endpointslices", ("list", "watch")),
    ("", "events", ("list",)),
    ("", "resourcequotas", ("list",)),
    ("", "persistentvolumeclaims", ("list",)),
    ("autoscaling", "horizontalpodautoscalers", ("list", "patch")),
    ("policy", "poddisruptionbudgets", ("list",)),
    ("networking.k8s.io", "networkpolicies", ("list",)),
)
# These need no rule, so that nobody grants more than is used.
_ONLY_FOR = {
    "get pods/log": "log lines as evidence",
    "get services/proxy": "probes without a url",
    "get pods/proxy": "the probe before a switch",
    "patch horizontalpodautoscalers": "apps with `autoscaler: {min_replicas: raise}`",
}
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def missing_permissions(connection: Connection, namespace: str) -> tuple[str, ...]:
    """Each missing one as ``create deployments.apps in default``. Raises ClusterUnreachable,
    Refused."""
    wanted = [
        (group, resource, verb, namespace) for group, resource, verbs in NEEDED for verb in verbs
    ]
    wanted.append(("", "namespaces", "get", ""))  # kube-system, whose uid names the cluster
    with contextlib.suppress(Refused, NotThere):
        connection.get("/version")  # an API server that hangs keeps one request waiting, not forty
    answers = [connection.start(_is_allowed, connection, *one) for one in wanted]
    return tuple(
        _sentence(*one) for one, answer in zip(wanted, answers, strict=True) if not answer.result()
    )


def _is_allowed(
    connection: Connection, group: str, resource: str, verb: str, namespace: str
) -> bool:
    resource, _, subresource = resource.partition("/")
    attributes: dict[str, Any] = {"group": group, "resource": resource, "verb": verb}
    if subresource:
        attributes["subresource"] = subresource
    if namespace:
        attributes["namespace"] = namespace
    else:
        attributes["name"] = "kube-system"
    review = connection.post(
        _REVIEWS,
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool((review.get("status") or {}).get("allowed"))


def _sentence(group: str, resource: str, verb: str, namespace: str) -> str:
    if not namespace:
        return f"{verb} {resource} kube-system"
    name, slash, subresource = resource.partition("/")
    qualified = f"{name}.{group}" if group else name
    only_for = _ONLY_FOR.get(f"{verb} {resource}")
    use = f" (only for {only_for})" if only_for else ""
    return f"{verb} {qualified}{slash}{subresource} in {namespace}{use}"
