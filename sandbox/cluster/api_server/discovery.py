"""Discovery documents: /api, /apis (aggregated too), one per group and version, and /version."""

from __future__ import annotations

from sandbox.cluster.api_server.resources import Resource, ResourceTable
from sandbox.cluster.objects import Json

_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
_SUBRESOURCE_KINDS: dict[str, Json] = {
    "scale": _SCALE,
    "eviction": {"group": "policy", "version": "v1", "kind": "Eviction"},
    "binding": {"kind": "Binding"},
    "token": {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"},
    "proxy": {"kind": "ServiceProxyOptions"},
}
_SUBRESOURCE_VERBS: dict[str, list[str]] = {
    "log": ["get"],
    "eviction": ["create"],
    "binding": ["create"],
    "token": ["create"],
    "proxy": ["create", "delete", "get", "patch", "update"],
    "finalize": ["update"],
}


def version(kubernetes: tuple[int, int, int]) -> Json:
    major, minor, patch = kubernetes
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": f"v{major}.{minor}.{patch}",
        "gitCommit": "simulated",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "simulated",
    }


def core_versions() -> Json:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
    }


def groups(table: ResourceTable) -> Json:
    found: dict[str, list[str]] = {}
    for resource in table.all():
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [group_body(name, versions) for name, versions in found.items()],
    }


def group_body(name: str, versions: list[str]) -> Json:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def one_group(table: ResourceTable, name: str) -> Json | None:
    versions = list(
        dict.fromkeys(resource.version for resource in table.all() if resource.group == name)
    )
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **group_body(name, versions)}


def resources(table: ResourceTable, group: str, version: str) -> Json | None:
    found = [item for item in table.all() if (item.group, item.version) == (group, version)]
    if not found:
        return None
    entries: list[Json] = []
    for resource in sorted(found, key=lambda item: item.plural):
        entries.append(_entry(resource))
        entries += [_subresource(resource, name) for name in resource.subresources]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": entries,
    }


def _entry(resource: Resource) -> Json:
    return {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
        **_also_known_as(resource),
    }


def _also_known_as(resource: Resource) -> Json:
    """The short names and categories, which both kinds of discovery omit when there are none."""
    names = {"shortNames": list(resource.short_names), "categories": list(resource.categories)}
    return {key: value for key, value in names.items() if value}


def _subresource(resource: Resource, name: str) -> Json:
    return {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        **({"kind": resource.kind} | _SUBRESOURCE_KINDS.get(name, {})),
        "verbs": _SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"]),
    }


def aggregated(table: ResourceTable, *, core: bool) -> Json:
    """APIGroupDiscoveryList: every group with the resources of its versions, the preferred one
    first. ``core`` is /api, else /apis."""
    found: dict[str, dict[str, list[Json]]] = {}
    for resource in sorted(
        (item for item in table.all() if bool(item.group) != core), key=lambda item: item.plural
    ):
        found.setdefault(resource.group, {}).setdefault(resource.version, []).append(
            _aggregated_entry(resource)
        )
    in_order = (
        {"": ["v1"]}
        if core
        else {
            group["name"]: [v["version"] for v in group["versions"]]
            for group in groups(table)["groups"]
        }
    )
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": (
                    {"name": name, "creationTimestamp": None}
                    if name
                    else {"creationTimestamp": None}
                ),
                "versions": [
                    {"version": one, "resources": found[name][one], "freshness": "Current"}
                    for one in versions
                ],
            }
            for name, versions in in_order.items()
        ],
    }


def _aggregated_entry(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
        **_also_known_as(resource),
    }
    if resource.subresources:
        entry["subresources"] = [
            _aggregated_subresource(resource, name) for name in resource.subresources
        ]
    return entry


def _aggregated_subresource(resource: Resource, name: str) -> Json:
    whole = _subresource(resource, name)
    kind = {
        "group": whole.get("group", resource.group),
        "version": whole.get("version", resource.version),
        "kind": whole["kind"],
    }
    return {"subresource": name, "responseKind": kind, "verbs": whole["verbs"]}
