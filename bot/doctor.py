"""`pilothouse doctor`: is everything that Pilothouse depends on as it must be? Plain lines; exit
status 0, 1 (problems) or 2 (settings).

It only reads: the settings, the clock and the users of Redis, the bot's permissions in each
cluster, what metrics find, the token's scopes, the names of the catalog's ids, and releases that
are stuck.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.cluster import KubernetesCluster, KubernetesClusters
from bot.configuration import Unconfigured, load_configuration
from bot.metrics_check import inspect_metrics
from bot.operations.bind_catalog import bind_catalog
from bot.ports import ClusterUnreachable, RateLimited, Refused, SlackUnavailable, StoreUnavailable
from bot.releases.facts.ages import human_age
from bot.releases.facts.counts import counted
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.rules import STARTER
from bot.slack.workspace import inspect_workspace
from bot.store import Leases, RedisReleaseStore, connect
from bot.store.access import admits_everyone, read_permissions
from bot.store.health import check_settings
from bot.wiring import addresses, metric_sources
from config.access_entries import ScopeEntry
from config.catalog import CatalogSettings
from config.nearest import listed
from config.settings import Settings, is_loopback

GIVE_RULES = "give it the rules of docs/how-to/operate.md"
CLUSTERS_WITHIN_S = 15.0
"""A request may take 11 s: longer than an admission webhook may."""
PARTS = ("redis", "kubernetes", "metrics", "slack", "releases")
CLOCKS_APART_MS = 2_000
OVERDUE_MS = 15_000
MOVING = frozenset({Phase.QUEUED, Phase.PROGRESSING, Phase.ROLLING_BACK})
MOVING_FOR_MS = 3_600_000
WAITING_FOR_MS = 86_400_000


@dataclass(frozen=True)
class Finding:
    """``text`` of a problem says what to do."""

    text: str
    is_problem: bool = False

    def __str__(self) -> str:
        return f"  {'!!' if self.is_problem else 'ok'}  {self.text}"


def problem(text: str) -> Finding:
    return Finding(text, is_problem=True)


def main(argv: Sequence[str] | None = None) -> int:
    about = "Check Redis, Kubernetes, Slack and the running releases."
    parser = argparse.ArgumentParser(prog="pilothouse doctor", description=about)
    parser.add_argument(
        "--without",
        type=_parts,
        default=(),
        metavar="PART[,PART]",
        help=f"leave out {listed(PARTS)}: what is not there yet, before an installation",
    )
    left_out = parser.parse_args(argv).without
    try:
        settings, catalog = load_configuration("worker")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    parts: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("Redis", lambda: examine_redis(settings, time.time)),
        ("Kubernetes", lambda: examine_clusters(catalog)),
        ("Metrics", lambda: examine_metrics(catalog)),
        ("Slack", lambda: examine_slack(settings, catalog)),
        ("Releases", lambda: examine_releases(settings)),
    )
    problems = 0
    for title, examine in parts:
        if title.lower() in left_out:
            continue
        print(title)
        for finding in examine():
            problems += finding.is_problem
            print(finding, flush=True)
    print(f"{counted(problems, 'problem')} found" if problems else "no problems found")
    return 1 if problems else 0


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"no part `{name}`: use {listed(PARTS)}")
    return names


def examine_redis(settings: Settings, clock: Callable[[], float]) -> Iterator[Finding]:
    """``clock`` is this machine's, in seconds since 1970."""
    client = connect(settings.redis_url)
    try:
        lines = check_settings(client)
        before = clock()
        at_redis = RedisReleaseStore(client).now()
        after = clock()
    except StoreUnavailable as away:
        yield problem(str(away))
        return
    yield from map(problem, lines)
    if not lines:
        yield Finding("append-only file on, eviction off, version supported")
    apart = round(abs(at_redis - (before + after) * 500))
    if apart > CLOCKS_APART_MS:
        yield problem(
            f"this machine's clock and the Redis clock are {human_age(apart)} apart:"
            " synchronise both with NTP (releases follow the Redis clock)"
        )
    else:
        yield Finding(f"clocks agree within {max(apart, 1)} ms")
    yield from examine_redis_user(settings.redis_url)


