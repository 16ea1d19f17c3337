"""What people should know before a canary starts: the shares that can be reached, and where a share
of pods is not a share of requests."""

from __future__ import annotations

from typing import Any

from bot.releases.assess.handover import local_policy
from bot.releases.assess.rollout import pods_of
from bot.releases.assess.selectors import labels_of, matches
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import ServiceSeen
from bot.releases.facts.replicas import Bounds, Split, reachable, surge_for_promotion
from bot.releases.planning.candidate import stale_claim_note
from bot.releases.planning.capacity import fence_posts, floor_of
from bot.releases.planning.draft import Draft
from bot.releases.planning.draining import removal_notes
from bot.releases.strategies.canary.candidate import TRACK
from bot.releases.strategies.canary.draft import CanaryDraft


def canary_notes(canary: CanaryDraft) -> tuple[str, ...]:
    return (
        *_adoption_notes(canary),
        *_left_out_notes(canary),
        *share_notes(canary.percents, canary.splits, canary.bounds),
        *_shift_notes(canary),
        *_promotion_notes(canary),
        *_autoscaler_notes(canary),
        *_budget_notes(canary),
        *_traffic_notes(canary),
        *_removal_notes(canary),
        *_leftover_notes(canary.draft),
    )


def _removal_notes(canary: CanaryDraft) -> tuple[str, ...]:
    if canary.adopted:
        return ()
    name = canary.draft.stable.name
    also = f"; {name}'s own pods stay without it, and are replaced as kubectl would"
    return removal_notes(canary.draft, canary.name, also=also)


def _adoption_notes(canary: CanaryDraft) -> tuple[str, ...]:
    draft, adopted = canary.draft, canary.adopted
    if adopted is None:
        return ()
    left = stale_claim_note(adopted)
    note = (
        f"{adopted.name} exists already and runs {draft.version}"
        f" ({counted(adopted.replicas, 'pod')}): it is adopted, so an abort removes it too"
    )
    if adopted.template.get("spec") == draft.template.get("spec"):
        return (*left, note)
    return (
        *left,
        note,
        (
            f"{adopted.name}'s pods differ in more than labels from what {draft.stable.name} would"
            " run, so the comparison may be misleading"
        ),
    )


def _left_out_notes(canary: CanaryDraft) -> tuple[str, ...]:
    if not canary.left_out:
        return ()
    steps = ", ".join(f"{percent}%" for percent in canary.left_out)
    several = len(canary.left_out) > 1
    left = f"{'steps' if several else 'step'} {steps} {'are' if several else 'is'} left out"
    reached = canary.splits[-1].percent
    return (f"1 replica reaches {reached}% and no other share: the catalog's {left}",)


def share_notes(
    percents: tuple[int, ...], splits: tuple[Split, ...], bounds: Bounds
) -> tuple[str, ...]:
    notes = [
        f"wanted {wanted}%, nearest is {split.percent}% with {counted(bounds.replicas, 'replica')}"
        for wanted, split in zip(percents, splits, strict=True)
        if abs(split.share * 100 - wanted) >= 1
    ]
    if notes and bounds.replicas <= 20:
        shares = ", ".join(f"{share}%" for share in reachable(bounds))
        is_enough = bounds.shift or percents[-1] <= splits[-1].percent
        notes.append(
            f"shares within reach: {shares}{'' if is_enough else '; `mode: shift` reaches more'}"
        )
    return tuple(notes)


def _shift_notes(canary: CanaryDraft) -> tuple[str, ...]:
    """On an abort the candidates leave at once, and a shrunk stable grows only as fast as its pods
    become ready."""
    last, replicas = canary.splits[-1], canary.draft.stable.replicas
    if last.stables >= replicas:
        return ()
    return (
        (
            f"an abort at {last.percent}% leaves {counted(last.stables, 'stable pod')} to serve"
            f" until {replicas - last.stables} more are ready"
        ),
    )


def _promotion_notes(canary: CanaryDraft) -> tuple[str, ...]:
    stable, last, room = canary.draft.stable, canary.splits[-1], canary.room.at_promotion
    unavailable = fence_posts(stable)[1]
    surge = surge_for_promotion(stable.replicas, unavailable, last.candidates, room)
    if surge >= min(unavailable, stable.replicas):
        return ()
    return (
        (
            f"there is room for {counted(room or 0, 'canary pod')}: at least {floor_of(stable)} of"
            f" {stable.replicas} stable pods serve during the promotion"
        ),
    )


