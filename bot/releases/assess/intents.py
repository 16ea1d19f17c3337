"""From goals to field changes: what each field was, will be, and is. Drift is any other value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.releases.facts.actions import FieldChange
from bot.releases.facts.images import version_of
from bot.releases.facts.intent import Drift, Field, Intent, Kind
from bot.releases.facts.observation import (
    CLAIM_ANNOTATION,
    AutoscalerSeen,
    DeploymentSeen,
    Observation,
    ServiceSeen,
)
from bot.releases.facts.plan import DeploymentGoal, Side
from bot.releases.facts.release import Release
from bot.releases.facts.replicas import Bounds, nearest

CAUSE_ANNOTATION = "kubernetes.io/change-cause"
FIELD_MANAGER = "pilothouse"


def deployment_of(seen: Observation, role: Side) -> DeploymentSeen | None:
    return seen.stable if role is Side.STABLE else seen.candidate


def deployment_named(seen: Observation, name: str) -> DeploymentSeen | None:
    return next(
        (item for item in (seen.stable, seen.candidate) if item is not None and item.name == name),
        None,
    )


def service_named(seen: Observation, name: str) -> ServiceSeen | None:
    return next((item for item in seen.services if item.name == name), None)


def item_of(seen: Observation, intent: Intent) -> DeploymentSeen | ServiceSeen | None:
    if intent.kind is Kind.DEPLOYMENT:
        return deployment_named(seen, intent.name)
    return service_named(seen, intent.name)


def field_value(item: DeploymentSeen | ServiceSeen, field: Field) -> Any:
    """The observed value of one field, in the form intents carry it."""
    if isinstance(item, ServiceSeen):
        return dict(item.selector) if field is Field.SELECTOR else item.affinity
    values: dict[Field, Any] = {
        Field.CLAIM: item.claim,
        Field.TEMPLATE: item.template,
        Field.REPLICAS: item.replicas,
        Field.PAUSED: item.paused,
        Field.CHANGE_CAUSE: item.annotations.get(CAUSE_ANNOTATION, ""),
        Field.STRATEGY: item.strategy,
        Field.SELECTOR: item.selector,
    }
    return values[field]


def is_ours(release: Release, item: DeploymentSeen) -> bool:
    """The candidate that this release made or adopted, never one that merely has its name."""
    made = find(release.intents, Kind.DEPLOYMENT, item.name, Field.EXISTS)
    adopted = release.as_found.candidate if release.as_found else None
    return (
        item.claim == release.id
        or (made is not None and bool(made.before) and made.before == item.uid)
        or (adopted is not None and adopted.uid == item.uid)
    )


def is_our_service(release: Release, service: ServiceSeen) -> bool:
    """The Service that this release created, never one that merely has its name."""
    return service.annotations.get(CLAIM_ANNOTATION, "") == release.id


def is_claimed_by_another(release: Release, item: DeploymentSeen) -> bool:
    """Another release, perhaps of another installation, holds it: nothing of it is written. Only a
    claim of a release that is over may be replaced."""
    stale = (release.stale_claim, release.stale_candidate_claim)
    return item.claim not in ("", release.id, *stale)


def find(intents: Iterable[Intent], kind: Kind, name: str, field: Field) -> Intent | None:
    return next((i for i in intents if (i.kind, i.name, i.field) == (kind, name, field)), None)


def was_written(intents: Iterable[Intent], kind: Kind, name: str, field: Field) -> bool:
    intent = find(intents, kind, name, field)
    return intent is not None and intent.written


def put(intents: tuple[Intent, ...], intent: Intent) -> tuple[Intent, ...]:
    kept = tuple(
        i for i in intents if (i.kind, i.name, i.field) != (intent.kind, intent.name, intent.field)
    )
    return (*kept, intent)


def drop(intents: tuple[Intent, ...], kind: Kind, name: str) -> tuple[Intent, ...]:
    return tuple(i for i in intents if (i.kind, i.name) != (kind, name))


def wanted_fields(goal: DeploymentGoal, seen: Observation, release: Release) -> dict[Field, Any]:
    """The fields that a goal sets, in the order in which they are written."""
    fields: dict[Field, Any] = {}
    if goal.claimed is not None:
        fields[Field.CLAIM] = release.id if goal.claimed else ""
    if goal.paused is not None:
        fields[Field.PAUSED] = goal.paused
    if goal.template is not None:
        fields[Field.TEMPLATE] = goal.template
    if goal.change_cause is not None:
        fields[Field.CHANGE_CAUSE] = goal.change_cause
    if goal.replicas is not None:
        fields[Field.REPLICAS] = _wanted_replicas(goal, goal.replicas, seen, release)
    return fields


def _wanted_replicas(
    goal: DeploymentGoal, planned: int, seen: Observation, release: Release
) -> int:
    if seen.stable is None:
        return planned
    stables = seen.stable.replicas
    if goal.at_most_share is not None:
        split = nearest(goal.at_most_share, Bounds(stables, planned))
        return split.candidates if split else planned
    if not goal.at_least_stable and not goal.beside:
        return planned
    if goal.beside:
        planned = _in_proportion(goal, goal.beside, planned, stables, release)
    present = deployment_of(seen, goal.side)
    set_before = (
        find(release.intents, Kind.DEPLOYMENT, present.name, Field.REPLICAS) if present else None
    )
    never_shrink = set_before.after if set_before else 0
    return max(planned, stables if goal.at_least_stable else 0, never_shrink)


def _in_proportion(
    goal: DeploymentGoal, beside: int, planned: int, stables: int, release: Release
) -> int:
    wanted = max(1, -(-planned * stables // beside))
    scaler = release.plan.autoscaler if release.plan else None
    if scaler is not None:
        wanted = min(wanted, max(planned, scaler[1] - stables))
    return wanted if goal.at_most is None else min(wanted, goal.at_most)


@dataclass(frozen=True)
class FieldsSet:
    intents: tuple[Intent, ...]
    changes: tuple[FieldChange, ...]


def set_fields(
    intents: tuple[Intent, ...],
    kind: Kind,
    item: DeploymentSeen | ServiceSeen,
    wanted: dict[Field, Any],
) -> FieldsSet:
    """Turn wanted values into intents, and into changes for those not yet in effect."""
    changes: list[FieldChange] = []
    for field, value in wanted.items():
        observed = field_value(item, field)
        intent = find(intents, kind, item.name, field)
        if intent is not None and intent.instead_of is not None and intent.instead_of == value:
            continue  # a person kept another value than the plan's
        if intent is None or intent.after != value:
            reverts = intent.reverts if intent else 0
            written = (intent.written if intent else False) or observed != value
            intent = Intent(
                kind, item.name, field, observed, value, observed == value, written, reverts
            )
        elif observed == value:
            intent = _confirmed(intent)
        intents = put(intents, intent)
        if observed != value:
            changes.append(FieldChange(field, observed, value))
    return FieldsSet(intents, tuple(changes))


def confirm_intents(
    intents: tuple[Intent, ...], seen: Observation
) -> tuple[tuple[Intent, ...], tuple[Drift, ...]]:
    """Confirm what is as intended; report what is neither as it was nor as intended."""
    result: list[Intent] = []
    drift: list[Drift] = []
    for intent in intents:
        item = item_of(seen, intent)
        if intent.field is Field.EXISTS:
            checked, drifted = _confirm_existence(intent, item)
        elif item is None:
            checked, drifted = intent, None
        else:
            checked, drifted = _confirm_field(intent, item)
        result.append(checked)
        if drifted is not None:
            drift.append(drifted)
    return tuple(result), tuple(drift)


def _confirmed(intent: Intent) -> Intent:
    """The same object where it is confirmed already: every tick confirms every intent."""
    return (
        intent
        if intent.confirmed and not intent.pending
        else replace(intent, confirmed=True, pending="")
    )


def _confirm_existence(
    intent: Intent, item: DeploymentSeen | ServiceSeen | None
) -> tuple[Intent, Drift | None]:
    """``before`` holds the uid: of an object found, or of a created one once it is observed."""
    exists = item is not None and (
        intent.after is not True or item.uid == intent.before or not intent.before
    )
    if exists == bool(intent.after):
        uid = item.uid if item is not None and intent.after is True else intent.before
        return _confirmed(intent if uid == intent.before else replace(intent, before=uid)), None
    if not intent.confirmed or intent.pending:
        return intent, None
    says = "deleted" if item is None else "replaced by another object of the same name"
    return intent, Drift(intent.name, intent.kind, intent.field, "present", says, "")


def _confirm_field(
    intent: Intent, item: DeploymentSeen | ServiceSeen
) -> tuple[Intent, Drift | None]:
    observed = field_value(item, intent.field)
    if observed == intent.after:
        return _confirmed(intent), None
    if intent.pending == "adopt":
        kept = replace(
            intent,
            before=observed,
            after=observed,
            confirmed=True,
            written=False,
            pending="",
            instead_of=intent.after,
        )
        return kept, None
    if _is_answer_to_our_write(intent, item, observed):
        settled = replace(
            intent, after=observed, confirmed=True, pending="", instead_of=intent.after
        )
        return settled, None
    if (
        intent.pending
        or (observed == intent.before and not intent.confirmed)
        or not _matters(intent, observed)
    ):
        return intent, None
    shown, was = _difference(intent.after, observed)
    manager, at = writer_of(item, differing(intent.after, observed, field_path(intent.field)))
    return intent, Drift(intent.name, intent.kind, intent.field, shown, was, manager, at)


def _is_answer_to_our_write(
    intent: Intent, item: DeploymentSeen | ServiceSeen, observed: Any
) -> bool:
    """The cluster's admission made another template of ours (a digest of a tag, a sidecar): what it
    changes in our request belongs to our field manager. Before our write is confirmed, that is the
    value intended; any other later is drift. While a rollback, or a person's resume, writes over
    what drifted, an earlier write of ours may still arrive, so the versions must be those that it
    restores."""
    is_new = intent.written and not intent.confirmed and intent.pending in ("", "restore")
    is_again = intent.pending == "rewrite" and intent.rewritten > 0
    if intent.field is not Field.TEMPLATE or not (is_new or is_again) or observed == intent.before:
        return False
    if intent.pending and _versions(intent.after) != _versions(observed):
        return False
    return is_written_by_us(item, intent.field, intent.after, observed)


def _versions(template: Any) -> dict[str, str]:
    containers = template["spec"]["containers"]
    return {one["name"]: version_of(one.get("image", "")) for one in containers}


def is_written_by_us(
    item: DeploymentSeen | ServiceSeen, field: Field, intended: Any, observed: Any
) -> bool:
    """Whatever differs belongs to our field manager alone."""
    paths = tuple(differing(intended, observed, field_path(field)))
    return all(_writers(item, path) == {FIELD_MANAGER} for path in paths)


def _writers(item: DeploymentSeen | ServiceSeen, path: str) -> set[str]:
    return {
        manager
        for manager, _operation, _subresource, owned in item.managers
        if _overlap(owned, path)
    }


def differing(intended: Any, observed: Any, path: str) -> Iterator[str]:
    """The paths at which two values differ, as managedFields name them."""
    if isinstance(intended, dict) and isinstance(observed, dict):
        for key in sorted({*intended, *observed}):
            yield from differing(intended.get(key), observed.get(key), f"{path}.{key}")
        return
    left, right = _by_name(intended), _by_name(observed)
    if left is not None and right is not None:
        for name in sorted({*left, *right}):
            inner = f"{path}[name={name}]"
            yield from differing(left.get(name), right.get(name), inner)
    elif intended != observed:
        yield path


def _by_name(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, list) or not value:
        return None
    named = {one["name"]: one for one in value if isinstance(one, dict) and "name" in one}
    return named if len(named) == len(value) else None


def _matters(intent: Intent, observed: Any) -> bool:
    """Annotations alone do no harm, except that another release's claim means that two releases are
    at work."""
    match intent.field:
        case Field.CHANGE_CAUSE:
            return False
        case Field.CLAIM:
            return bool(observed)
        case _:
            return True


def rewrites(
    intents: tuple[Intent, ...], item: DeploymentSeen | ServiceSeen
) -> tuple[FieldChange, ...]:
    """Fields that a person asked to be written again after drift and that still differ."""
    kind = Kind.SERVICE if isinstance(item, ServiceSeen) else Kind.DEPLOYMENT
    mine = (
        i
        for i in intents
        if i.pending == "rewrite"
        and (i.kind, i.name) == (kind, item.name)
        and i.field is not Field.EXISTS
    )
    pairs = ((intent, field_value(item, intent.field)) for intent in mine)
    return tuple(
        FieldChange(intent.field, observed, intent.after)
        for intent, observed in pairs
        if observed != intent.after
    )


_PATHS = {
    Field.TEMPLATE: "spec.template",
    Field.REPLICAS: "spec.replicas",
    Field.PAUSED: "spec.paused",
    Field.STRATEGY: "spec.strategy",
    Field.SELECTOR: "spec.selector",
    Field.AFFINITY: "spec.sessionAffinity",
    Field.MIN_REPLICAS: "spec.minReplicas",
    Field.CLAIM: "metadata.annotations",
    Field.CHANGE_CAUSE: "metadata.annotations",
}


def field_path(field: Field) -> str:
    return _PATHS.get(field, "")


def manager_of(item: DeploymentSeen | ServiceSeen | AutoscalerSeen, field: Field) -> str:
    """The foreign field manager that owns the field now ("kubectl, subresource scale")."""
    return writer_of(item, (field_path(field),))[0]


def writer_of(
    item: DeploymentSeen | ServiceSeen | AutoscalerSeen, paths: Iterable[str]
) -> tuple[str, int]:
    """(the foreign field manager that owns one of the very paths, when it last wrote); of several
    the latest. ("", 0) where none does: a removed field has no owner."""
    times = {(manager, subresource): at for manager, subresource, at in item.written_at}
    exact = [path for path in paths if path]
    # items of lists have other keys in managedFields (a port its number): then the list's owners
    lists = [path.rpartition("[")[0] for path in exact if "[" in path]
    for wanted in (exact, lists):
        found = [
            (times.get((manager, subresource), 0), manager, subresource)
            for manager, _operation, subresource, owned in item.managers
            if not manager.startswith("pilothouse")
            and any(_overlap(owned, path) for path in wanted)
        ]
        if found or _is_ours(item, exact):
            break
    if not found:
        return "", 0
    at, manager, subresource = max(found, key=lambda one: one[0])
    return (f"{manager}, subresource {subresource}" if subresource else manager), at


def _is_ours(item: DeploymentSeen | ServiceSeen | AutoscalerSeen, paths: Sequence[str]) -> bool:
    return any(
        manager.startswith("pilothouse") and any(_overlap(owned, path) for path in paths)
        for manager, _operation, _subresource, owned in item.managers
    )


def _overlap(one: str, other: str) -> bool:
    """One path is the other, or leads to it: ``image`` does not lead to ``imagePullPolicy``."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def _difference(intended: Any, observed: Any) -> tuple[str, str]:
    """The first leaves that differ, as text for people."""
    if isinstance(intended, dict) and isinstance(observed, dict):
        for key in sorted(set(intended) | set(observed), key=str):
            if intended.get(key) != observed.get(key):
                left, right = _difference(intended.get(key), observed.get(key))
                return (f"{key}: {left}"[:300], f"{key}: {right}"[:300])
    if isinstance(intended, list) and isinstance(observed, list) and len(intended) == len(observed):
        for left_item, right_item in zip(intended, observed, strict=True):
            if left_item != right_item:
                return _difference(left_item, right_item)
    return (_plain(intended), _plain(observed))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)[:200]
