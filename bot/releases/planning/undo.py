"""Which template does an undo restore? The last one that a release found healthy. One that was left
is chosen only by its number, and one known to be bad is refused.

On a Deployment that several apps share, an undo changes only the app's own containers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.releases.assess.selectors import labels_of
from bot.releases.facts.observation import DeploymentSeen, ReplicaSetSeen
from bot.releases.planning.refusals import PlanRefused


@dataclass(frozen=True)
class KnownTemplate:
    """What the record knows of one template."""

    template: Any
    verdict: str  # healthy, bad, left
    version: str
    release_id: str
    why: str = ""


@dataclass(frozen=True)
class ChosenUndo:
    template: Any
    note: str


@dataclass(frozen=True)
class _History:
    """What an undo chooses from, without what is no undo: the template that runs."""

    app: str
    revisions: Sequence[ReplicaSetSeen]
    marks: Mapping[str, KnownTemplate]
    healthy: Sequence[KnownTemplate]
    live: Any
    others: frozenset[str]

    def own(self, template: Any) -> Any:
        return _keeping(template, self.live, self.others)

    def mark_of(self, template: Any) -> KnownTemplate | None:
        """As the template would run beside the other apps' containers."""
        return self.marks.get(_key(self.own(template)))


def choose_undo(
    deployment: DeploymentSeen,
    known: Sequence[KnownTemplate],
    *,
    to_revision: int | None,
    app: str,
    others: frozenset[str] = frozenset(),
) -> ChosenUndo:
    """``others``: containers that belong to other apps. Raises PlanRefused when there is nothing to
    undo to, or it is known to be bad."""
    history = _history(deployment, known, app, others)
    if to_revision:
        chosen = _revision_asked_for(history, to_revision)
    else:
        # kubectl's choice: the highest revision that is not the current one
        previous = next(
            (rs for rs in history.revisions if history.own(rs.template) != history.live), None
        )
        good = next(iter(history.healthy), None)
        chosen = (
            _last_known_good(history, good, previous)
            if good is not None
            else _as_kubectl(history, previous)
        )
    own = history.own(chosen.template)
    kept = [
        name
        for name in sorted(others)
        if _container(own, name) != _container(chosen.template, name)
    ]
    note = f"container {', '.join(kept)} stays as it is: another app owns it" if kept else ""
    return ChosenUndo(own, "; ".join(filter(None, (chosen.note, note))))


def _history(
    deployment: DeploymentSeen, known: Sequence[KnownTemplate], app: str, others: frozenset[str]
) -> _History:
    revisions = [rs for rs in deployment.replica_sets if not _is_orphan_of_canary(rs, deployment)]
    history = _History(app, revisions, {}, (), deployment.template, others)
    history = replace(history, marks=_marks(history, known))
    healthy = [
        item
        for item in known
        if item.verdict == "healthy"
        and history.own(item.template) != history.live
        and history.mark_of(item.template) is None
    ]
    return replace(history, healthy=healthy)


def _marks(history: _History, known: Sequence[KnownTemplate]) -> dict[str, KnownTemplate]:
    """Another app's mark is about its own container: it counts only where all of it would run
    again."""
    marked = [item for item in known if item.verdict in ("bad", "left")]
    theirs = {_key(item.template): item for item in marked}
    ours = [item for item in marked if not history.others or app_of(item.release_id) == history.app]
    return theirs | {_key(history.own(item.template)): item for item in ours}


def app_of(release_id: str) -> str:
    return release_id.rpartition("-")[0]


def _is_orphan_of_canary(replica_set: ReplicaSetSeen, deployment: DeploymentSeen) -> bool:
    """An orphaning delete leaves a canary's ReplicaSet to stable; it carries another `track` and is
    never chosen."""
    track = replica_set.labels.get("track")
    return track is not None and track != labels_of(deployment.template).get("track")


def _keeping(template: Any, live: Any, others: frozenset[str]) -> Any:
    """The template with the live containers of other apps."""
    theirs = [name for name in sorted(others) if _container(live, name) is not None]
    if not theirs:
        return template
    result = copy.deepcopy(template)
    containers = result["spec"]["containers"]
    there = [one.get("name") for one in containers]
    for name in theirs:
        container = copy.deepcopy(_container(live, name))
        if name in there:
            containers[there.index(name)] = container
        else:
            containers.append(container)
    return result


def _container(template: Any, name: str) -> Any:
    containers = (template.get("spec") or {}).get("containers") or ()
    return next((one for one in containers if one.get("name") == name), None)


def _revision_asked_for(history: _History, to_revision: int) -> ChosenUndo:
    chosen = next((rs for rs in history.revisions if rs.revision == to_revision), None)
    if chosen is None:
        existing = ", ".join(str(rs.revision) for rs in history.revisions) or "none"
        raise PlanRefused(f"{history.app} has no revision {to_revision}. It has {existing}.")
    marked = history.mark_of(chosen.template)
    if marked is None:
        return ChosenUndo(chosen.template, "")
    if marked.verdict == "left":
        note = f"revision {_named(chosen, marked)} was left in {marked.release_id}: "
        return ChosenUndo(chosen.template, note + marked.why)
    healthy = history.healthy
    good = f" The last known good version is {healthy[0].version}." if healthy else ""
    raise PlanRefused(
        f"Revision {_named(chosen, marked)} was bad in {marked.release_id}:"
        f" {_sentence(marked.why)}{good}"
    )


def _last_known_good(
    history: _History, good: KnownTemplate, previous: ReplicaSetSeen | None
) -> ChosenUndo:
    if previous is None or history.own(previous.template) == history.own(good.template):
        return ChosenUndo(good.template, "")
    return ChosenUndo(
        good.template,
        f"kubectl would choose revision {previous.revision}; {good.version} is the last version"
        " that a release found healthy",
    )


def _as_kubectl(history: _History, previous: ReplicaSetSeen | None) -> ChosenUndo:
    if previous is None:
        raise PlanRefused(f"{history.app} has no earlier revision to undo to.")
    marked = history.mark_of(previous.template)
    if marked is not None:
        return _older_than(history, previous, marked)
    return ChosenUndo(
        previous.template,
        f"no release found an earlier version healthy: undo uses revision {previous.revision}, as"
        " kubectl would",
    )


def _older_than(history: _History, previous: ReplicaSetSeen, marked: KnownTemplate) -> ChosenUndo:
    """The newest revision that nothing speaks against."""
    why = f"revision {_named(previous, marked)} was {marked.verdict}: {marked.why}"
    for one in history.revisions:
        if history.own(one.template) != history.live and history.mark_of(one.template) is None:
            return ChosenUndo(one.template, f"{why}; undo uses revision {one.revision}")
    raise PlanRefused(
        f"The previous {_sentence(why)} No other revision is left. Choose one with --to-revision."
    )


def _named(revision: ReplicaSetSeen, marked: KnownTemplate) -> str:
    """Where no version is known, what was remembered is the revision itself."""
    number = str(revision.revision)
    return number if marked.version == f"revision {number}" else f"{number} ({marked.version})"


def _sentence(text: str) -> str:
    """A cause may be a fragment or end with its own stop."""
    return text if text.endswith(".") else f"{text}."


def _key(template: Any) -> str:
    return json.dumps(template, sort_keys=True)
