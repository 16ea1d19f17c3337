"""What an app's queries find now, for `pilothouse doctor`: numbers, and what keeps them away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.prometheus import PrometheusAway
from bot.releases.facts.counters import MetricRules, Selector
from bot.releases.facts.counts import counted
from bot.releases.judge.counters import window_needed
from bot.releases.judge.words import percent_text

POD_LABELS = ("pod", "exported_pod", "kubernetes_pod_name", "k8s_pod_name")
OVER, OVER_S = "10m", 600


Vector = Callable[[str], Sequence[tuple[Mapping[str, str], float]]]
"""An instant query's labels and values. Raises PrometheusAway."""


@dataclass(frozen=True)
class Inspected:
    text: str
    is_problem: bool = False


def inspect_metrics(
    vector: Vector, rules: MetricRules, deployment: str, hold_ms: int
) -> Iterator[Inspected]:
    try:
        yield from _inspected(vector, rules, deployment, hold_ms)
    except PrometheusAway as away:
        yield Inspected(str(away), is_problem=True)


def _inspected(
    vector: Vector, rules: MetricRules, deployment: str, hold_ms: int
) -> Iterator[Inspected]:
    label = rules.pod_label
    requests = _by_pod(vector, rules.requests, label)
    ours = {pod: number for pod, number in requests.items() if is_named_after(pod, deployment)}
    if not ours:
        yield Inspected(_why_none(vector, rules, deployment, requests), is_problem=True)
        return
    errors = _by_pod(vector, rules.errors, label)
    asked, failed = sum(ours.values()), sum(errors.get(pod, 0) for pod in ours)
    share = percent_text(min(1.0, failed / asked)) if asked else "none"
    yield Inspected(
        f"{counted(len(ours), 'pod')} by the label `{label}`; {asked:,.0f} requests in {OVER},"
        f" {share} failed"
    )
    yield _scrapes(vector, rules, hold_ms)
    if rules.latency is not None:
        yield _bucket(vector, rules.latency.histogram, rules.latency.bound)


def is_named_after(pod: str, deployment: str) -> bool:
    """
    >>> [is_named_after(one, "hello") for one in ("hello-5d4f-x2x", "hello-world-1-2", "hello")]
    [True, True, False]
    """
    return pod.startswith(f"{deployment}-")


def _by_pod(vector: Vector, selector: Selector, label: str) -> dict[str, float]:
    query = f"sum by ({label}) (increase({selector.text}[{OVER}]))"
    return {labels.get(label, ""): value for labels, value in vector(query)}


def _why_none(
    vector: Vector, rules: MetricRules, deployment: str, requests: Mapping[str, float]
) -> str:
    if not requests:
        return f"no series of `{rules.requests.text}`: check the selector and the cluster"
    for label in POD_LABELS:
        found = _by_pod(vector, rules.requests, label) if label != rules.pod_label else {}
        if any(is_named_after(pod, deployment) for pod in found):
            return f"the label with the pod's name is `{label}`: set `judge.pod_label: {label}`"
    return (
        f"`{rules.requests.text}` has no series of a pod of {deployment} by the label"
        f" `{rules.pod_label}`, nor by {', '.join(POD_LABELS)}"
    )


def _scrapes(vector: Vector, rules: MetricRules, hold_ms: int) -> Inspected:
    """A hold needs three, and one more to end with."""
    found = [value for _, value in vector(f"max(count_over_time({rules.requests.text}[{OVER}]))")]
    if not found or found[0] < 2:
        return Inspected(f"no pod was scraped twice in {OVER}", is_problem=True)
    every_s = OVER_S / found[0]
    needed = round(window_needed(round(every_s * 1000)) / 1000)
    if hold_ms < needed * 1000:
        text = f"scraped every {every_s:.0f} s: a hold of {hold_ms / 1000:g} s is too short"
        return Inspected(f"{text} for three scrapes, {needed} s is enough", is_problem=True)
    return Inspected(f"scraped every {every_s:.0f} s")


def _bucket(vector: Vector, histogram: Selector, bound: float) -> Inspected:
    found = vector(f"count by (le) ({histogram.text})")
    bounds = sorted(float(labels["le"]) for labels, _ in found if labels.get("le"))
    if bound in bounds:
        return Inspected(f"`{histogram.metric}` has a bucket that ends at {bound:g}")
    if not bounds:
        return Inspected(f"no series of `{histogram.text}`", is_problem=True)
    known = ", ".join(f"{one:g}" for one in bounds[:-1][:20])
    text = f"`{histogram.metric}` has no bucket that ends at {bound:g}, but at {known}"
    return Inspected(f"{text}: choose another `slower_than`", is_problem=True)
