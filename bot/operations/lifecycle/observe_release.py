"""What a release observes of its cluster, in one snapshot, and the clock that it counts by."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.context import Context
from bot.operations.lifecycle.read_metrics import read_metrics
from bot.ports import Cluster, ClusterUnreachable
from bot.releases.assess.pairs import retarget_to_serving
from bot.releases.engine.clock import follow_clock
from bot.releases.engine.counting import metrics_to_read
from bot.releases.engine.deadlines import step_ends_at
from bot.releases.engine.judging import pods_to_sample
from bot.releases.engine.minimum import raisable_autoscaler
from bot.releases.engine.probing import pods_to_probe
from bot.releases.facts.changes import Reapply
from bot.releases.facts.observation import Observation, Seen, Unreachable
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target, default_candidate_name

TICK_BUDGET_S = 6.0


def with_clock(context: Context, release: Release) -> Release:
    """Before anything counts the time since something."""
    try:
        server_time = context.cluster(release.target.cluster).server_time()
    except ClusterUnreachable:
        return release
    return follow_clock(release, context.store.now(), server_time)


def observe_release(
    context: Context, release: Release, already_seen: Observation | None = None
) -> tuple[Cluster | None, Seen]:
    try:
        cluster = context.cluster(release.target.cluster)
    except ClusterUnreachable as gone:
        return None, Unreachable(context.store.now(), gone.why)
    extra = (release.plan.preview,) if release.plan and release.plan.preview else ()
    try:
        seen = already_seen or cluster.observe(
            release.target,
            candidate=release.candidate_name or _candidate_name(release),
            extra_services=extra,
            autoscaler=raisable_autoscaler(release),
            survey=release.plan is None,
            events=_may_be_late(context, release),
        )
        seen = _asked(context, cluster, release, replace(seen, answers=(), metrics=None))
    except ClusterUnreachable as away:
        return cluster, Unreachable(context.store.now(), away.why)
    return cluster, seen


def _asked(context: Context, cluster: Cluster, release: Release, seen: Observation) -> Observation:
    """With what pods answer and count, where the release needs to know it."""
    now = context.store.now()
    if wanted := metrics_to_read(release, seen, now):
        seen = replace(seen, metrics=read_metrics(context, release, wanted, now))
    probe = release.plan.probe if release.plan else None
    if probe is None:
        return seen
    if asked := pods_to_probe(release, seen):
        seen = replace(seen, probe=cluster.ask_pods(release.target, asked, probe))
    if sampled := pods_to_sample(release, seen, context.store.now()):
        seen = replace(seen, answers=cluster.sample_pods(release.target, sampled, probe))
    return seen


def _may_be_late(context: Context, release: Release) -> bool:
    """The cluster's events are evidence for a deadline alone, so they are not read before one is
    near."""
    ends = step_ends_at(release)
    return ends is not None and context.store.now() >= ends - round(TICK_BUDGET_S * 1000)


def _candidate_name(release: Release) -> str:
    """Before the plan is made: where the strategy's candidate would be, so that a leftover or an
    adopted one is observed."""
    return default_candidate_name(release.target, release.strategy)


def observe_serving(context: Context, release: Release) -> tuple[Release, Cluster | None, Seen]:
    """Of a release without a plan, which may be meant for the other Deployment of a pair."""
    cluster, seen = observe_release(context, release)
    serving = _serving_target(release, seen)
    if serving != release.target:
        release = replace(release, target=serving)
        cluster, seen = observe_release(context, release)
    return release, cluster, seen


def _serving_target(release: Release, seen: Seen) -> Target:
    """Where traffic reaches the other Deployment of a pair, the change is meant for that one."""
    if not isinstance(seen, Observation) or release.plan is not None:
        return release.target
    if isinstance(release.change, Reapply):
        return release.target
    return retarget_to_serving(release.target, seen)
