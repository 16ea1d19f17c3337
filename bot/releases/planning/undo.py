"""Which template does an undo restore? The last one that a release found healthy; a revision known
to be bad is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.releases.assess.selectors import labels_of
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
    """An orphaning delete leaves a canary's ReplicaSet to stable; it carries another `track` and is
    never chosen."""
    track = replica_set.labels.get("track")
    return track is not None and track != labels_of(deployment.template).get("track")


def choose_undo(
    deployment: DeploymentSeen, known: Sequence[KnownTemplate], *, to_revision: int | None, app: str
) -> ChosenUndo:
    """Raises PlanRefused when there is nothing to undo to, or it is known to be bad."""
    revisions = [rs for rs in deployment.replica_sets if not _is_orphan_of_canary(rs, deployment)]
    bad = {_key(item.template): item for item in known if item.verdict == "bad"}
    healthy = [
        item for item in known if item.verdict == "healthy" and item.template != deployment.template
    ]
    if to_revision:
        return _revision_asked_for(revisions, bad, healthy, to_revision, app)
    # kubectl's choice: the highest revision that is not the current one
    previous = next((rs for rs in revisions if rs.template != deployment.template), None)
    good = next((item for item in healthy if _key(item.template) not in bad), None)
    if good is not None:
        return _last_known_good(good, previous)
    return _as_kubectl(previous, bad, app)


def _revision_asked_for(
    revisions: Sequence[ReplicaSetSeen],
    bad: Mapping[str, KnownTemplate],
    healthy: Sequence[KnownTemplate],
    to_revision: int,
    app: str,
) -> ChosenUndo:
    chosen = next((rs for rs in revisions if rs.revision == to_revision), None)
    if chosen is None:
        existing = ", ".join(str(rs.revision) for rs in revisions) or "none"
        raise PlanRefused(f"{app} has no revision {to_revision}. It has {existing}.")
    marked = bad.get(_key(chosen.template))
    if marked is not None:
        good = f" The last known good version is {healthy[0].version}." if healthy else ""
        raise PlanRefused(
            f"Revision {to_revision} ({marked.version}) was bad in {marked.release_id}:"
            f" {_sentence(marked.why)}{good}"
        )
    return ChosenUndo(chosen.template, "")


def _last_known_good(good: KnownTemplate, previous: ReplicaSetSeen | None) -> ChosenUndo:
    if previous is None or previous.template == good.template:
        return ChosenUndo(good.template, "")
    return ChosenUndo(
        good.template,
        f"kubectl would choose revision {previous.revision}; {good.version} is the last version"
        " that a release found healthy",
    )


def _as_kubectl(
    previous: ReplicaSetSeen | None, bad: Mapping[str, KnownTemplate], app: str
) -> ChosenUndo:
    if previous is None:
        raise PlanRefused(f"{app} has no earlier revision to undo to.")
    marked = bad.get(_key(previous.template))
    if marked is not None:
        raise PlanRefused(
            f"The previous revision {previous.revision} ({marked.version}) was bad:"
            f" {_sentence(marked.why)} Choose one with --to-revision."
        )
    return ChosenUndo(
        previous.template,
        f"no release found an earlier version healthy: undo uses revision {previous.revision}, as"
        " kubectl would",
    )


def _sentence(text: str) -> str:
    """A cause may be a fragment or end with its own stop."""
    return text if text.endswith(".") else f"{text}."


def _key(template: Any) -> str:
    return json.dumps(template, sort_keys=True)
