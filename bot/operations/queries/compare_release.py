"""What a release changed in the cluster: as it found the Deployment, against what runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.operations.context import Context
from bot.operations.queries.flatten import leaves
from bot.operations.queries.observe_app import observe_app
from bot.operations.replies import ComparisonReply
from bot.policy.concealment import concealed_pair
from bot.releases.facts.as_found import DeploymentAsFound
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.release import Phase, Release
from bot.releases.planning.refusals import PlanRefused

_ABSENT = "nothing"


def compare_release(context: Context, release: Release) -> ComparisonReply:
    """Raises ClusterUnreachable; PlanRefused where there is nothing to compare."""
    if release.as_found is None:
        raise PlanRefused(f"{release.id} changed nothing: it ended before it read the cluster.")
    stable = _stable_now(context, release)
    after, of_what = _after(context, release, stable)
    before = release.as_found.stable
    is_now = after is stable.template
    replicas = _replicas(before, stable) if is_now else ()
    rows = (*replicas, *_differences(before.template, after))
    note = f"Before: as {release.id} found it. After: {of_what}."
    if not rows:
        note += " Nothing differs."
    return ComparisonReply(release, rows, note)


def _stable_now(context: Context, release: Release) -> DeploymentSeen:
    app = context.catalog.find(release.target.app, release.target.cluster)
    seen = (
        context.cluster(release.target.cluster).observe(release.target, candidate="")
        if app is None
        else observe_app(context, app)
    )
    if seen.stable is None:
        raise PlanRefused(f"There is no Deployment {release.target.deployment} any more.")
    return seen.stable


def _after(context: Context, release: Release, stable: DeploymentSeen) -> tuple[Any, str]:
    """(template, in words). Once another release followed: of the ReplicaSet that this one
    brought."""
    target = release.target
    newest = next(iter(context.store.recent(target.app, target.cluster, limit=1)), None)
    if newest is None or newest.id == release.id or release.phase is not Phase.SUCCEEDED:
        return stable.template, "as the cluster is now"
    own = re.compile(rf", {re.escape(release.id)}(:|$)")
    found = next((one for one in stable.replica_sets if own.search(one.change_cause)), None)
    if found is None:
        return stable.template, f"as the cluster is now, after {newest.id}"
    return found.template, f"revision {found.revision}, which it brought"


def _replicas(before: DeploymentAsFound, now: DeploymentSeen) -> Iterator[tuple[str, str, str]]:
    if before.replicas != now.replicas:
        yield "replicas", str(before.replicas), str(now.replicas)


def _differences(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    """Of an environment variable only its name: a value may be a secret whatever it is called."""
    yield from _variables(before, after)
    was, became = (
        _fields(one) for one in concealed_pair(_without_env(before), _without_env(after))
    )
    for path in sorted(was.keys() | became.keys()):
        old, new = was.get(path, _ABSENT), became.get(path, _ABSENT)
        if old != new:
            yield path, old, new


def _fields(template: Any) -> dict[str, str]:
    return {path.removeprefix("spec."): value for path, value in leaves(template)}


def _variables(before: Any, after: Any) -> Iterator[tuple[str, str, str]]:
    was, became = _environment(before), _environment(after)
    for key in sorted(was.keys() | became.keys()):
        old, new = was.get(key), became.get(key)
        if old != new:
            container, name = key
            yield (
                f"env {name} of {container}",
                _ABSENT if old is None else "set",
                _ABSENT if new is None else "set" if old is None else "changed",
            )


def _environment(template: Any) -> dict[tuple[str, str], Any]:
    return {
        (str(container.get("name", "")), str(variable.get("name", ""))): variable
        for container in _containers(template)
        for variable in container.get("env") or ()
    }


def _containers(template: Any) -> Iterator[Mapping[str, Any]]:
    spec = template.get("spec", {})
    for kind in ("initContainers", "containers"):
        yield from spec.get(kind) or ()


def _without_env(template: Any) -> Any:
    spec = dict(template.get("spec", {}))
    for kind in ("initContainers", "containers"):
        if spec.get(kind):
            spec[kind] = [
                {key: value for key, value in one.items() if key != "env"} for one in spec[kind]
            ]
    return {**template, "spec": spec}
