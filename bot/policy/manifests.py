"""What manifests may bring: images of the catalog's repositories, and what stays with the app.

Compared is an object as it is with the object as it will be: what runs or reaches out already is
nothing new, so a sidecar that is there does not stop a change of its neighbour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.policy.permissions import Permission, Role, may
from bot.releases.facts.images import normal_repository, split_image
from bot.releases.facts.target import Target

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
_OF_THE_HOST = ("hostNetwork", "hostPID", "hostIPC")
_RIGHTS = "rbac.authorization.k8s.io/"
_MAX_NAMED = 3


@dataclass(frozen=True)
class Brought:
    """What one object would have that it has not now. ``repositories``: of images; ``reach``: what
    goes beyond an ordinary pod, in words."""

    repositories: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedBrought:
    """``name``: the object as people read it, "Deployment shop/hello"."""

    name: str
    brought: Brought
    is_of_cluster: bool = False


def brought_by(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Brought:
    """``before`` None: the object is created."""
    old = before or {}
    rights = ("rights in Kubernetes",) if _grants_rights(after) and old != after else ()
    return Brought(
        _new(_repositories(old), _repositories(after)), (*rights, *_new(_reach(old), _reach(after)))
    )


def refusal_of_manifests(
    target: Target, found: Sequence[NamedBrought], roles: Collection[Role]
) -> str:
    """ "" when someone with these roles may apply them to this app, else one line."""
    allowed = {normal_repository(name) for name in target.images}
    foreign = [
        repository
        for one in found
        for repository in one.brought.repositories
        if normal_repository(repository) not in allowed
    ]
    if foreign and allowed:
        return (
            f"Images of `{foreign[0]}` are not allowed here. Allowed: {', '.join(target.images)}."
        )
    beyond = [
        f"{one.name} ({', '.join(words[:_MAX_NAMED])})"
        for one in found
        if (words := _beyond(one, target))
    ]
    if not beyond or may(roles, Permission.ADMIN):
        return ""
    return f"Only an admin may apply what reaches beyond {target.app}: {'; '.join(beyond)}."


def _beyond(one: NamedBrought, target: Target) -> tuple[str, ...]:
    cluster = ("belongs to the whole cluster",) if one.is_of_cluster else ()
    # Where the catalog names no images for the app, nobody has allowed any.
    unruled = () if target.images else one.brought.repositories
    images = tuple(f"image {name}, and no `images`" for name in unruled)
    return (*cluster, *one.brought.reach, *images)


def _new(old: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in now if one not in old))


def _grants_rights(body: Mapping[str, Any]) -> bool:
    return str(body.get("apiVersion", "")).startswith(_RIGHTS)


def _pod_specs(value: Any) -> Iterator[Mapping[str, Any]]:
    """Those of any kind, custom resources included: whatever has containers."""
    if isinstance(value, Mapping):
        if any(isinstance(value.get(name), list) for name in _CONTAINERS):
            yield value
        for one in value.values():
            yield from _pod_specs(one)
    elif isinstance(value, list):
        for one in value:
            yield from _pod_specs(one)


def _containers(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _CONTAINERS:
        listed = spec.get(name)
        yield from (one for one in _listed(listed) if isinstance(one, Mapping))


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _repositories(body: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        split_image(str(one["image"])).repository
        for spec in _pod_specs(_written(body))
        for one in _containers(spec)
        if one.get("image")
    )


def _reach(body: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for spec in _pod_specs(_written(body)):
        found += [name for name in _OF_THE_HOST if spec.get(name)]
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        found += [f"service account {account}"] * (account != "default")
        found += [
            f"hostPath {_mapping(one.get('hostPath')).get('path', '')}"
            for one in _listed(spec.get("volumes"))
            if isinstance(one, Mapping) and one.get("hostPath")
        ]
        for container in _containers(spec):
            found += _reach_of_container(container)
    return tuple(found)


def _reach_of_container(container: Mapping[str, Any]) -> list[str]:
    context = _mapping(container.get("securityContext"))
    added = _listed(_mapping(context.get("capabilities")).get("add"))
    ports = [_mapping(one).get("hostPort") for one in _listed(container.get("ports"))]
    return [
        *(["privileged"] if context.get("privileged") else []),
        *(f"capability {name}" for name in added),
        *(f"hostPort {port}" for port in ports if port),
    ]


def _written(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: part for name, part in body.items() if name not in ("metadata", "status")}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
