"""The pod image table: version, ready, restarts, pod, age, node and image, by ReplicaSet, with
stable and candidate apart."""

from __future__ import annotations

from collections.abc import Sequence

from bot.operations.context import App, Context
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.observe_app import observe_app
from bot.ports import Table
from bot.releases.assess.card_snapshot import app_image, pod_status
from bot.releases.assess.rollout import ready_endpoints
from bot.releases.facts.ages import human_age
from bot.releases.facts.counts import counted
from bot.releases.facts.images import version_of
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.planning.refusals import PlanRefused

COLUMNS = ("ROLE", "VERSION", "READY", "STATUS", "RESTARTS", "POD", "REV", "AGE", "NODE", "IMAGE")
"""A phone shows the first four: what runs, and whether it is well."""

Rows = list[tuple[str, ...]]


def show_pods(context: Context, apps: Sequence[App]) -> Table:
    """The note gives each ReplicaSet's number of pods and its share of the ready endpoints.

    Raises ClusterUnreachable; PlanRefused where the Deployment of the only app does not exist.
    """
    rows: Rows = []
    lines: list[str] = []
    for app in apps:
        name = app.target.app
        lead = (name,) if len(apps) > 1 else ()
        seen = observe_app(context, app)
        if seen.stable is None:
            missing = (
                f"no Deployment `{app.target.deployment}` in namespace {app.target.namespace} of"
                f" {app.target.cluster}"
            )
            if len(apps) == 1:
                raise PlanRefused(f"There is {missing}.")
            lines.append(f"{name}: {missing}")
            continue
        found, counts = _groups(app, seen, other=_role_of_other(context, app, seen))
        rows += [(*lead, *row) for row in found]
        lines += [f"{name} {line}" if lead else line for line in counts or ["no pods: scaled to 0"]]
    title = (
        f"Pods of {apps[0].target.app}"
        if len(apps) == 1
        else f"Pods of {len(apps)} apps: {len(rows)}"
    )
    return Table(
        title, ("APP", *COLUMNS) if len(apps) > 1 else COLUMNS, tuple(rows), "\n".join(lines)
    )


def _role_of_other(context: Context, app: App, seen: Observation) -> str:
    """In a kept pair, the Deployment that serves nobody is idle, not a candidate."""
    is_idle = (
        not ready_endpoints(seen, seen.candidate)
        and running_release(context, app.target.app) is None
    )
    return "idle" if is_idle else "candidate"


def _groups(app: App, seen: Observation, *, other: str) -> tuple[Rows, list[str]]:
    rows: Rows = []
    lines: list[str] = []
    total = len({e.pod_uid or e.address for e in seen.endpoints if e.ready and not e.terminating})
    for role, deployment in (("stable", seen.stable), (other, seen.candidate)):
        for replica_set in deployment.replica_sets if deployment is not None else ():
            pods = sorted(replica_set.pods, key=lambda pod: (pod.created_at, pod.name))
            if deployment is None or not pods:
                continue
            share = _share(seen, deployment, pods, total)
            versions = ", ".join(
                sorted({version_of(app_image(pod, app.target.container)) for pod in pods})
            )
            lines.append(
                f"{role}, revision {replica_set.revision} ({versions}):"
                f" {counted(len(pods), 'pod')}{share}"
            )
            rows += [(role, *_row(app, pod, str(replica_set.revision), seen.at)) for pod in pods]
    return rows, lines


def _share(
    seen: Observation, deployment: DeploymentSeen, pods: Sequence[PodSeen], total: int
) -> str:
    """A pod behind two Services counts once."""
    if not total:
        return ", no ready endpoint" if seen.services else ""
    serving = {e.pod_uid for e in ready_endpoints(seen, deployment)}
    mine = sum(pod.uid in serving for pod in pods)
    return f", {round(100 * mine / total)}% of {counted(total, 'ready endpoint')}"


def _row(app: App, pod: PodSeen, revision: str, now: int) -> tuple[str, ...]:
    image = app_image(pod, app.target.container)
    containers = [c for c in pod.containers if not c.init]
    last = max((c.last_terminated_at for c in containers), default=0)
    restarts = (
        f"{pod.restarts} ({human_age(now - last)} ago)"
        if pod.restarts and last
        else str(pod.restarts)
    )
    ready = f"{sum(c.ready for c in containers)}/{len(containers)}"
    return (
        version_of(image),
        ready,
        pod_status(pod),
        restarts,
        pod.name,
        revision,
        human_age(now - pod.created_at),
        pod.node or "-",
        image,
    )