def examine_redis_user(url: str) -> Iterator[Finding]:
    """Whom Redis admits, what our user may do, and whether others can listen."""
    parts = urlsplit(url)
    is_here = parts.scheme == "unix" or is_loopback(parts.hostname or "")
    try:
        permissions = read_permissions(connect(url), "worker")
    except StoreUnavailable as away:
        yield problem(str(away))
        return
    if permissions.denied:
        yield problem(f"Redis denies {listed(permissions.denied, 'and')}: {GIVE_RULES}")
    if not admits_everyone(url):
        yield Finding(f"Redis asks for a password; connected as {parts.username or 'default'}")
        if permissions.is_administrator:
            yield Finding(f"that user may do everything in Redis; for less, {GIVE_RULES}")
    elif is_here:
        yield Finding("Redis needs no password, and is on this machine")
    else:
        yield problem(
            "Redis admits everyone who reaches it: make users with passwords, as in"
            " docs/how-to/operate.md, and name one in REDIS_URL"
        )
    if parts.scheme == "redis" and not is_here:
        yield Finding("the connection is not encrypted: use rediss:// outside the cluster")


def examine_clusters(
    catalog: CatalogSettings, within_s: float = CLUSTERS_WITHIN_S
) -> Iterator[Finding]:
    """All clusters at once: one that hangs delays what is found of no other, and the whole by no
    more than ``within_s``."""
    clusters = KubernetesClusters(addresses(catalog))
    places: dict[str, set[str]] = {}
    for app in catalog.apps.values():
        for name in app.clusters:
            places.setdefault(name, set()).add(app.in_cluster(name).namespace)
    found: dict[str, list[Finding]] = {name: [] for name in sorted(places)}

    def examine(name: str) -> None:
        found[name] += examine_cluster(clusters[name], name, sorted(places[name]))

    threads = [threading.Thread(target=examine, args=(name,), daemon=True) for name in found]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + within_s
    for thread, name in zip(threads, found, strict=True):
        thread.join(max(0.0, ends - time.monotonic()))
        if thread.is_alive():
            yield problem(f"{name}: did not answer within {within_s:g} s")
        else:
            yield from found[name]


def examine_cluster(
    cluster: KubernetesCluster, name: str, namespaces: Sequence[str]
) -> list[Finding]:
    findings: list[Finding] = []
    for namespace in namespaces:
        try:
            missing = cluster.missing_permissions(namespace)
        except ClusterUnreachable as away:
            return [*findings, problem(f"{name}: {away}")]
        except Refused as refused:
            findings.append(problem(f"{name}: {refused}"))
            continue
        findings += [
            problem(
                f"{name}: the bot may not {permission}: grant it in the bot's Role (the chart's"
                " rbac.yaml has every rule)"
            )
            for permission in missing
        ]
        if not missing:
            findings.append(
                Finding(f"{name}: every permission is granted in namespace {namespace}")
            )
    return findings


def examine_metrics(catalog: CatalogSettings) -> Iterator[Finding]:
    """What each app's queries find now. Says nothing where no app is judged by metrics."""
    sources = metric_sources(catalog)
    apps = bind_catalog(catalog).apps
    counted_apps = [(name, app) for name, app in apps.items() if app.rules.metrics is not None]
    for name, app in counted_apps:
        source = sources[app.target.cluster]
        assert app.rules.metrics is not None
        hold_ms = app.rules.canary.hold_ms
        for found in inspect_metrics(
            source.vector, app.rules.metrics, app.target.deployment, hold_ms
        ):
            yield Finding(f"{name}: {found.text}", found.is_problem)
    if not counted_apps:
        yield Finding("no app is judged by metrics")


def catalog_ids(catalog: CatalogSettings) -> dict[str, str]:
    """Slack ids that the catalog names, and where first."""
    found: dict[str, str] = {}
    for channel, where in _channels(catalog):
        found.setdefault(channel, where)
    for role in ("viewer", "deployer", "approver", "admin"):
        entry = getattr(catalog.access.roles, role)
        for one in (*entry.users, *entry.groups):
            found.setdefault(one, role)
    for name, scope in _scopes(catalog):
        for role in ("deployer", "approver", "admin"):
            entry = getattr(scope, role)
            for one in (*entry.users, *entry.groups) if entry is not None else ():
                found.setdefault(one, f"{role} of {name}")
    for one, where in (*_voters(catalog), *_notified(catalog)):
        found.setdefault(one, where)
    return found


