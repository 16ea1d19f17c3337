"""The minReplicas of stable's autoscaler: raised so that it keeps a raise of stable, and given back
once the autoscaler observes the load that stable carries.

What was found stands in the record before the write, and in an annotation beside the release's
claim: a release that dies leaves it to the next one of the app. A value that something else set is
never overwritten.
"""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.intents import manager_of
from bot.releases.engine.decision import Decision
from bot.releases.engine.outcome import Outcome, Proceed, Stop
from bot.releases.facts.actions import FieldChange, PatchAutoscaler
from bot.releases.facts.events import EventKind
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, Observation
from bot.releases.facts.plan import DeploymentGoal, Goal, Side
from bot.releases.facts.release import Minimum, Release

KEPT_MS = 120_000
"""An autoscaler that still averages over the time when stable carried nothing would shrink it at
once. Metrics cover 15 s to 1 min, and the autoscaler reads them each 15 s."""


def raisable_autoscaler(release: Release) -> str:
    """Its name, where the catalog lets the release raise its minimum; else ""."""
    may_raise = release.rules.autoscaler_min_replicas == "raise"
    return release.plan.autoscaler_name if may_raise and release.plan is not None else ""


def follow_minimum(decision: Decision, seen: Observation, now: int) -> Outcome:
    """What became of the last write; and a minimum that an earlier release left raised, or this one
    before its record was lost, is taken over."""
    release, scaler = decision.release, seen.autoscaler
    minimum = release.minimum
    if minimum is None:
        return Proceed(_taken_over(decision, scaler))
    if scaler is None or scaler.uid != minimum.uid or not _is_writable(release, scaler):
        return Proceed(_with(decision, None))  # gone, or another release's
    if minimum.left or (minimum.held and scaler.min_replicas == minimum.to):
        return Proceed(decision)
    if scaler.min_replicas == minimum.to:
        return Proceed(_with(decision, replace(minimum, held=True)))
    if not minimum.held and scaler.min_replicas == minimum.was:
        return Proceed(decision)
    by = manager_of(scaler, Field.MIN_REPLICAS)
    text = (
        f"minReplicas of HorizontalPodAutoscaler {scaler.name} is {scaler.min_replicas},"
        f" {f'by {by}' if by else 'changed outside Pilothouse'}: it is left so"
    )
    left = _with(decision, replace(minimum, left="theirs"))
    return Proceed(left.record(now, EventKind.ENVIRONMENT, text))


def _taken_over(decision: Decision, scaler: AutoscalerSeen | None) -> Decision:
    release = decision.release
    if scaler is None or not _is_claimed_by_us(release, scaler) or scaler.min_as_found is None:
        return decision
    present = scaler.min_replicas
    found = Minimum(scaler.name, scaler.uid, scaler.min_as_found, present, present, held=True)
    return _with(decision, found)


def raise_minimum(decision: Decision, seen: Observation, pods: int) -> Decision:
    """To ``pods``, within the autoscaler's maximum."""
    release, scaler = decision.release, seen.autoscaler
    if scaler is None or not raisable_autoscaler(release) or not _is_writable(release, scaler):
        return decision
    before = release.minimum
    wanted = min(pods, scaler.max_replicas)
    if scaler.min_replicas >= wanted or (before is not None and before.left):
        return decision
    found = before.found if before is not None else scaler.min_replicas
    minimum = Minimum(scaler.name, scaler.uid, found, scaler.min_replicas, wanted)
    changes = _changes(scaler, minimum=wanted, claim=release.id, found=str(found))
    return _with(decision, minimum).doing(_patch(scaler, changes))


def lets_go(goal: Goal) -> bool:
    """The release lets go of stable, and so of its autoscaler."""
    return isinstance(goal, DeploymentGoal) and goal.side is Side.STABLE and goal.claimed is False


def give_back_minimum(decision: Decision, seen: Observation, now: int) -> Outcome:
    """As found, once the autoscaler had time to observe the load; one write, then it is seen so."""
    release, scaler = decision.release, seen.autoscaler
    minimum = release.minimum
    if minimum is None or scaler is None or minimum.left == "refused":
        return Proceed(_with(decision, None))
    due = release.progress.began_at + KEPT_MS
    is_raised = not minimum.left and scaler.min_replicas == minimum.to != minimum.found
    if is_raised and now < due:
        return Stop(decision.wake(due))
    wanted = scaler.min_replicas if minimum.left else minimum.found
    changes = _changes(scaler, minimum=wanted, claim="", found="")
    if not changes:
        return Proceed(_with(decision, None))
    if not minimum.left:
        minimum = replace(minimum, was=scaler.min_replicas, to=minimum.found, held=False)
    return Stop(_with(decision, minimum).doing(_patch(scaler, changes)))


def kept_words(release: Release) -> str:
    """What the end of a release waits for; "" where nothing is given back."""
    minimum = release.minimum
    if minimum is None or minimum.left or minimum.to == minimum.found:
        return ""
    return (
        f"HorizontalPodAutoscaler {minimum.autoscaler} keeps at least {minimum.to} pods for"
        f" {KEPT_MS // 60_000} min, until it observes the load; then at least {minimum.found} again"
    )


def leave_minimum(release: Release, why: str, now: int) -> Decision:
    """The API server refuses the write: a person decides, as without the catalog's key."""
    minimum = release.minimum
    if minimum is None:
        return Decision(release).wake(now)
    text = f"minReplicas of HorizontalPodAutoscaler {minimum.autoscaler} cannot be changed: {why}"
    left = _with(Decision(release), replace(minimum, left="refused"))
    return left.record(now, EventKind.ENVIRONMENT, text).wake(now)


def _is_claimed_by_us(release: Release, scaler: AutoscalerSeen) -> bool:
    return bool(scaler.claim) and scaler.claim in (release.id, release.stale_autoscaler_claim)


def _is_writable(release: Release, scaler: AutoscalerSeen) -> bool:
    return not scaler.claim or _is_claimed_by_us(release, scaler)


def _with(decision: Decision, minimum: Minimum | None) -> Decision:
    if decision.release.minimum == minimum:
        return decision
    return decision.changed(replace(decision.release, minimum=minimum))


def _changes(
    scaler: AutoscalerSeen, *, minimum: int, claim: str, found: str
) -> tuple[FieldChange, ...]:
    present = scaler.min_as_found
    changes = (
        FieldChange(Field.MIN_REPLICAS, scaler.min_replicas, minimum),
        FieldChange(Field.CLAIM, scaler.claim, claim),
        FieldChange(Field.MIN_AS_FOUND, "" if present is None else str(present), found),
    )
    return tuple(change for change in changes if change.before != change.after)


def _patch(scaler: AutoscalerSeen, changes: tuple[FieldChange, ...]) -> PatchAutoscaler:
    claims = any(change.field is Field.CLAIM and change.after for change in changes)
    version = scaler.resource_version if claims else ""
    return PatchAutoscaler(scaler.name, scaler.uid, scaler.claim, changes, version)
