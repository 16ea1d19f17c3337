"""SelfSubjectAccessReview, SelfSubjectRulesReview and SelfSubjectReview."""

from __future__ import annotations

from sandbox.cluster.api_server.access import Access, Attributes
from sandbox.cluster.api_server.callers import Caller
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.objects import Json


def answer(access: Access, resource: Resource, body: Json, caller: Caller) -> Json:
    """The review with its status filled in."""
    spec: Json = body.get("spec") or {}
    result: Json = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}}
    match resource.kind:
        case "SelfSubjectAccessReview":
            allowed = access.allows(caller, _attributes(spec))
            return {**result, "spec": spec, "status": {"allowed": allowed}}
        case "SelfSubjectRulesReview":
            rules = access.rules(caller, spec.get("namespace", ""))
            if caller.is_admin:
                rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
            status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
            return {**result, "spec": spec, "status": status}
        case _:
            return {
                **result,
                "status": {"userInfo": {"username": caller.user, "groups": list(caller.groups)}},
            }


def _attributes(spec: Json) -> Attributes:
    path = spec.get("nonResourceAttributes")
    if path:
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    wanted = spec.get("resourceAttributes") or {}
    return Attributes(
        wanted.get("verb", ""),
        wanted.get("group", ""),
        wanted.get("resource", ""),
        wanted.get("subresource", ""),
        wanted.get("namespace", ""),
        wanted.get("name", ""),
    )
