"""Adoption and release of dependents by selector and ownerReferences (pkg/controller
ControllerRefManager)."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER
from sandbox.cluster.api_server.resources import Resource
from sandbox.cluster.api_server.selectors import LabelTest
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import (
    Json,
    controller_of,
    controller_reference,
    copy_json,
    is_terminating,
    labels_of,
    namespace_of,
    uid_of,
)


def claim(view: ClusterView, owner: Json, resource: Resource, matches: LabelTest) -> list[Json]:
    """The objects that the owner controls now: matching orphans are adopted, owned objects that no
    longer match are released."""
    claimed = []
    for obj in list(view.store.iterate(resource, namespace_of(owner))):
        reference = controller_of(obj)
        if reference is not None:
            if reference["uid"] != uid_of(owner):
                continue
            if matches(labels_of(obj)):
                claimed.append(obj)
            elif not is_terminating(owner):
                _release(view, owner, resource, obj)
        elif matches(labels_of(obj)) and not is_terminating(owner) and not is_terminating(obj):
            claimed.append(_adopt(view, owner, resource, obj))
    return claimed


def _adopt(view: ClusterView, owner: Json, resource: Resource, obj: Json) -> Json:
    adopted: Json = copy_json(obj)
    adopted["metadata"].setdefault("ownerReferences", []).append(controller_reference(owner))
    return view.registry.write_directly(resource, adopted, CONTROLLER_MANAGER, "patch")


def _release(view: ClusterView, owner: Json, resource: Resource, obj: Json) -> None:
    released: Json = copy_json(obj)
    kept = [
        item for item in released["metadata"]["ownerReferences"] if item["uid"] != uid_of(owner)
    ]
    if kept:
        released["metadata"]["ownerReferences"] = kept
    else:
        del released["metadata"]["ownerReferences"]
    view.registry.write_directly(resource, released, CONTROLLER_MANAGER, "patch")