def _notified(catalog: CatalogSettings) -> Iterator[tuple[str, str]]:
    if catalog.audit.channel:
        yield catalog.audit.channel, "audit.channel"
    for name, app in catalog.apps.items():
        notify = app.settings.notify
        for one in (*notify.to.failure, notify.mention or STARTER):
            if one != STARTER:
                yield one, f"notify of {name}"


def _channels(catalog: CatalogSettings) -> Iterator[tuple[str, str]]:
    for app in catalog.apps.values():
        if app.channel:
            yield app.channel, f"channel of {app.name}"
    if catalog.watch.channel:
        yield catalog.watch.channel, "watch"
    for channel in catalog.access.channels:
        yield channel, "access.channels"


def _voters(catalog: CatalogSettings) -> Iterator[tuple[str, str]]:
    for name, app in catalog.apps.items():
        approvals = app.settings.approvals
        for quorum in (approvals.start, approvals.promote):
            for one in (*quorum.any_of, *quorum.one_from_each):
                yield one, f"approvals of {name}"


def _scopes(catalog: CatalogSettings) -> Iterator[tuple[str, ScopeEntry]]:
    for name, cluster in catalog.clusters.items():
        if cluster.access is not None:
            yield f"cluster {name}", cluster.access
    for name, app in catalog.apps.items():
        if app.settings.access is not None:
            yield name, app.settings.access


def examine_slack(settings: Settings, catalog: CatalogSettings) -> Iterator[Finding]:
    where = catalog_ids(catalog)
    try:
        workspace = inspect_workspace(
            settings.slack_bot_token,
            settings.slack_api_url,
            where,
            ca_file=settings.slack_ca_file,
        )
    except (SlackUnavailable, RateLimited) as away:
        yield problem(f"{away}: check SLACK_BOT_TOKEN and SLACK_API_URL")
        return
    yield Finding(f"the token belongs to {workspace.bot} in {workspace.team}")
    for scope in workspace.missing_scopes:
        yield problem(
            f"the token lacks the scope {scope}: install the app again with the manifest of"
            " `pilothouse manifest`"
        )
    if not workspace.missing_scopes:
        yield Finding("every scope is granted")
    for one in workspace.named:
        label = f"{one.id} {one.name}".strip()
        yield (
            problem(f"{label} ({where[one.id]}): {one.problem}")
            if one.problem
            else Finding(f"{label} ({where[one.id]})")
        )


def examine_releases(settings: Settings) -> Iterator[Finding]:
    client = connect(settings.redis_url)
    store = RedisReleaseStore(client)
    try:
        active, backlog, now = store.active(), Leases(client).backlog(), store.now()
    except StoreUnavailable as away:
        yield problem(str(away))
        return
    if backlog.overdue_ms > OVERDUE_MS:
        yield problem(
            f"work is {human_age(backlog.overdue_ms)} overdue: is `pilothouse worker` running?"
        )
    stuck = [line for release in active if (line := why_stuck(release, now))]
    yield from map(problem, stuck)
    if not stuck:
        yield Finding(f"{len(active)} active, none stuck" if active else "none active")


def why_stuck(release: Release, now: int) -> str:
    """A line for an administrator; "" for a release that moves or that has not waited too long."""
    since = release.phase_since or release.created_at
    age, named = now - since, f"{release.id} ({release.phase.words})"
    if release.unreachable and now - release.unreachable.since > OVERDUE_MS:
        away = human_age(now - release.unreachable.since)
        return (
            f"{named}: cluster {release.target.cluster} has been unreachable for {away}:"
            f" {release.unreachable.why}"
        )
    if release.phase is Phase.QUEUED and release.queued_behind:
        return ""  # the release in front is reported instead
    if release.phase in MOVING and age > MOVING_FOR_MS:
        return (
            f"{named} for {human_age(age)}: check its card, then resume it or use `/rollout abort"
            f" {release.id} --force`"
        )
    if release.phase not in MOVING and age > WAITING_FOR_MS:
        return f"{named} has waited for people for {human_age(age)}: decide on its card"
    return ""
