"""The objects of an `/apply`: written when the release may start, before its template rolls."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import find
from bot.releases.engine.decision import Decision
from bot.releases.engine.outcome import Outcome, Proceed, Stop
from bot.releases.facts.changes import Reapply
from bot.releases.facts.intent import Field, Intent
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.planning.as_found import as_found_of, seed_intents

_NEVER_OURS = (Field.EXISTS, Field.TEMPLATE, Field.REPLICAS)


def writes_objects_now(release: Release) -> bool:
    """Whether the worker writes them next. Nothing else is written until they are."""
    return _has_objects_left(release) and release.phase is Phase.PROGRESSING


def write_objects(decision: Decision, seen: Observation, now: int) -> Outcome:
    release = decision.release
    if writes_objects_now(release):
        return Stop(decision.wake(now))
    if isinstance(release.change, Reapply) and release.change.objects == "written":
        return Proceed(decision.changed(_found_anew(release, release.change, seen, now)))
    return Proceed(decision)


def _has_objects_left(release: Release) -> bool:
    return (
        isinstance(release.change, Reapply)
        and release.change.objects in ("confirmed", "writing")
        and release.rollback is None
    )


def _found_anew(release: Release, change: Reapply, seen: Observation, now: int) -> Release:
    """What the manifests set is as found for the roll that follows: it is not drift, and a rollback
    of the template leaves it alone. Template and replicas are none of theirs."""
    release = replace(release, change=replace(change, objects=""))
    plan, before = release.plan, release.as_found
    if plan is None or before is None or seen.stable is None:
        return release
    anew = tuple(
        _kept(release, intent) if intent.field in _NEVER_OURS else intent
        for intent in seed_intents(release, plan, seen)
    )
    found = as_found_of(release, plan, seen, now)
    stable = replace(
        found.stable,
        uid=before.stable.uid,
        template=before.stable.template,
        replicas=before.stable.replicas,
    )
    return replace(release, intents=anew, as_found=replace(found, stable=stable))


def _kept(release: Release, intent: Intent) -> Intent:
    return find(release.intents, intent.kind, intent.name, intent.field) or intent


def applied_text(release: Release, change: Reapply) -> str:
    person = release.requested_by
    rolled = "" if change.template is None else f". Its pods were rolled on {release.to_version}"
    return f"{release.target.label} applied by {person.display_name}: {change.account}{rolled}"
