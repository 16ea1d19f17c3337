"""The Deployments and Services of a cluster, for a catalog that is yet to be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import yaml

from bot.cluster import errors, reading
from bot.cluster.connect import Connection, path_of
from bot.cluster.credentials import Unusable, context_names
from bot.ports import Refused
from bot.releases.facts.observation import DeploymentSeen, ServiceSeen
from config.nearest import nearest

PAGE = 500
_EVERYWHERE = {"deployments": "/apis/apps/v1/deployments", "services": "/api/v1/services"}

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Found(Generic[Seen]):
    """``place``: namespace and name."""

    place: tuple[str, str]
    seen: Seen


@dataclass(frozen=True)
class Inventory:
    """Each sorted by namespace and name."""

    deployments: tuple[Found[DeploymentSeen], ...] = ()
    services: tuple[Found[ServiceSeen], ...] = ()


@dataclass(frozen=True)
class Contexts:
    """``current``: the kubeconfig's own choice, "" for none."""

    names: tuple[str, ...]
    current: str


def read_contexts(kubeconfig: str) -> Contexts:
    """Raises ValueError with one line."""
    try:
        return Contexts(*context_names(kubeconfig))
    except UnicodeDecodeError as error:
        raise ValueError(f"{kubeconfig} is not a kubeconfig: it is not text") from error
    except OSError as error:
        raise ValueError(f"{kubeconfig} cannot be read: {error.strerror}") from error
    except (Unusable, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{kubeconfig} is not a kubeconfig") from error


def read_inventory(connection: Connection, namespaces: Sequence[str] = ()) -> Inventory:
    """Of these namespaces; of all where none is named. Raises ClusterUnreachable, and Refused also
    for a namespace that does not exist."""
    deployments: list[Found[DeploymentSeen]] = []
    services: list[Found[ServiceSeen]] = []
    for namespace in dict.fromkeys(namespaces) or ("",):
        deployments += _read(connection, "deployments", namespace, reading.deployment)
        services += _read(connection, "services", namespace, reading.service)
        if namespace and not any(one.place[0] == namespace for one in deployments):
            _require_namespace(connection, namespace)
    return Inventory(
        tuple(sorted(deployments, key=lambda one: one.place)),
        tuple(sorted(services, key=lambda one: one.place)),
    )


def _read(
    connection: Connection, resource: str, namespace: str, read: Callable[[Any], Seen]
) -> list[Found[Seen]]:
    path = path_of(resource, namespace) if namespace else _EVERYWHERE[resource]
    query, found = {"limit": str(PAGE)}, []
    while True:
        answer = connection.get(path, query)
        for item in answer.get("items") or ():
            meta = item["metadata"]
            found.append(Found((str(meta["namespace"]), str(meta["name"])), read(item)))
        more = (answer.get("metadata") or {}).get("continue")
        if not more:
            return found
        query["continue"] = str(more)


def _require_namespace(connection: Connection, namespace: str) -> None:
    """A list of a namespace that does not exist is empty. One that may not be read is taken to
    exist."""
    try:
        connection.get(f"/api/v1/namespaces/{quote(namespace, safe='')}")
    except errors.NotThere as missing:
        items = connection.optional_items("/api/v1/namespaces")
        close = nearest(namespace, [str(one["metadata"]["name"]) for one in items])
        hint = f"; did you mean `{close}`?" if close else ""
        raise Refused(f"there is no namespace `{namespace}`{hint}") from missing
    except Refused:
        return
