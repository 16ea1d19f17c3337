"""The pod image table: version, ready, restarts, pod, age, node and image, by ReplicaSet, with
stable and candidate apart."""

from __future__ import annotations

from collections.abc import Sequence

from bot.operations.context import App, Context
from bot.operations.queries.list_apps import running_release
from bot.operations.queries.observe_app import observe_each, unreachable_line
from bot.ports import ClusterUnreachable, Table
from bot.releases.assess.card_snapshot import SideName, pod_line, pod_role
from bot.releases.assess.rollout import newest, pods_of, ready_endpoints
from bot.releases.facts.card_snapshot import POD_COLUMNS, PodLine, pod_row
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, Observation, PodSeen
from bot.releases.facts.release import Release
from bot.releases.planning.refusals import PlanRefused

Rows = list[tuple[str, ...]]


def show_pods(context: Context, apps: Sequence[App]) -> Table:
    """The note gives each ReplicaSet's number of pods and its share of the ready endpoints.

    Raises ClusterUnreachable; PlanRefused where the Deployment of the only app does not exist.
    """
    rows: Rows = []
    lines: list[str] = []
    for app, seen in observe_each(context, apps):
        name = app.target.label
        lead = (name,) if len(apps) > 1 else ()
        if isinstance(seen, ClusterUnreachable):
            lines.append(unreachable_line(app, seen))
            continue
        if seen.stable is None:
            missing = (
                f"no Deployment `{app.target.deployment}` in namespace {app.target.namespace} of"
                f" {app.target.cluster}"
            )
            if len(apps) == 1:
                raise PlanRefused(f"There is {missing}.")
            lines.append(f"{name}: {missing}")
            continue
        found, counts = _groups(app, seen, running_release(context, app.target))
        rows += [(*lead, *row) for row in found]
        lines += [f"{name} {line}" if lead else line for line in counts or ["no pods: scaled to 0"]]
    return Table(
        _title(apps, len(rows)),
        ("APP", *POD_COLUMNS) if len(apps) > 1 else POD_COLUMNS,
        tuple(rows),
        "\n".join(lines),
    )


def _title(apps: Sequence[App], pods: int) -> str:
    if len(apps) == 1:
        return f"Pods of {apps[0].target.label}"
    names = {app.target.app for app in apps}
    if len(names) == 1:
        return f"Pods of {names.pop()} in {counted(len(apps), 'cluster')}: {pods}"
    return f"Pods of {len(apps)} apps: {pods}"


def _groups(app: App, seen: Observation, release: Release | None) -> tuple[Rows, list[str]]:
    rows: Rows = []
    lines: list[str] = []
    total = len({e.pod_uid or e.address for e in seen.endpoints if e.ready and not e.terminating})
    sides: tuple[tuple[SideName, DeploymentSeen | None], ...] = (
        ("stable", seen.stable),
        ("candidate", seen.candidate),
    )
    for side, deployment in sides:
        for replica_set in deployment.replica_sets if deployment is not None else ():
            pods = sorted(replica_set.pods, key=lambda pod: (pod.created_at, pod.name))
            if deployment is None or not pods:
                continue
            found = [
                pod_line(
                    release.plan if release is not None else None,
                    app.target.container,
                    side,
                    pod,
                    is_current=replica_set is newest(deployment),
                    revision=replica_set.revision,
                )
                for pod in pods
            ]
            role = _role(seen, release, found[0])
            share = _share(seen, deployment, pods, total)
            versions = ", ".join(sorted({line.version for line in found}))
            ending = sum(pod.terminating for pod in pods)
            lines.append(
                f"{role}, revision {replica_set.revision} ({versions}):"
                f" {counted(len(pods), 'pod')}{f', {ending} terminating' if ending else ''}{share}"
            )
            rows += [pod_row(role, line, seen.at) for line in found]
    return rows, lines


def _role(seen: Observation, release: Release | None, pod: PodLine) -> str:
    """As on the card of the running release. Without a release, a Deployment of a kept pair is idle
    while it has no ready endpoint."""
    if release is not None and release.plan is not None:
        has_both = bool(pods_of(seen.stable)) and bool(pods_of(seen.candidate))
        return pod_role(release, pod.side, is_new=pod.is_new, has_both=has_both)
    is_idle = pod.side == "candidate" and not ready_endpoints(seen, seen.candidate)
    return "idle" if is_idle else pod.side


def _share(
    seen: Observation, deployment: DeploymentSeen, pods: Sequence[PodSeen], total: int
) -> str:
    """A pod behind two Services counts once."""
    if not total:
        return ", no ready endpoint" if seen.services else ""
    serving = {e.pod_uid for e in ready_endpoints(seen, deployment)}
    mine = sum(pod.uid in serving for pod in pods)
    return f", {round(100 * mine / total)}% of {counted(total, 'ready endpoint')}"
