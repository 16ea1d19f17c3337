"""Idempotent changes of the cluster, data only. bot.cluster.apply carries them out; every one has a
branch there.

Every patch is a JSON patch whose ``test`` operations are the object's uid, our claim (annotation
``pilothouse.dev/release``) and the ``before`` value of each changed leaf, so Kubernetes itself
refuses what was decided on stale facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bot.releases.facts.intent import Field


@dataclass(frozen=True)
class FieldChange:
    field: Field
    before: Any
    after: Any


@dataclass(frozen=True)
class PatchDeployment:
    """``claim``: value the claim annotation must have now ("" = must be absent).

    ``resource_version`` is tested where it is given: by the patch that claims, which alone could
    come late and find no claim in its way after its release is over. A Deployment that nothing
    rolls keeps its version long enough for that.
    """

    name: str
    uid: str
    claim: str
    changes: tuple[FieldChange, ...]
    resource_version: str = ""
    kind: Literal["patch_deployment"] = "patch_deployment"


@dataclass(frozen=True)
class CreateDeployment:
    """``body`` is complete and inert: replicas 0 and claimed. An existing one of the same claim
    counts as done."""

    name: str
    claim: str
    body: Any
    kind: Literal["create_deployment"] = "create_deployment"


@dataclass(frozen=True)
class DeleteDeployment:
    """With uid precondition and propagationPolicy Background. Not found counts as done."""

    name: str
    uid: str
    kind: Literal["delete_deployment"] = "delete_deployment"


@dataclass(frozen=True)
class PatchService:
    """Bound to resourceVersion: nobody updates a Service constantly."""

    name: str
    uid: str
    resource_version: str
    changes: tuple[FieldChange, ...]
    kind: Literal["patch_service"] = "patch_service"


@dataclass(frozen=True)
class CreateService:
    name: str
    claim: str
    body: Any
    kind: Literal["create_service"] = "create_service"


@dataclass(frozen=True)
class DeleteService:
    name: str
    uid: str
    kind: Literal["delete_service"] = "delete_service"


@dataclass(frozen=True)
class PatchAutoscaler:
    """``claim`` as for ``PatchDeployment``. ``resource_version`` is tested where it is given: by
    the patch that claims."""

    name: str
    uid: str
    claim: str
    changes: tuple[FieldChange, ...]
    resource_version: str = ""
    kind: Literal["patch_autoscaler"] = "patch_autoscaler"


Action: TypeAlias = (
    PatchDeployment
    | CreateDeployment
    | DeleteDeployment
    | PatchService
    | CreateService
    | DeleteService
    | PatchAutoscaler
)
