"""The counters of both sides, as the release needs them: one or two requests."""

from __future__ import annotations

from bot.operations.context import Context
from bot.releases.engine.counting import MetricsWanted
from bot.releases.facts.counters import MetricsSeen, SampleQuery, SamplesSeen
from bot.releases.facts.release import Release


def read_metrics(
    context: Context, release: Release, wanted: MetricsWanted, now: int
) -> MetricsSeen:
    errors = _read(context, release, wanted.errors, now)
    latency = None
    if wanted.latency is not None:
        # Who does not answer one question is not asked another in the same tick.
        latency = errors if errors.away else _read(context, release, wanted.latency, now)
    return MetricsSeen(wanted.since, errors, latency)


def _read(context: Context, release: Release, query: SampleQuery, now: int) -> SamplesSeen:
    source = context.metrics.get(release.target.cluster)
    if source is None:
        why = f"the catalog names no Prometheus of cluster {release.target.cluster} any more"
        return SamplesSeen(away=why)
    return source.read(query, now)
