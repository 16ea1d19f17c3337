"""What people should know before a canary starts: shares that are reached, and where a share of
pods is not a share of requests."""

from __future__ import annotations

from typing import Any

from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import matches
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import AutoscalerSeen, DeploymentSeen, ServiceSeen
from bot.releases.facts.replicas import Bounds, Split, reachable, surge_for_promotion
from bot.releases.planning.capacity import floor_of
from bot.releases.planning.draft import Draft


def adoption_note(draft: Draft, there: DeploymentSeen | None) -> tuple[str, ...]:
    if there is None:
        return ()
    pods = counted(there.replicas, "pod")
    adopted = (
        f"{there.name} was begun by hand and already runs {draft.version} ({pods}): it is adopted,"
        " so an abort removes it too"
    )
    if there.template.get("spec") == draft.template.get("spec"):
        return (adopted,)
    return (
        adopted,
        (
            f"{there.name}'s pods differ in more than labels from what {draft.stable.name} would"
            " run: so may what they show"
        ),
    )


def share_notes(
    percents: tuple[int, ...], splits: tuple[Split, ...], bounds: Bounds
) -> tuple[str, ...]:
    notes = [
        f"wanted {wanted} %, nearest {split.percent} % with {counted(bounds.replicas, 'replica')}"
        for wanted, split in zip(percents, splits, strict=True)
        if abs(split.share * 100 - wanted) >= 1
    ]
    if notes and bounds.replicas <= 20:
        can = ", ".join(map(str, reachable(bounds)))
        more = (
            ""
            if bounds.shift or percents[-1] <= splits[-1].percent
            else "; `mode: shift` reaches more"
        )
        notes.append(f"shares within reach: {can} %{more}")
    return tuple(notes)


def shift_note(draft: Draft, last: Split) -> tuple[str, ...]:
    """Candidates leave at once on an abort, and what was shifted comes back only as fast as pods
    become ready."""
    if last.stables >= draft.stable.replicas:
        return ()
    back = draft.stable.replicas - last.stables
    return (
        (
            f"an abort at {last.percent} % leaves {counted(last.stables, 'stable pod')} to serve"
            f" until {back} more are ready"
        ),
    )


def promotion_note(
    draft: Draft, last: Split, unavailable: int, room: int | None
) -> tuple[str, ...]:
    stable = draft.stable
    if surge_for_promotion(stable.replicas, unavailable, last.candidates, room) >= min(
        unavailable, stable.replicas
    ):
        return ()
    has = counted(room or 0, "canary pod")
    return (
        (
            f"there is room for {has}: while it rolls, at least {floor_of(stable)} of"
            f" {stable.replicas} stable pods serve"
        ),
    )


def autoscaler_note(scaler: AutoscalerSeen | None, last: Split, limit: str) -> tuple[str, ...]:
    if scaler is None:
        return ()
    least = Split(last.candidates, max(scaler.max_replicas, 1)).percent
    moves = (
        f"HorizontalPodAutoscaler {scaler.name} counts canary pods too and may move stable between"
        f" {scaler.min_replicas} and "
    )
    follow = (
        f"{scaler.max_replicas}: canary pods follow it down, so that their share does not grow;"
        f" upwards it may fall to {least} %"
    )
    return (f"{moves}{follow}{limit}",)


def budget_notes(draft: Draft, labels: dict[str, str]) -> tuple[str, ...]:
    budgets = draft.seen.survey.budgets if draft.seen.survey else ()
    mine = [budget.name for budget in budgets if matches(budget.selector or {}, labels)]
    if not mine:
        return ()
    return (
        (
            f"PodDisruptionBudget {', '.join(mine)} counts canary pods too: one that fails is"
            " scaled to 0, so that it blocks no drain"
        ),
    )


def traffic_notes(
    draft: Draft, services: tuple[ServiceSeen, ...], *, sticky: bool
) -> tuple[str, ...]:
    """Where the share of requests is not the share of endpoints."""
    notes: list[str] = []
    known = {pod.uid for item in (draft.stable, draft.seen.candidate) for pod in pods_of(item)}
    for service in services:
        name = f"Service {service.name}"
        if service.traffic_distribution:
            notes.append(
                f"{name} has trafficDistribution {service.traffic_distribution}: near clients may"
                " all meet one version"
            )
        if service.internal_traffic_policy == "Local":
            notes.append(
                f"{name} has internalTrafficPolicy Local: each node's clients meet only that node's"
                " pods"
            )
        if service.cluster_ip == "None":
            notes.append(
                f"{name} is headless: clients choose among its addresses themselves, so the share"
                " is theirs"
            )
        if any(_keeps_connections(port) for port in service.ports):
            notes.append(
                f"{name} serves HTTP/2 or gRPC: a connection stays with one pod, so shares move as"
                " connections are made"
            )
        if sticky:
            notes.append(
                f"sticky: a client address stays with one pod of {name}; many clients behind one"
                " address count as one"
            )
        elif service.affinity.get("sessionAffinity") == "ClientIP":
            notes.append(
                f"{name} has session affinity ClientIP: earlier clients stay with stable, those"
                " behind a NAT count as one"
            )
        others = sum(
            1
            for e in draft.seen.endpoints
            if e.service == service.name and e.ready and e.pod_uid not in known
        )
        if (others and draft.seen.candidate is not None) or (others and not _has_leftover(draft)):
            notes.append(
                f"{name} also sends traffic to {others} other pods, which the shares do not count"
            )
    return tuple(notes)


def _has_leftover(draft: Draft) -> bool:
    """A hand-made canary that the survey saw without its pods: they are not other pods."""
    return draft.seen.survey is not None and bool(draft.seen.survey.leftovers)


def _keeps_connections(port: Any) -> bool:
    protocol = str(port.get("appProtocol") or "").lower()
    name = str(port.get("name") or "").lower()
    return any(word in protocol for word in ("grpc", "h2c", "http2")) or name.startswith(
        ("grpc", "http2", "h2c")
    )


def leftover_notes(draft: Draft) -> tuple[str, ...]:
    """What an orphaning delete of an earlier canary left to stable."""
    own = (draft.stable.template.get("metadata", {}).get("labels") or {}).get("track")
    names = [
        rs.name for rs in draft.stable.replica_sets if rs.labels.get("track") not in (None, own)
    ]
    return (
        (
            (
                f"ReplicaSet {', '.join(names)} of {draft.stable.name} is an earlier canary's: undo"
                " never chooses it"
            ),
        )
        if names
        else ()
    )
