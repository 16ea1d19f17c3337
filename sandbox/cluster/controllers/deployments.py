"""The Deployment controller (pkg/controller/deployment), line by line where the order of writes is
visible from outside."""

from __future__ import annotations

import hashlib

import orjson

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER, DeleteOptions, WriteOptions
from sandbox.cluster.api_server.failures import ApiFailure
from sandbox.cluster.api_server.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from sandbox.cluster.api_server.selectors import selector_test
from sandbox.cluster.controllers import conditions
from sandbox.cluster.controllers import rollout_arithmetic as arithmetic
from sandbox.cluster.controllers.claiming import claim
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.controllers.rollout_status import RolloutStatus
from sandbox.cluster.objects import (
    Json,
    annotations_of,
    condition_of,
    controller_reference,
    copy_json,
    is_controlled_by,
    is_terminating,
    name_of,
    namespace_of,
    safe_encode,
)

_COMPONENT = "deployment-controller"
_HISTORY_LENGTH = 2000


def newest_last(item: Json) -> tuple[str, int, str]:
    """ReplicaSetsByCreationTimestamp; the version breaks ties between equal whole seconds."""
    return item["metadata"]["creationTimestamp"], arithmetic.revision_of(item), name_of(item)


class DeploymentController:
    """Reconciles one Deployment at a time; key: (namespace, name)."""

    def __init__(self, view: ClusterView) -> None:
        self._view = view
        self._status = RolloutStatus(view)
        view.queue.handle("deployment", self.sync)

    def sync(self, key: tuple[str, str]) -> None:
        stored = self._view.store.get(DEPLOYMENTS, *key)
        if stored is None:
            return
        deployment: Json = copy_json(stored)
        sets = self._claimed(deployment)
        if is_terminating(deployment):
            new, old = self._sync_revision(deployment, sets, create=False)
            self._status.sync_plain(deployment, old, new)
            return
        deployment = self._record_pause(deployment)
        if deployment["spec"].get("paused"):
            self._sync_scale(deployment, sets)
        elif self._is_scaling(deployment, sets):
            deployment = self._fresh(deployment)
            self._sync_scale(deployment, self._claimed(deployment))
        elif not arithmetic.is_rolling(deployment):
            deployment = self._fresh(deployment)
            self._recreate(deployment, self._claimed(deployment))
        else:
            deployment = self._fresh(deployment)
            self._roll(deployment, self._claimed(deployment))

    def _fresh(self, deployment: Json) -> Json:
        fresh: Json = copy_json(
            self._view.store.get(DEPLOYMENTS, namespace_of(deployment), name_of(deployment))
        )
        return fresh

    def _claimed(self, deployment: Json) -> list[Json]:
        """Owned ReplicaSets, after adopting matching orphans and releasing those that no longer
        match."""
        test = selector_test(deployment["spec"]["selector"])
        return sorted(claim(self._view, deployment, REPLICA_SETS, test), key=newest_last)

    def _record_pause(self, deployment: Json) -> Json:
        """checkPausedConditions."""
        if not arithmetic.has_deadline(deployment):
            return deployment
        present = condition_of(deployment, conditions.PROGRESSING)
        if present is not None and present.get("reason") == conditions.TIMED_OUT:
            return deployment
        shown = present is not None and present.get("reason") == conditions.PAUSED
        paused = bool(deployment["spec"].get("paused"))
        if paused == shown:
            return deployment
        reason, message = (
            (conditions.PAUSED, "Deployment is paused")
            if paused
            else (conditions.RESUMED, "Deployment is resumed")
        )
        status = deployment.setdefault("status", {})
        condition = conditions.new_condition(
            conditions.PROGRESSING, "Unknown", reason, message, self._view.now()
        )
        conditions.set_condition(status, condition)
        written: Json = copy_json(
            self._view.write_status(DEPLOYMENTS, deployment, CONTROLLER_MANAGER)
        )
        return written

    def _split(self, deployment: Json, sets: list[Json]) -> tuple[Json | None, list[Json]]:
        """(new, old): the new one is the oldest whose template equals the Deployment's."""
        template = deployment["spec"]["template"]
        new = next(
            (
                item
                for item in sets
                if arithmetic.equal_ignoring_hash(item["spec"]["template"], template)
            ),
            None,
        )
        return new, [item for item in sets if item is not new]

    def _sync_revision(
        self, deployment: Json, sets: list[Json], *, create: bool
    ) -> tuple[Json | None, list[Json]]:
        """getAllReplicaSetsAndSyncRevision; changes `deployment` in place."""
        new, old = self._split(deployment, sets)
        revision = max(map(arithmetic.revision_of, old), default=0) + 1
        if new is not None:
            return self._sync_existing(deployment, new, revision), old
        if not create:
            return None, old
        return self._create_set(deployment, old, revision), old

    def _sync_existing(self, deployment: Json, new: Json, revision: int) -> Json:
        changed: Json = copy_json(new)
        annotated = self._annotate(deployment, changed, revision, exists=True)
        ready_seconds = deployment["spec"].get("minReadySeconds", 0)
        if annotated or changed["spec"].get("minReadySeconds", 0) != ready_seconds:
            changed["spec"]["minReadySeconds"] = ready_seconds
            return self._view.write(REPLICA_SETS, changed, CONTROLLER_MANAGER)
        needs_write = self._set_revision(
            deployment, annotations_of(new).get(arithmetic.REVISION, "")
        )
        if (
            arithmetic.has_deadline(deployment)
            and condition_of(deployment, conditions.PROGRESSING) is None
        ):
            message = f'Found new replica set "{name_of(new)}"'
            condition = conditions.new_condition(
                conditions.PROGRESSING, "True", conditions.FOUND_NEW_SET, message, self._view.now()
            )
            needs_write |= conditions.set_condition(deployment.setdefault("status", {}), condition)
        if needs_write:
            self._rewrite(deployment)
        return new

    def _rewrite(self, deployment: Json) -> None:
        """UpdateStatus, with the result copied back into the caller's object."""
        written = self._view.write_status(DEPLOYMENTS, deployment, CONTROLLER_MANAGER)
        deployment.clear()
        deployment.update(copy_json(written))

    def _set_revision(self, deployment: Json, revision: str) -> bool:
        annotations = deployment["metadata"].setdefault("annotations", {})
        if annotations.get(arithmetic.REVISION) == revision:
            return False
        annotations[arithmetic.REVISION] = revision
        return True

    def _annotate(self, deployment: Json, item: Json, revision: int, *, exists: bool) -> bool:
        """SetNewReplicaSetAnnotations: copies the Deployment's annotations and advances the
        revision."""
        annotations: dict[str, str] = item["metadata"].setdefault("annotations", {})
        changed = False
        for key, value in annotations_of(deployment).items():
            if key not in arithmetic.NOT_COPIED and annotations.get(key) != value:
                annotations[key] = value
                changed = True
        before = annotations.get(arithmetic.REVISION)
        if before is not None and not before.isdigit():
            return False
        if int(before or 0) < revision:
            annotations[arithmetic.REVISION] = str(revision)
            changed = True
            if before is not None:
                past = [
                    part
                    for part in annotations.get(arithmetic.REVISION_HISTORY, "").split(",")
                    if part
                ]
                while past and len(",".join([*past, before])) > _HISTORY_LENGTH:
                    past.pop(0)
                annotations[arithmetic.REVISION_HISTORY] = ",".join([*past, before])
        if not exists:
            changed |= self._annotate_sizes(deployment, item)
        return changed

    def _annotate_sizes(self, deployment: Json, item: Json) -> bool:
        wanted = arithmetic.replicas_of(deployment)
        sizes = {
            arithmetic.DESIRED_REPLICAS: str(wanted),
            arithmetic.MAX_REPLICAS: str(wanted + arithmetic.max_surge(deployment)),
        }
        annotations: dict[str, str] = item["metadata"].setdefault("annotations", {})
        if all(annotations.get(key) == value for key, value in sizes.items()):
            return False
        annotations.update(sizes)
        return True

    def _create_set(self, deployment: Json, old: list[Json], revision: int) -> Json | None:
        item = _new_set(deployment)
        item["spec"]["replicas"] = arithmetic.new_set_replicas(deployment, [*old, item], item)
        self._annotate(deployment, item, revision, exists=False)
        try:
            created = self._view.registry.create(
                REPLICA_SETS, namespace_of(deployment), item, CONTROLLER_MANAGER, WriteOptions()
            )
        except ApiFailure as failure:
            self._note_failed_creation(deployment, item, failure)
            return None
        if arithmetic.replicas_of(created):
            message = (
                f"Scaled up replica set {name_of(created)} from 0 to"
                f" {arithmetic.replicas_of(created)}"
            )
            self._view.record(deployment, "Normal", "ScalingReplicaSet", message, _COMPONENT)
        self._set_revision(deployment, str(revision))
        if arithmetic.has_deadline(deployment):
            message = f'Created new replica set "{name_of(created)}"'
            condition = conditions.new_condition(
                conditions.PROGRESSING,
                "True",
                conditions.NEW_SET_CREATED,
                message,
                self._view.now(),
            )
            conditions.set_condition(deployment.setdefault("status", {}), condition)
        self._rewrite(deployment)
        return created

    def _note_failed_creation(self, deployment: Json, item: Json, failure: ApiFailure) -> None:
        status = deployment.setdefault("status", {})
        if failure.reason == "AlreadyExists":
            present = self._view.store.get(REPLICA_SETS, namespace_of(deployment), name_of(item))
            if present is not None and not is_controlled_by(present, deployment):
                status["collisionCount"] = status.get("collisionCount", 0) + 1
                self._rewrite(deployment)
            return
        message = f'Failed to create new replica set "{name_of(item)}": {failure.message}'
        if arithmetic.has_deadline(deployment):
            condition = conditions.new_condition(
                conditions.PROGRESSING, "False", "ReplicaSetCreateError", message, self._view.now()
            )
            if conditions.set_condition(status, condition):
                self._rewrite(deployment)
        self._view.record(deployment, "Warning", "ReplicaSetCreateError", message, _COMPONENT)

    def _is_scaling(self, deployment: Json, sets: list[Json]) -> bool:
        """isScalingEvent: an active ReplicaSet records a different wanted size."""
        new, old = self._sync_revision(deployment, sets, create=False)
        wanted = str(arithmetic.replicas_of(deployment))
        for item in [*old, *([new] if new else [])]:
            desired = annotations_of(item).get(arithmetic.DESIRED_REPLICAS)
            if arithmetic.replicas_of(item) and desired is not None and desired != wanted:
                return True
        return False

    def _sync_scale(self, deployment: Json, sets: list[Json]) -> None:
        """sync: paused Deployments and changes of size."""
        new, old = self._sync_revision(deployment, sets, create=False)
        self._scale(deployment, new, old)
        if deployment["spec"].get("paused"):
            self._clean_up(deployment, old)
        current = self._present(deployment)
        new, old = self._split(deployment, current)
        self._status.sync_plain(deployment, old, new)

    def _present(self, deployment: Json) -> list[Json]:
        found = self._view.store.list_all(REPLICA_SETS, namespace_of(deployment))
        return sorted(
            (item for item in found if is_controlled_by(item, deployment)), key=newest_last
        )

    def _scale(self, deployment: Json, new: Json | None, old: list[Json]) -> None:
        wanted = arithmetic.replicas_of(deployment)
        active = [
            item for item in [*old, *([new] if new else [])] if arithmetic.replicas_of(item) > 0
        ]
        if len(active) <= 1:
            target = active[0] if active else (new or (max(old, key=newest_last) if old else None))
            if target is not None and arithmetic.replicas_of(target) != wanted:
                self._resize(deployment, target, wanted)
            return
        if arithmetic.is_saturated(deployment, new):
            for item in old:
                if arithmetic.replicas_of(item):
                    self._resize(deployment, item, 0)
            return
        if arithmetic.is_rolling(deployment):
            self._scale_proportionally(deployment, active)

    def _scale_proportionally(self, deployment: Json, active: list[Json]) -> None:
        wanted = arithmetic.replicas_of(deployment)
        allowed = wanted + arithmetic.max_surge(deployment) if wanted > 0 else 0
        to_add = allowed - arithmetic.total_replicas(active)
        # Larger sets first; of equal ones the newer when growing, the older when shrinking.
        active = sorted(active, key=newest_last, reverse=to_add > 0)
        active.sort(key=lambda item: -arithmetic.replicas_of(item))
        added = 0
        sizes = []
        for item in active:
            share = arithmetic.proportion(item, deployment, to_add, added) if to_add else 0
            sizes.append(arithmetic.replicas_of(item) + share)
            added += share
        if to_add:
            sizes[0] = max(0, sizes[0] + to_add - added)
        for item, size in zip(active, sizes, strict=True):
            self._resize(deployment, item, size, force=True)

    def _resize(self, deployment: Json, item: Json, size: int, *, force: bool = False) -> bool:
        """scaleReplicaSet; True when the size changed."""
        before = arithmetic.replicas_of(item)
        if not force and before == size:
            return False
        changed: Json = copy_json(item)
        annotated = self._annotate_sizes(deployment, changed)
        if before == size and not annotated:
            return False
        changed["spec"]["replicas"] = size
        self._view.write(REPLICA_SETS, changed, CONTROLLER_MANAGER)
        if before == size:
            return False
        direction = "up" if before < size else "down"
        message = f"Scaled {direction} replica set {name_of(item)} from {before} to {size}"
        self._view.record(deployment, "Normal", "ScalingReplicaSet", message, _COMPONENT)
        return True

    def _roll(self, deployment: Json, sets: list[Json]) -> None:
        """rolloutRolling: at most one kind of step per sync."""
        new, old = self._sync_revision(deployment, sets, create=True)
        if new is None:
            self._finish(deployment)
            return
        if self._grow_new(deployment, new, old) or self._shrink_old(deployment, new, old):
            self._finish(deployment)
            return
        if arithmetic.is_complete(deployment, deployment.get("status", {})):
            self._clean_up(deployment, old)
        self._finish(deployment)

    def _finish(self, deployment: Json) -> None:
        new, old = self._split(deployment, self._present(deployment))
        self._status.sync_rollout(deployment, old, new)

    def _grow_new(self, deployment: Json, new: Json, old: list[Json]) -> bool:
        wanted = arithmetic.replicas_of(deployment)
        if arithmetic.replicas_of(new) == wanted:
            return False
        if arithmetic.replicas_of(new) > wanted:
            return self._resize(deployment, new, wanted)
        return self._resize(
            deployment, new, arithmetic.new_set_replicas(deployment, [*old, new], new)
        )

    def _shrink_old(self, deployment: Json, new: Json, old: list[Json]) -> bool:
        """reconcileOldReplicaSets: unhealthy pods of old sets first, then as many as may be
        unavailable."""
        active = [item for item in old if arithmetic.replicas_of(item) > 0]
        if not active:
            return False
        floor = arithmetic.replicas_of(deployment) - arithmetic.max_unavailable(deployment)
        new_unavailable = arithmetic.replicas_of(new) - int(
            new.get("status", {}).get("availableReplicas", 0)
        )
        room = arithmetic.total_replicas([*old, new]) - floor - new_unavailable
        if room <= 0:
            return False
        active.sort(key=newest_last)
        cleaned = 0
        for at, item in enumerate(active):
            size = arithmetic.replicas_of(item)
            unhealthy = size - int(item.get("status", {}).get("availableReplicas", 0))
            if cleaned >= room or size == 0 or unhealthy <= 0:
                continue
            count = min(room - cleaned, unhealthy)
            self._resize(deployment, item, size - count)
            cleaned += count
            active[at] = self._view.registry.get(REPLICA_SETS, namespace_of(item), name_of(item))
        available = arithmetic.total_status([*active, new], "availableReplicas")
        removed = 0
        for item in active:
            size = arithmetic.replicas_of(item)
            if removed >= available - floor or size == 0:
                continue
            count = min(size, available - floor - removed)
            self._resize(deployment, item, size - count)
            removed += count
        return cleaned + removed > 0

    def _recreate(self, deployment: Json, sets: list[Json]) -> None:
        """rolloutRecreate: every old pod ends before the first new one starts."""
        new, old = self._sync_revision(deployment, sets, create=False)
        shrunk = [self._resize(deployment, item, 0) for item in old if arithmetic.replicas_of(item)]
        if any(shrunk) or self._old_pods_run(new, old):
            self._finish(deployment)
            return
        if new is None:
            new, old = self._sync_revision(deployment, sets, create=True)
        if new is not None:
            self._resize(deployment, new, arithmetic.replicas_of(deployment))
        if arithmetic.is_complete(deployment, deployment.get("status", {})):
            self._clean_up(deployment, old)
        self._finish(deployment)

    def _old_pods_run(self, new: Json | None, old: list[Json]) -> bool:
        if arithmetic.total_status(old, "replicas"):
            return True
        for item in old:
            for pod in self._view.store.iterate(PODS, namespace_of(item)):
                phase = pod.get("status", {}).get("phase")
                if is_controlled_by(pod, item) and phase not in ("Failed", "Succeeded"):
                    return True
        return False

    def _clean_up(self, deployment: Json, old: list[Json]) -> None:
        """cleanupDeployment: deletes old ReplicaSets beyond revisionHistoryLimit, oldest revisions
        first."""
        if not arithmetic.has_history_limit(deployment):
            return
        alive = [item for item in old if not is_terminating(item)]
        surplus = len(alive) - int(deployment["spec"]["revisionHistoryLimit"])
        for item in sorted(
            alive, key=lambda found: (arithmetic.revision_of(found), newest_last(found))
        )[: max(0, surplus)]:
            status = item.get("status", {})
            if status.get("replicas", 0) or arithmetic.replicas_of(item):
                continue
            if item["metadata"]["generation"] > status.get("observedGeneration", 0):
                continue
            self._view.registry.delete(
                REPLICA_SETS, namespace_of(item), name_of(item), CONTROLLER_MANAGER, DeleteOptions()
            )


def template_hash_of(template: Json, collisions: int) -> str:
    """A pod-template-hash: ten safe letters, the same for the same template (the real one hashes
    Go's memory layout)."""
    digest = hashlib.sha256(
        orjson.dumps([template, collisions], option=orjson.OPT_SORT_KEYS)
    ).digest()
    return safe_encode(str(int.from_bytes(digest[:4], "big")))


def _new_set(deployment: Json) -> Json:
    """The ReplicaSet of the Deployment's template, without replicas yet."""
    template: Json = copy_json(deployment["spec"]["template"])
    template_hash = template_hash_of(
        template, deployment.get("status", {}).get("collisionCount", 0)
    )
    labels = {
        **(template["metadata"].get("labels") or {}),
        arithmetic.HASH_LABEL: template_hash,
    }
    template["metadata"]["labels"] = labels
    selector: Json = copy_json(deployment["spec"]["selector"])
    selector.setdefault("matchLabels", {})[arithmetic.HASH_LABEL] = template_hash
    item: Json = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{template_hash}",
            "namespace": namespace_of(deployment),
            "labels": dict(labels),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if deployment["spec"].get("minReadySeconds"):
        item["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
    return item
