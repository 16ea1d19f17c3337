"""Tells an app's channel that somebody else changed one of its objects: once, whether several
watchers saw the change or none did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from bot.operations.context import App, Context
from bot.operations.delivery.report_outside_change import queue_outside_change
from bot.operations.watching.follow_rollout import queue_rollout
from bot.operations.watching.watched import channel_of, watched_app
from bot.releases.facts.outside_change import LastSeen, OutsideChange
from bot.releases.facts.target import default_candidate_names

AUTOSCALER = "kube-controller-manager, subresource scale"
KEPT_MS = 90 * 86_400_000
"""Written again whenever a watcher starts."""


@dataclass(frozen=True)
class Subject:
    """``resource``: deployments or services."""

    cluster: str
    namespace: str
    resource: str
    name: str


def last_seen(context: Context) -> dict[str, dict[tuple[str, str, str], LastSeen]]:
    """By cluster, then by namespace, resource and name: the states that the next changes are told
    from. Raises StoreUnavailable."""
    found: dict[str, dict[tuple[str, str, str], LastSeen]] = {}
    apps = context.catalog.apps.values()
    subjects = dict.fromkeys(subject for app in apps for subject in _subjects(app))
    for cluster, namespace in sorted({(a.target.cluster, a.target.namespace) for a in apps}):
        subjects |= dict.fromkeys(_watched_in(context, cluster, namespace))
    for subject in subjects:
        seen = _load(context, subject)
        if seen is not None:
            place = (subject.namespace, subject.resource, subject.name)
            found.setdefault(subject.cluster, {})[place] = seen
    return found


def last_seen_in(
    context: Context, cluster: str, namespace: str
) -> dict[tuple[str, str, str], LastSeen]:
    """Of a namespace that is only watched: by namespace, resource and name. Raises
    StoreUnavailable."""
    found = {
        (namespace, subject.resource, subject.name): _load(context, subject)
        for subject in _watched_in(context, cluster, namespace)
    }
    return {place: seen for place, seen in found.items() if seen is not None}


def notice_change(
    context: Context, subject: Subject, past: OutsideChange | None, seen: LastSeen | None
) -> None:
    """Raises StoreUnavailable; calling it again after that is safe. What was told is kept after it
    was queued: a crash between tells it again rather than never."""
    apps = [app for app in context.catalog.apps.values() if subject in _subjects(app)]
    if not apps and subject.resource == "deployments":
        channel = channel_of(context, past) if past is not None else ""
        watched = watched_app(context, subject.cluster, subject.namespace, subject.name, channel)
        if watched is not None:
            apps = [watched]
            _enlist(context, subject)
    if not apps:
        return
    before = _load(context, subject)
    is_told = seen is not None and before is not None and seen.is_told_by(before)
    if past is not None and not is_told:
        for app in apps:
            if app.channel and app.rules.tell_outside:
                _tell(context, app, subject, _without_dead_claim(context, past))
    if seen is not None and not (before is not None and seen.is_before(before)):
        context.store.put(_key(subject), json.dumps(asdict(seen)), ttl_ms=KEPT_MS)


def _tell(context: Context, app: App, subject: Subject, past: OutsideChange) -> None:
    """A change that a release observes itself (its claim is on the object) is drift, and its card
    shows it.

    Nobody signs a deletion: what went while nobody watched may be a candidate that its release
    removed. A Service that appears changes nothing for anybody yet."""
    target = app.target
    own = subject.name == target.deployment
    if subject.resource == "services" and past.changed == ("created",):
        return
    if past.claim or (past.missed and past.changed == ("deleted",) and not own):
        return
    if subject.resource == "deployments" and "template" in past.changed:
        queue_rollout(
            context,
            app,
            subject.name,
            before=past.images_before,
            manager=past.manager,
            generation=past.generation,
            order=past.order,
            missed=past.missed,
        )
        return
    whose = target.label if own else f"{subject.name} of {target.label}"
    if subject.resource == "services":
        whose = f"Service {subject.name} of {target.label}"
    if line := describe(whose, past):
        queue_outside_change(context, app.channel, line)


def describe(whose: str, past: OutsideChange) -> str:
    """One line for the app's channel, of what does not roll; "" for an autoscaler's steps."""
    if past.changed == ("replicas",) and past.manager == AUTOSCALER:
        return ""
    whom = f"by {past.manager}, outside Pilothouse" if past.manager else "outside Pilothouse"
    missed = ", while Pilothouse was not watching" if past.missed else ""
    return f"{whose} {_what(past)} {whom}{missed}"


def _what(past: OutsideChange) -> str:
    match past.changed:
        case ("created",):
            images = ", ".join(past.images_after)
            return f"was created ({images})" if images else "was created"
        case ("deleted",):
            return "was deleted"
        case changed if "replicas" in changed:
            return f"was scaled from {past.replicas_before} to {past.replicas_after}"
        case ("selector",) if past.selector_before or past.selector_after:
            was, now = (
                ", ".join(selector) or "nothing"
                for selector in (past.selector_before, past.selector_after)
            )
            return f"selects {now} instead of {was}: switched"
        case changed:
            return f"was changed ({', '.join(changed)})"


def _subjects(app: App) -> Iterator[Subject]:
    """A candidate Deployment is the app's too: in a kept pair it may be the one that serves."""
    target = app.target
    for name in (target.deployment, *default_candidate_names(target)):
        yield Subject(target.cluster, target.namespace, "deployments", name)
    for name in target.services:
        yield Subject(target.cluster, target.namespace, "services", name)


def _watched_in(context: Context, cluster: str, namespace: str) -> Iterator[Subject]:
    """Those without a catalog entry of which anything was seen."""
    if context.catalog.watch.covers(cluster, namespace):
        key = _enlisted(cluster, namespace)
        kept = context.store.peek(key)
        if kept is not None:
            context.store.put(key, kept, ttl_ms=KEPT_MS)
            for name in json.loads(kept):
                yield Subject(cluster, namespace, "deployments", name)


def _enlist(context: Context, subject: Subject) -> None:
    """Several watchers may write at once, and one then loses the other's name: until the next
    change there."""
    key = _enlisted(subject.cluster, subject.namespace)
    names = json.loads(context.store.peek(key) or "[]")
    if subject.name not in names:
        context.store.put(key, json.dumps(sorted([*names, subject.name])), ttl_ms=KEPT_MS)


def _enlisted(cluster: str, namespace: str) -> str:
    return f"watched:{cluster}/{namespace}"


def _without_dead_claim(context: Context, past: OutsideChange) -> OutsideChange:
    """`kubectl rollout undo` copies the claim of a release that is over back: nobody observes the
    change for it."""
    if past.claim and past.claim not in context.store.active_ids():
        return replace(past, claim="")
    return past


def _key(subject: Subject) -> str:
    return f"seen:{subject.cluster}/{subject.namespace}/{subject.resource}/{subject.name}"


def _load(context: Context, subject: Subject) -> LastSeen | None:
    kept = context.store.peek(_key(subject))
    return None if kept is None else LastSeen(**json.loads(kept))
