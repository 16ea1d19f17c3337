"""The catalog file's settings in the core's words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from bot.operations.context import App, Catalog, Watch
from bot.policy.callers import Caller
from bot.policy.freezes import FreezeWindow
from bot.policy.permissions import Access, Grant, Role, Scope
from bot.ports import Receiver
from bot.releases.facts.counters import LatencyRules, Matcher, MetricRules, Selector
from bot.releases.facts.fleet import Wave
from bot.releases.facts.people import Voters
from bot.releases.facts.rules import (
    ApprovalRules,
    BlueGreenRules,
    CanaryRules,
    JudgeRules,
    ProbeRules,
    Rules,
)
from bot.releases.facts.target import Strategy, Target
from config.access_entries import QuorumEntry, RoleEntry, ScopeEntry
from config.catalog import AppCatalogEntry, CatalogSettings, usual_strategies
from config.entries import (
    ClusterEntry,
    EventsEntry,
    JudgeEntry,
    ProbeEntry,
    PrometheusEntry,
    TokenEntry,
)
from config.selectors import ReadSelector, in_unit_of, preset, read_buckets, read_counter
from config.waves import ResolvedWave


def bind_catalog(file: CatalogSettings) -> Catalog:
    apps = [
        _app(file, entry.in_cluster(cluster), cluster)
        for entry in file.apps.values()
        for cluster in entry.clusters
    ]
    windows = (
        FreezeWindow(one.scope, one.reason, one.override, one.window, one.running)
        for one in file.freezes
    )
    return Catalog(
        {app.target.typed: app for app in apps},
        tuple(file.clusters),
        _access(file),
        file.audit.channel or "",
        windows=tuple(windows),
        callers={one.name: _caller(file, one) for one in file.api.tokens},
        receivers=tuple(_receiver(file, one) for one in file.events),
        waves={one.name: tuple(map(_wave, one.waves)) for one in file.apps.values()},
        labels={name: one.labels for name, one in file.clusters.items()},
        watch=Watch(
            file.watch.namespaces,
            file.watch.clusters,
            file.watch.channel or "",
            file.watch.channel_label or "",
        ),
    )


def _wave(one: ResolvedWave) -> Wave:
    entry = one.entry
    return Wave(
        one.clusters, entry.soak_ms, entry.then, entry.unreachable, entry.catch_up_within_ms
    )


def _receiver(file: CatalogSettings, entry: EventsEntry) -> Receiver:
    """Its name outlives a change of the secret and of the order."""
    about = f"{entry.url} {entry.format} {entry.repository or ''}"
    return Receiver(
        hashlib.sha256(about.encode()).hexdigest()[:12],
        entry.url,
        entry.format,
        entry.repository or "",
        str(file.path(entry.secret_file)) if entry.secret_file else "",
        frozenset(entry.apps),
    )


def _caller(file: CatalogSettings, entry: TokenEntry) -> Caller:
    return Caller(
        entry.name,
        frozenset(entry.apps),
        frozenset(entry.clusters),
        frozenset(map(Strategy, entry.strategies)),
        entry.may == "start",
        entry.expires_at,
        str(file.path(entry.file)),
    )


def _app(file: CatalogSettings, entry: AppCatalogEntry, cluster: str) -> App:
    s = entry.settings
    target = Target(
        app=entry.name,
        cluster=cluster,
        namespace=entry.namespace,
        deployment=entry.deployment,
        container=entry.container,
        services=entry.services,
        version_label=s.version_label,
        images=s.images,
        among_clusters=len(file.clusters) > 1,
        one_of_many=len(entry.clusters) > 1,
    )
    canary = CanaryRules(
        s.canary.steps, s.canary.hold_ms, s.canary.promote, s.canary.mode, s.canary.max_candidates
    )
    bluegreen = BlueGreenRules(
        s.bluegreen.rollback_window_ms,
        s.bluegreen.promote,
        s.bluegreen.preview,
        s.bluegreen.settle,
        s.bluegreen.judge,
    )
    a = s.approvals
    rules = Rules(
        canary=canary,
        bluegreen=bluegreen,
        approvals=ApprovalRules(
            a.start.count,
            a.promote.count,
            a.requester_may_approve,
            a.expires_ms,
            a.on_expiry,
            a.confirm,
            a.remind_ms,
            _voters(a.start),
            _voters(a.promote),
        ),
        probe=_probe(s.probe) if s.probe else None,
        judge=_judge(s.judge, entry.namespace, file.clusters[cluster]) if s.judge else None,
        on_failure=s.on_failure,
        ready_within_ms=s.ready_within_ms,
        crash_loop_restarts=s.crash_loop.restarts,
        crash_loop_for_ms=s.crash_loop.for_ms,
        managed_elsewhere=s.managed_elsewhere,
        autoscaler_min_replicas=s.autoscaler.min_replicas,
        scale_min=s.scale.min,
        scale_max=s.scale.max,
        watch_after_ms=s.watch_after_ms,
        evidence_logs=s.evidence.logs,
        failure_to=s.notify.to.failure,
        mention=s.notify.mention or "",
        tell_outside=s.notify.outside,
        links=tuple(s.links.items()),
        own_strategy=Strategy(s.strategy),
        strategies=tuple(Strategy(one) for one in usual_strategies(s)),
        emergency=tuple(Strategy(one) for one in s.emergency),
    )
    files = {"secrets": dict(s.files.secrets), "configmaps": dict(s.files.configmaps)}
    folder = str(file.directory)
    return App(
        target, rules, entry.channel or "", Strategy(s.strategy), tuple(s.manifests), files, folder
    )


def _voters(entry: QuorumEntry) -> Voters:
    return Voters(entry.any_of, entry.one_from_each)


def _probe(entry: ProbeEntry) -> ProbeRules:
    return ProbeRules(
        entry.url,
        entry.path,
        entry.requests,
        entry.status,
        entry.contains or "",
        entry.within_ms,
    )


def _judge(entry: JudgeEntry, namespace: str, cluster: ClusterEntry) -> JudgeRules:
    metrics = None
    if entry.has_metrics and cluster.prometheus is not None:
        metrics = metric_rules(entry, namespace, cluster.prometheus)
    return JudgeRules(entry.worse_by, entry.false_alarms, entry.extend_ms, metrics)


def metric_rules(entry: JudgeEntry, namespace: str, source: PrometheusEntry) -> MetricRules:
    """Own keys win over those of the preset."""
    usual = preset(entry.preset or "prometheus", namespace)
    latency = None
    if entry.latency is not None:
        buckets = read_buckets(entry.latency.histogram or usual.histogram)
        slower_than = entry.latency.slower_than_ms
        bound = in_unit_of(buckets.metric, slower_than)
        latency = LatencyRules(_selector(buckets), slower_than, bound)
    return MetricRules(
        _selector(read_counter(entry.requests or usual.requests)),
        _selector(read_counter(entry.errors or usual.errors)),
        latency,
        entry.pod_label,
        entry.window_ms if isinstance(entry.window_ms, int) else None,
        entry.min_requests,
        source.url.rstrip("/"),
        source.scrape_interval_ms or 0,
    )


def _selector(read: ReadSelector) -> Selector:
    matchers = (Matcher(label, operator, value) for label, operator, value in read.matchers)
    return Selector(read.metric, tuple(matchers))


def _access(file: CatalogSettings) -> Access:
    entry = file.access
    clusters = {name: one.access for name, one in file.clusters.items()}
    apps = {name: one.settings.access for name, one in file.apps.items()}
    return Access(
        frozenset(entry.channels),
        {role: _grant(getattr(entry.roles, role.value)) for role in Role},
        of_clusters=_scopes(clusters),
        of_apps=_scopes(apps),
        voters=frozenset(_voters_of(file)),
    )


def _voters_of(file: CatalogSettings) -> Iterator[str]:
    for one in file.apps.values():
        approvals = one.settings.approvals
        yield from _voters(approvals.start).named
        yield from _voters(approvals.promote).named


def _scopes(found: Mapping[str, ScopeEntry | None]) -> Mapping[str, Scope]:
    return {name: _scope(entry) for name, entry in found.items() if entry is not None}


def _scope(entry: ScopeEntry) -> Scope:
    named = {
        Role.DEPLOYER: entry.deployer,
        Role.APPROVER: entry.approver,
        Role.ADMIN: entry.admin,
    }
    grants = {role: _grant(grant) for role, grant in named.items() if grant is not None}
    return Scope(grants, entry.inherit)


def _grant(entry: RoleEntry) -> Grant:
    return Grant(entry.everyone, frozenset(entry.users), frozenset(entry.groups))
