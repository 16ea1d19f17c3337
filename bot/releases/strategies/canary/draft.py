"""What a canary's plan is made from: its Services, its shares in pods, and what limits them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bot.releases.assess.selectors import labels_of, selects
from bot.releases.facts.changes import Deploy
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, ServiceSeen
from bot.releases.facts.replicas import (
    Bounds,
    CannotSplit,
    Split,
    distinct_steps,
    reachable,
    split_steps,
)
from bot.releases.planning.candidate import refuse_second_copy
from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused, managed_elsewhere
from bot.releases.planning.selection import keeps_own_selector, stays_selected
from bot.releases.strategies.canary.candidate import adopted_canary, canary_body, canary_name
from bot.releases.strategies.canary.limits import Room, autoscaler_of, room_for


@dataclass(frozen=True)
class CanaryDraft:
    """A draft with what a canary adds to it."""

    draft: Draft
    services: tuple[ServiceSeen, ...]
    name: str
    adopted: DeploymentSeen | None
    body: Any  # of the new candidate; None where one is adopted
    labels: dict[str, str]  # of its pods
    percents: tuple[int, ...]  # of traffic, as asked for
    left_out: tuple[int, ...]  # asked for, but a single replica cannot tell them apart
    splits: tuple[Split, ...]  # what pods can give, one for each percent
    bounds: Bounds
    room: Room
    scaler: AutoscalerSeen | None

    @property
    def is_sticky(self) -> bool:
        return asks_for_sticky(self.draft)


def draft_canary(draft: Draft) -> CanaryDraft:
    """Raises PlanRefused for whatever a canary cannot be started on."""
    services = _services(draft)
    refuse_second_copy(draft, "stable and canary")
    keeps_own_selector(draft)
    percents = _percents(draft)
    name, adopted, body = canary_name(draft), adopted_canary(draft), canary_body(draft)
    labels = labels_of(adopted.template if adopted else body["spec"]["template"])
    stays_selected(draft, labels, name)
    scaler = autoscaler_of(draft, name, labels)
    room = room_for(draft, adopted, scaler)
    bounds = Bounds(
        draft.stable.replicas, room.in_steps, shift=draft.release.rules.canary.mode == "shift"
    )
    asked, (percents, splits) = percents, _splits(draft, percents, bounds, room)
    return CanaryDraft(
        draft,
        services,
        name,
        adopted,
        None if adopted else body,
        labels,
        percents,
        tuple(percent for percent in asked if percent not in percents),
        splits,
        bounds,
        room,
        scaler,
    )


def _splits(
    draft: Draft, percents: tuple[int, ...], bounds: Bounds, room: Room
) -> tuple[tuple[int, ...], tuple[Split, ...]]:
    """A single replica reaches one share alone: of the catalog's steps it gets the last. What a
    person typed is refused instead, with the steps that work."""
    try:
        return percents, split_steps(percents, bounds)
    except CannotSplit as cannot:
        if bounds.replicas == 1 and len(percents) > 1 and not _typed_steps(draft):
            return _splits(draft, percents[-1:], bounds, room)
        raise _too_few_replicas(draft, percents, bounds, room) from cannot


def _too_few_replicas(
    draft: Draft, percents: tuple[int, ...], bounds: Bounds, room: Room
) -> PlanRefused:
    shares = reachable(bounds)
    app, has = draft.release.target.app, counted(bounds.replicas, "replica")
    most = counted(bounds.most_candidates, "candidate")
    line = f"{app} has {has} and at most {most}: {_listed(shares)} possible{room.why}."
    possible = distinct_steps(percents, shares)
    if not possible:
        return PlanRefused(f"{line} Deploy it rolling.", instead=_again(draft, "rolling"))
    steps = f"canary steps={','.join(map(str, possible))}"
    return PlanRefused(f"{line} Use fewer steps.", instead=_again(draft, steps))


def _listed(shares: tuple[int, ...]) -> str:
    if not shares:
        return "no share is"
    return ", ".join(f"{share}%" for share in shares) + (" is" if len(shares) == 1 else " are")


def _again(draft: Draft, how: str) -> str:
    """The command, in another form."""
    change = draft.release.change
    if not isinstance(change, Deploy):
        return ""
    is_canary = how.startswith("canary")
    hold = f" hold={change.hold_ms // 1000}s" if is_canary and change.hold_ms is not None else ""
    sticky = " sticky" if is_canary and change.sticky else ""
    return f"deploy {draft.release.target.typed} {change.version} {how}{hold}{sticky}"


def asks_for_sticky(draft: Draft) -> bool:
    return isinstance(draft.release.change, Deploy) and draft.release.change.sticky


def _services(draft: Draft) -> tuple[ServiceSeen, ...]:
    app = draft.release.target.app
    found = {service.name: service for service in draft.seen.services}
    services = tuple(found[name] for name in draft.release.target.services if name in found)
    if not services:
        raise PlanRefused(
            f"{app} has no Service, so there is no traffic to share. Name it as `service:` in the"
            " catalog, or deploy it rolling.",
            instead=_again(draft, "rolling"),
        )
    for service in services:
        _refuse_service(draft, service)
    return services


def _refuse_service(draft: Draft, service: ServiceSeen) -> None:
    app, rules = draft.release.target.app, draft.release.rules
    if not service.selector:
        raise PlanRefused(
            f"Service {service.name} has no selector, so a canary would get no traffic. Deploy"
            f" {app} rolling.",
            instead=_again(draft, "rolling"),
        )
    if not selects(service.selector, labels_of(draft.stable.template)):
        raise PlanRefused(
            f"Service {service.name} does not select {draft.stable.name}'s pods. Fix `service:` of"
            f" {app} in the catalog."
        )
    who = managed_elsewhere(service, ("spec.sessionAffinity",)) if asks_for_sticky(draft) else ""
    if who and rules.managed_elsewhere == "refuse":
        raise PlanRefused(
            f"Service {service.name} is managed elsewhere: {who} would revert the session affinity."
            " Leave `sticky` out."
        )


def _typed_steps(draft: Draft) -> tuple[int, ...] | None:
    change = draft.release.change
    return change.steps if isinstance(change, Deploy) else None


def _percents(draft: Draft) -> tuple[int, ...]:
    """The shares before the promotion; a final 100 is the promotion itself."""
    typed = _typed_steps(draft)
    given = draft.release.rules.canary.steps if typed is None else typed
    percents = given[:-1] if given[-1:] == (100,) else given
    if not percents:
        raise PlanRefused(
            "A canary needs a share between 1% and 99% before the promotion. Write for instance"
            " steps=20,50, or deploy it rolling."
        )
    wrong = next((share for share in percents if not 1 <= share <= 99), None)
    if wrong is not None:
        raise PlanRefused(
            f"{wrong}% is not a share for a canary. Steps lie between 1 and 99; a final 100 is the"
            " promotion."
        )
    if any(later <= earlier for earlier, later in pairwise(percents)):
        raise PlanRefused(
            f"The steps must rise, but are {', '.join(map(str, percents))}. Write for instance"
            " steps=20,50."
        )
    return percents
