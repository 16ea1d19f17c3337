"""The catalog file's settings in the core's words."""

from __future__ import annotations

from bot.operations.context import App, Catalog
from bot.policy.permissions import Access, Grant, Role
from bot.releases.facts.rules import ApprovalRules, BlueGreenRules, CanaryRules, ProbeRules, Rules
from bot.releases.facts.target import Strategy, Target
from config.catalog import AppCatalogEntry, CatalogSettings
from config.entries import AccessEntry


def bind_catalog(file: CatalogSettings) -> Catalog:
    apps = {name: _app(file, entry) for name, entry in file.apps.items()}
    return Catalog(apps, tuple(file.clusters), _access(file.access))


def _app(file: CatalogSettings, entry: AppCatalogEntry) -> App:
    s = entry.settings
    target = Target(
        app=entry.name,
        cluster=entry.cluster,
        namespace=entry.namespace,
        deployment=entry.deployment,
        container=entry.container,
        services=entry.services,
        version_label=s.version_label,
        images=s.images,
    )
    canary = CanaryRules(
        s.canary.steps, s.canary.hold_ms, s.canary.promote, s.canary.mode, s.canary.max_candidates
    )
    bluegreen = BlueGreenRules(
        s.bluegreen.rollback_window_ms, s.bluegreen.promote, s.bluegreen.preview, s.bluegreen.settle
    )
    a = s.approvals
    rules = Rules(
        canary=canary,
        bluegreen=bluegreen,
        approvals=ApprovalRules(
            a.start,
            a.promote,
            a.requester_may_approve,
            a.expires_ms,
            a.on_expiry,
            a.confirm,
            a.remind_ms,
        ),
        probe=ProbeRules(s.probe.url, s.probe.path, s.probe.requests) if s.probe else None,
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
        links=tuple(s.links.items()),
        own_strategy=Strategy(s.strategy),
    )
    files = {"secrets": dict(s.files.secrets), "configmaps": dict(s.files.configmaps)}
    folder = str(file.directory)
    return App(
        target, rules, entry.channel or "", Strategy(s.strategy), tuple(s.manifests), files, folder
    )


def _access(entry: AccessEntry) -> Access:
    roles = {}
    for role in Role:
        grant = getattr(entry.roles, role.value)
        roles[role] = Grant(grant.everyone, frozenset(grant.users), frozenset(grant.groups))
    return Access(frozenset(entry.channels), roles)
