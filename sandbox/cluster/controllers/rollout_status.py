"""The status of a Deployment: counts, conditions and the progress deadline (deployment/sync.go,
progress.go)."""

from __future__ import annotations

from sandbox.cluster.api_server.callers import CONTROLLER_MANAGER
from sandbox.cluster.api_server.resources import DEPLOYMENTS
from sandbox.cluster.controllers import conditions
from sandbox.cluster.controllers import rollout_arithmetic as arithmetic
from sandbox.cluster.controllers.cluster_view import ClusterView
from sandbox.cluster.objects import (
    Json,
    copy_json,
    drop_empty,
    find_condition,
    name_of,
    namespace_of,
    seconds_of,
    semantically_equal,
)


class RolloutStatus:
    def __init__(self, view: ClusterView) -> None:
        self._view = view

    def sync_plain(self, deployment: Json, old: list[Json], new: Json | None) -> None:
        """syncDeploymentStatus: no progress is estimated."""
        self._write(deployment, self._calculated(deployment, old, new))

    def sync_rollout(self, deployment: Json, old: list[Json], new: Json | None) -> None:
        """syncRolloutStatus."""
        status = self._calculated(deployment, old, new)
        before = deployment.get("status", {})
        if not arithmetic.has_deadline(deployment):
            conditions.remove_condition(status, conditions.PROGRESSING)
        current = find_condition(before.get("conditions") or (), conditions.PROGRESSING)
        settled = (
            status.get("replicas", 0) == status.get("updatedReplicas", 0)
            and current is not None
            and current.get("reason") == conditions.NEW_SET_AVAILABLE
        )
        if arithmetic.has_deadline(deployment) and not settled:
            self._estimate(deployment, status, current, new)
        self._copy_failure(status, old, new)
        if not self._write(deployment, status):
            self._wake_at_deadline(deployment, status)

    def _estimate(
        self, deployment: Json, status: Json, current: Json | None, new: Json | None
    ) -> None:
        subject = (
            f'ReplicaSet "{name_of(new)}"'
            if new is not None
            else f'Deployment "{name_of(deployment)}"'
        )
        now = self._view.now()
        if arithmetic.is_complete(deployment, status):
            message = f"{subject} has successfully progressed."
            done = conditions.new_condition(
                conditions.PROGRESSING, "True", conditions.NEW_SET_AVAILABLE, message, now
            )
            conditions.set_condition(status, done)
        elif arithmetic.has_progressed(deployment.get("status", {}), status):
            moved = conditions.new_condition(
                conditions.PROGRESSING,
                "True",
                conditions.SET_UPDATED,
                f"{subject} is progressing.",
                now,
            )
            if current is not None:
                if current["status"] == "True":
                    moved["lastTransitionTime"] = current["lastTransitionTime"]
                conditions.remove_condition(status, conditions.PROGRESSING)
            conditions.set_condition(status, moved)
        elif self._has_timed_out(deployment, status):
            late = conditions.new_condition(
                conditions.PROGRESSING,
                "False",
                conditions.TIMED_OUT,
                f"{subject} has timed out progressing.",
                now,
            )
            conditions.set_condition(status, late)

    def _has_timed_out(self, deployment: Json, status: Json) -> bool:
        condition = find_condition(status.get("conditions") or (), conditions.PROGRESSING)
        if condition is None or condition.get("reason") == conditions.NEW_SET_AVAILABLE:
            return False
        if condition.get("reason") == conditions.TIMED_OUT:
            return True
        since = seconds_of(condition.get("lastUpdateTime"))
        return since + int(deployment["spec"]["progressDeadlineSeconds"]) < self._view.clock()

    def _wake_at_deadline(self, deployment: Json, status: Json) -> None:
        """requeueStuckDeployment."""
        condition = find_condition(status.get("conditions") or (), conditions.PROGRESSING)
        if not arithmetic.has_deadline(deployment) or condition is None:
            return
        if (
            arithmetic.is_complete(deployment, status)
            or condition.get("reason") == conditions.TIMED_OUT
        ):
            return
        since = seconds_of(condition.get("lastUpdateTime"))
        left = since + int(deployment["spec"]["progressDeadlineSeconds"]) - self._view.clock()
        self._view.queue.add_after(
            "deployment", (namespace_of(deployment), name_of(deployment)), max(0.0, left) + 1
        )

    def _copy_failure(self, status: Json, old: list[Json], new: Json | None) -> None:
        for item in [*([new] if new else []), *old]:
            failed = find_condition(
                item.get("status", {}).get("conditions") or (), conditions.REPLICA_FAILURE
            )
            if failed is not None:
                copied = conditions.new_condition(
                    conditions.REPLICA_FAILURE,
                    failed["status"],
                    failed.get("reason", ""),
                    failed.get("message", ""),
                    failed["lastTransitionTime"],
                )
                conditions.set_condition(status, copied)
                return
        conditions.remove_condition(status, conditions.REPLICA_FAILURE)

    def _calculated(self, deployment: Json, old: list[Json], new: Json | None) -> Json:
        """calculateStatus."""
        sets = [*old, *([new] if new is not None else [])]
        available = arithmetic.total_status(sets, "availableReplicas")
        before = deployment.get("status", {})
        status: Json = drop_empty(
            {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": arithmetic.total_status(sets, "replicas") or None,
                "updatedReplicas": (
                    arithmetic.total_status([new] if new else [], "replicas") or None
                ),
                "readyReplicas": arithmetic.total_status(sets, "readyReplicas") or None,
                "availableReplicas": available or None,
                "unavailableReplicas": max(0, arithmetic.total_replicas(sets) - available) or None,
                "collisionCount": before.get("collisionCount"),
                "conditions": copy_json(before.get("conditions") or []),
            }
        )
        status["terminatingReplicas"] = arithmetic.total_status(sets, "terminatingReplicas")
        floor = arithmetic.replicas_of(deployment) - arithmetic.max_unavailable(deployment)
        if available >= floor:
            verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        else:
            verdict = (
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            )
        conditions.set_condition(
            status, conditions.new_condition(conditions.AVAILABLE, *verdict, self._view.now())
        )
        return status

    def _write(self, deployment: Json, status: Json) -> bool:
        if semantically_equal(deployment.get("status", {}), status):
            return False
        self._view.write_status(DEPLOYMENTS, {**deployment, "status": status}, CONTROLLER_MANAGER)
        return True
