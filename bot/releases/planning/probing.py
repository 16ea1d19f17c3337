"""What pods are asked by name: the catalog's probe, on the port behind the app's first Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.releases.facts.ages import duration
from bot.releases.facts.observation import ServiceSeen
from bot.releases.facts.plan import Probe
from bot.releases.judge.budget import divide
from bot.releases.judge.counters import window_needed
from bot.releases.judge.power import Needed
from bot.releases.judge.words import percent_text
from bot.releases.planning.draft import Draft
from bot.releases.planning.refusals import PlanRefused

BY_PODS_ALONE = "the new version is judged by pods alone"
BY_METRICS_ALONE = "the new version is judged by metrics alone"


def probe_for(draft: Draft, service: ServiceSeen) -> Probe | None:
    """None without a probe, and for one by URL, which reaches whatever serves. Raises
    PlanRefused."""
    rules = draft.release.rules.probe
    if rules is None or rules.url is not None:
        return None
    first: Mapping[str, Any] = next(iter(service.ports), {})
    port = _container_port(draft, service, first)
    is_tls = "https" in (first.get("name"), first.get("appProtocol")) or first.get("port") == 443
    return Probe(
        rules.path,
        port,
        rules.requests,
        "https" if is_tls else "http",
        rules.status,
        rules.contains,
        rules.within_ms,
    )


def judging_probe(
    draft: Draft, services: Sequence[ServiceSeen]
) -> tuple[Probe | None, tuple[str, ...]]:
    """What both sides are asked while the new version is judged, and why nothing is asked although
    the catalog has a probe: that refuses no release."""
    rules, rest = draft.release.rules.probe, _what_is_left(draft)
    if rules is None:
        return None, ()
    if rules.url is not None:
        return None, (f"the probe has a URL, which reaches both versions: {rest}",)
    if not services:
        return None, (f"the probe has no Service that names a port: {rest}",)
    try:
        probe = probe_for(draft, services[0])
    except PlanRefused as refused:
        return None, (f"{str(refused).partition('. ')[0]}: {rest}",)
    return probe, _too_few(draft, rules.requests)


def _what_is_left(draft: Draft) -> str:
    return BY_PODS_ALONE if draft.release.rules.metrics is None else BY_METRICS_ALONE


def blind_notes(draft: Draft, promote: str, what: str) -> tuple[str, ...]:
    """Pods that are ready may still answer nothing but errors, and nobody would be asked."""
    rules = draft.release.rules
    if promote != "automatic" or rules.probe is not None or rules.metrics is not None:
        return ()
    return (f"nobody approves {what}, and there is no probe: {BY_PODS_ALONE}",)


def short_hold_notes(draft: Draft) -> tuple[str, ...]:
    """Said before the start: metrics of such a hold are always too little."""
    rules, hold_ms = draft.release.rules.metrics, draft.release.rules.canary.hold_ms
    if rules is None:
        return ()
    counted_ms, needed = min(hold_ms, rules.window_ms or hold_ms), window_needed(rules.scrape_ms)
    if counted_ms >= needed:
        return ()
    every = duration(rules.scrape_ms)
    why = f"metrics count {duration(counted_ms)} of a hold, too short for three scrapes, {every}"
    return (f"{why} apart: {duration(needed)} is enough",)


def _too_few(draft: Draft, requests: int) -> tuple[str, ...]:
    """Said before the start: a hold that cannot end well by itself asks people each time."""
    judge = draft.release.rules.judge
    if judge is None or judge.metrics is not None:
        return ()
    holds = len(draft.release.rules.canary.steps)
    shares = divide(judge.false_alarms, holds=holds, sources=1, watches=True)
    needed = Needed(shares.alarm, shares.miss).to_exclude(judge.worse_by)
    if needed is None or requests >= needed:
        return ()
    worse = percent_text(judge.worse_by)
    why = f"{requests} requests of the probe exclude no worsening of {worse}, {needed} would"
    return (f"{why}: each hold ends with a question",)


def _container_port(draft: Draft, service: ServiceSeen, first: Mapping[str, Any]) -> int:
    wanted = first.get("targetPort") or first.get("port")
    if isinstance(wanted, int):
        return wanted
    containers = (draft.template.get("spec") or {}).get("containers") or ()
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise PlanRefused(
        f"The probe has no port to ask: Service {service.name} names the port `{wanted or 'none'}`,"
        f" which no container has. Give a container that port, or remove `probe` of"
        f" {draft.release.target.app} from the catalog."
    )
