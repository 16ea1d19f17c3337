"""Which template an undo goes to. DESIGN: the last template that a release saw healthy; a revision
marked bad is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.releases.facts.observation import DeploymentSeen, ReplicaSetSeen
from bot.releases.planning.refusals import PlanRefused


@dataclass(frozen=True)
class KnownTemplate:
    """What the record knows of one template."""

    template: Any
    verdict: str  # healthy, bad
    version: str
    release_id: str
    why: str = ""


@dataclass(frozen=True)
class ChosenUndo:
    template: Any
    note: str


def _is_orphan_of_canary(replica_set: ReplicaSetSeen, deployment: DeploymentSeen) -> bool:
    """An orphaning delete leaves a canary's ReplicaSet to stable; it carries `track` and is never
    chosen."""
    track = replica_set.labels.get("track")
    return track is not None and track != (
        deployment.template.get("metadata", {}).get("labels") or {}
    ).get("track")


def choose_undo(
    deployment: DeploymentSeen, known: Sequence[KnownTemplate], *, to_revision: int | None, app: str
) -> ChosenUndo:
    """Raises PlanRefused when there is nothing to go to, or the revision asked for is known to be
    bad."""
    candidates = [rs for rs in deployment.replica_sets if not _is_orphan_of_canary(rs, deployment)]
    bad = {_key(item.template): item for item in known if item.verdict == "bad"}
    healthy = [
        item for item in known if item.verdict == "healthy" and item.template != deployment.template
    ]
    if to_revision:
        match_ = next((rs for rs in candidates if rs.revision == to_revision), None)
        if match_ is None:
            there = ", ".join(str(rs.revision) for rs in candidates) or "none"
            raise PlanRefused(f"{app} has no revision {to_revision}; it has {there}")
        marked = bad.get(_key(match_.template))
        if marked is not None:
            good = f"; last known good is {healthy[0].version}" if healthy else ""
            raise PlanRefused(
                f"revision {to_revision} ({marked.version}) was bad in {marked.release_id}:"
                f" {marked.why}{good}"
            )
        return ChosenUndo(match_.template, "")
    older = [rs for rs in candidates if rs.template != deployment.template]
    previous = (
        older[0] if older else None
    )  # kubectl's choice: the highest revision that is not the current one
    for item in healthy:
        if _key(item.template) in bad:
            continue
        note = ""
        if previous is not None and previous.template != item.template:
            note = (
                f"kubectl would choose revision {previous.revision}; {item.version} is the last one"
                " a release saw healthy"
            )
        return ChosenUndo(item.template, note)
    if previous is None:
        raise PlanRefused(f"{app} has no earlier revision to go back to")
    marked = bad.get(_key(previous.template))
    if marked is not None:
        raise PlanRefused(
            f"the previous revision {previous.revision} ({marked.version}) was bad: {marked.why};"
            " choose one with --to-revision"
        )
    return ChosenUndo(
        previous.template,
        f"no release saw an earlier version healthy: revision {previous.revision}, as kubectl would"
        " choose",
    )


def _key(template: Any) -> str:
    return json.dumps(template, sort_keys=True)
