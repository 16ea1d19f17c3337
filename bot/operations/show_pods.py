"""The pod image table: pod, image, version, ready, restarts, age, node; by ReplicaSet, stable and candidate apart."""

from __future__ import annotations

from bot.operations.context import App, Context
from bot.operations.look_at import look_at
from bot.ports import Table
from bot.releases.ages import human_age
from bot.releases.health import ready_endpoints
from bot.releases.images import version_of
from bot.releases.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.planning import PlanRefused
from bot.releases.sighting import app_image, pod_status

COLUMNS = ("POD", "IMAGE", "VERSION", "READY", "STATUS", "RESTARTS", "AGE", "NODE")


def show_pods(context: Context, app: App) -> tuple[Table, ...]:
    """Raises ClusterUnreachable; PlanRefused where the Deployment does not exist."""
    seen = look_at(context, app)
    if seen.stable is None:
        raise PlanRefused(f"there is no Deployment `{app.target.deployment}` in {app.target.namespace} of {app.target.cluster}")
    tables = [*_tables(app, seen, seen.stable, "stable"), *(_tables(app, seen, seen.candidate, "candidate") if seen.candidate else ())]
    return tuple(tables) or (Table(f"{app.target.app}: no pods", COLUMNS, (), "scaled to 0"),)


def _tables(app: App, seen: Observation, deployment: DeploymentSeen, role: str) -> list[Table]:
    serving = {e.pod_uid for e in ready_endpoints(seen, deployment)}
    total = sum(1 for e in seen.endpoints if e.ready and not e.terminating)
    tables = []
    for replica_set in deployment.replica_sets:
        if not replica_set.pods:
            continue
        pods = sorted(replica_set.pods, key=lambda pod: (pod.created_at, pod.name))
        mine = sum(pod.uid in serving for pod in pods)
        share = f", {round(100 * mine / total)} % of {total} ready endpoints" if total else ""
        title = f"{deployment.name} ({role}), revision {replica_set.revision}: {len(pods)} pods{share}"
        tables.append(Table(title, COLUMNS, tuple(_row(app, pod, seen.at) for pod in pods)))
    return tables


def _row(app: App, pod: PodSeen, now: int) -> tuple[str, ...]:
    image = app_image(pod, app.target.container)
    containers = [c for c in pod.containers if not c.init]
    last = max((c.last_terminated_at for c in containers), default=0)
    restarts = f"{pod.restarts} ({human_age(now - last)} ago)" if pod.restarts and last else str(pod.restarts)
    ready = f"{sum(c.ready for c in containers)}/{len(containers)}"
    return (
        pod.name, image, version_of(image), ready, pod_status(pod), restarts, human_age(now - pod.created_at), pod.node or "-",
    )  # fmt: skip
