"""Manifests compared with the cluster: what a person confirmed is still what would be written."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.operations.context import App, Context
from bot.policy.manifests import NamedBrought, refusal_of_manifests
from bot.policy.permissions import Role
from bot.ports import ObjectChange
from bot.releases.facts.changes import ShownObject
from bot.releases.facts.target import Target

_ALLOCATED = re.compile(
    r"(nodePort|NodePort|clusterIPs?): |clusterIPs:$|^\s*[+-]?\s*- [0-9a-f.:]+$"
)


@dataclass(frozen=True)
class Compared:
    """``shown``: as a person would see and confirm the changes now."""

    manifests: tuple[Mapping[str, Any], ...]
    changes: tuple[ObjectChange, ...]
    shown: tuple[ShownObject, ...]

    @property
    def digests(self) -> dict[str, str]:
        return {one.title: one.digest for one in self.shown}

    @property
    def template(self) -> Any:
        """What the app's own Deployment would roll to; None where it stays."""
        return next((one.template for one in self.changes if one.template is not None), None)


def compare_manifests(context: Context, app: App, target: Target) -> Compared:
    """Raises ClusterUnreachable, Refused."""
    manifests = context.manifests.load(app.manifests_folder, app.manifests, app.files)
    changes = context.cluster(target.cluster).plan_manifests(target, manifests)
    shown = tuple(shown_object(context.digest_key, one, manifests) for one in changes)
    return Compared(manifests, changes, shown)


def shown_object(
    key: bytes, change: ObjectChange, manifests: Sequence[Mapping[str, Any]]
) -> ShownObject:
    """Its digest is keyed: a plain one reveals a password that can be guessed. Left out are the
    lines around a change, which a release or an autoscaler may move meanwhile, and addresses and
    ports that the server allocates anew in each dry run."""
    lines = [
        line for line in change.diff if line.startswith(("+", "-")) and not _ALLOCATED.search(line)
    ]
    ours = [
        one
        for one in manifests
        if (one["kind"], one["metadata"]["name"]) == (change.kind, change.name)
    ]
    told = [does_of(change), lines, change.concealed, ours]
    content = json.dumps(told, sort_keys=True, default=str)
    digest = hmac.new(key, content.encode(), hashlib.sha256).hexdigest()
    return ShownObject(change.kind, change.namespace, change.name, change.does, digest)


def title_of(change: ObjectChange) -> str:
    return ShownObject(change.kind, change.namespace, change.name, change.does, "").title


def changes_something(change: ObjectChange) -> bool:
    """Written with the rest, or rolled."""
    return change.does != "unchanged" or change.template is not None


def does_of(change: ObjectChange) -> str:
    """The template of the app's own Deployment is not written with the rest: it rolls."""
    return "rolls" if change.template is not None and change.does == "unchanged" else change.does


def moved(shown: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Objects that changed, appeared or disappeared since they were shown."""
    return [name for name in dict.fromkeys((*now, *shown)) if shown.get(name) != now.get(name)]


def refusal_of_changes(
    target: Target, changes: Sequence[ObjectChange], roles: Collection[Role]
) -> str:
    """The image rule and the scope of `/deploy` hold for manifests too. "" where they allow it."""
    found = [
        NamedBrought(title_of(change), change.brought, _is_of_cluster(target, change))
        for change in changes
        if changes_something(change)
    ]
    return refusal_of_manifests(target, found, roles)


def conflicts_of(target: Target, changes: Sequence[ObjectChange]) -> str:
    """Fields that other managers own, which a manifest would take from them. "" where there are
    none."""
    lines = [f"{one.kind}/{one.name}: {line}" for one in changes for line in one.conflicts]
    if not lines:
        return ""
    return (
        f"Another manager owns fields that the manifests of {target.app} set:"
        f" {'; '.join(lines)[:600]}"
    )


def _is_of_cluster(target: Target, change: ObjectChange) -> bool:
    """The app's own Namespace, where it does not exist yet, comes with the app."""
    own = ("Namespace", target.namespace, "create")
    return not change.namespace and (change.kind, change.name, change.does) != own