def _autoscaler_notes(canary: CanaryDraft) -> tuple[str, ...]:
    scaler = canary.scaler
    if scaler is None:
        return ()
    least = Split(canary.splits[-1].candidates, max(scaler.max_replicas, 1)).percent
    return (
        (
            f"HorizontalPodAutoscaler {scaler.name} counts canary pods too and may scale stable"
            f" between {scaler.min_replicas} and {scaler.max_replicas}: canary pods follow it down,"
            f" so that their share does not grow; as it scales up, their share may fall to {least}%"
            f"{canary.room.why}"
        ),
    )


def _budget_notes(canary: CanaryDraft) -> tuple[str, ...]:
    survey = canary.draft.seen.survey
    names = [
        budget.name
        for budget in (survey.budgets if survey else ())
        if matches(budget.selector or {}, canary.labels)
    ]
    if not names:
        return ()
    return (
        (
            f"PodDisruptionBudget {', '.join(names)} counts canary pods too: a failed canary is"
            " scaled to 0, so that it blocks no drain"
        ),
    )


def _traffic_notes(canary: CanaryDraft) -> tuple[str, ...]:
    """Where the share of requests is not the share of endpoints."""
    return tuple(
        f"Service {service.name} {note}"
        for service in canary.services
        for note in (*_routing_notes(service), *_client_notes(canary, service))
    )


def _routing_notes(service: ServiceSeen) -> tuple[str, ...]:
    notes: list[str] = []
    if service.traffic_distribution:
        notes.append(
            f"has trafficDistribution {service.traffic_distribution}: clients close to each other"
            " may all reach one version"
        )
    if policy := local_policy(service):
        notes.append(f"has {policy}: what reaches a node gets only the pods of that node")
    if service.cluster_ip == "None":
        notes.append(
            "is headless: clients choose among its addresses themselves, so they decide the share"
        )
    if any(_keeps_connections(port) for port in service.ports):
        notes.append(
            "serves HTTP/2 or gRPC: a connection stays with one pod, so the share shifts only as"
            " clients reconnect"
        )
    return tuple(notes)


def _client_notes(canary: CanaryDraft, service: ServiceSeen) -> tuple[str, ...]:
    notes: list[str] = []
    if canary.is_sticky:
        notes.append(
            "is made sticky: a client address stays with one pod, and many clients behind one"
            " address count as one"
        )
    elif service.affinity.get("sessionAffinity") == "ClientIP":
        notes.append(
            "has session affinity ClientIP: earlier clients stay with stable, and those behind one"
            " NAT count as one"
        )
    others = _other_endpoints(canary.draft, service)
    if others:
        notes.append(f"also sends traffic to {others} other pods, which the shares do not count")
    return tuple(notes)


def _other_endpoints(draft: Draft, service: ServiceSeen) -> int:
    """Ready endpoints that are pods of neither side."""
    survey = draft.seen.survey
    # a hand-made canary that only the survey found comes without its pods: they are not others
    if draft.seen.candidate is None and survey is not None and survey.leftovers:
        return 0
    known = {pod.uid for item in (draft.stable, draft.seen.candidate) for pod in pods_of(item)}
    others = {
        endpoint.pod_uid or endpoint.address
        for endpoint in draft.seen.endpoints
        if endpoint.service == service.name and endpoint.ready and endpoint.pod_uid not in known
    }
    return len(others)


def _keeps_connections(port: Any) -> bool:
    protocol = str(port.get("appProtocol") or "").lower()
    name = str(port.get("name") or "").lower()
    return any(word in protocol for word in ("grpc", "h2c", "http2")) or name.startswith(
        ("grpc", "http2", "h2c")
    )


def _leftover_notes(draft: Draft) -> tuple[str, ...]:
    """What an orphaning delete of an earlier canary left to stable."""
    own = labels_of(draft.stable.template).get(TRACK)
    names = [rs.name for rs in draft.stable.replica_sets if rs.labels.get(TRACK) not in (None, own)]
    if not names:
        return ()
    return (
        (
            f"ReplicaSet {', '.join(names)} of {draft.stable.name} belonged to an earlier canary:"
            " undo never chooses it"
        ),
    )
