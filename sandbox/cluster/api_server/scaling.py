"""The subresource `scale` of Deployments and ReplicaSets (autoscaling/v1 Scale)."""

from __future__ import annotations

from sandbox.cluster.api_server import failures
from sandbox.cluster.api_server.callers import Caller, WriteOptions
from sandbox.cluster.api_server.failures import invalid_value
from sandbox.cluster.api_server.patching import APPLY_PATCH, patched
from sandbox.cluster.api_server.registry import Registry
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.selectors import selector_text
from sandbox.cluster.objects import Json, copy_json

_SCALE = Resource("autoscaling", "v1", "scales", "Scale")


def scale_of(obj: Json) -> Json:
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = obj["spec"].get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": selector_text(obj["spec"].get("selector")),
        },
    }


def write_scale(
    registry: Registry,
    resource: Resource,
    obj: Json,
    scale: Json,
    caller: Caller,
    options: WriteOptions,
    verb: str,
) -> Json:
    """Sets spec.replicas from a Scale; returns the Scale."""
    name = obj["metadata"]["name"]
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise failures.bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into'
            " Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        raise failures.invalid(
            _SCALE,
            name,
            [invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")],
        )
    sent = (scale.get("metadata") or {}).get("resourceVersion")
    if sent and sent != obj["metadata"]["resourceVersion"]:
        raise failures.conflict(resource, name, failures.MODIFIED)
    changed = copy_json(obj)
    changed["spec"]["replicas"] = replicas
    namespace = obj["metadata"].get("namespace", "")
    return scale_of(
        registry.update(resource, namespace, name, changed, caller, options, "scale", verb=verb)
    )


def patch_scale(
    registry: Registry,
    resource: Resource,
    obj: Json,
    content_type: str,
    body: bytes,
    caller: Caller,
    options: WriteOptions,
) -> Json:
    if content_type == APPLY_PATCH:
        content_type = "application/merge-patch+json"
    scale = patched(scale_of(obj), content_type, body, resource)
    return write_scale(registry, resource, obj, scale, caller, options, "patch")
