"""The only place that constructs adapters. Everything else takes what it needs as an argument."""

from __future__ import annotations

import argparse
import gc
import hmac
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

from bot import tracing
from bot.cluster import KubernetesClusters
from bot.cluster.manifests import FileManifests
from bot.configuration import LiveConfiguration, Unconfigured, keep_renewing, names_of
from bot.operations.bind_catalog import bind_catalog
from bot.operations.context import WATCHED_IN, Catalog, Context
from bot.patience import patience_of
from bot.prometheus import Prometheus, PrometheusAddress
from bot.receivers.adapter import HttpReceivers
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.identity import SlackDirectory
from bot.slack.messenger import SlackMessenger
from bot.store import Leases, RedisReleaseStore, RedisShelf, Retention, connect
from bot.store.audit_entries import Stamp
from bot.tally import TALLY
from bot.work_queue import ROUTES, Lanes, Route, RqWorkQueue
from config.catalog import CatalogSettings
from config.logs import configure_logging
from config.settings import Settings

log = logging.getLogger(__name__)

REPORT_EVERY_S = 10.0
LAST_REPORT_S = 1.0


def addresses(catalog: CatalogSettings) -> dict[str, dict[str, Any]]:
    """Where each cluster is; a kubeconfig is named relative to the catalog's folder."""
    return {
        name: {
            "kubeconfig": str(catalog.path(entry.kubeconfig)) if entry.kubeconfig else None,
            "context": entry.context,
            "in_cluster": entry.in_cluster,
        }
        for name, entry in catalog.clusters.items()
    }


def metric_sources(catalog: CatalogSettings) -> dict[str, Prometheus]:
    """By the names of clusters; files are named relative to the catalog's folder."""

    def file(name: str | None) -> str | None:
        return str(catalog.path(name)) if name else None

    return {
        name: Prometheus(PrometheusAddress(one.url, file(one.token_file), file(one.ca_file)))
        for name, entry in catalog.clusters.items()
        if (one := entry.prometheus) is not None
    }


def installation_of(settings: Settings) -> str:
    """Whose a claim is, for those who find it later. Of the bot token, which tells installations
    apart and outlives a lost Redis; "" for a process that writes nothing."""
    if not settings.slack_bot_token:
        return ""
    token = settings.slack_bot_token.encode()
    return hmac.digest(token, b"pilothouse: installation", "sha256").hex()[:12]


def retention_of(file: CatalogSettings) -> Retention:
    kept = file.retention
    return Retention(kept.releases, kept.audit_ms, kept.names_ms)


def lanes_of(catalog: Catalog) -> Lanes:
    places = {place: app.target.cluster for place, app in catalog.apps.items()}
    places |= {f"{WATCHED_IN}{cluster}": cluster for cluster in catalog.clusters}
    return Lanes(catalog.clusters, places)


def make_queue(redis_url: str, lanes: Lanes, routes: Mapping[str, Route] = ROUTES) -> RqWorkQueue:
    client = connect(redis_url)
    leases = Leases(client)
    return RqWorkQueue(
        client,
        wake=leases.wake,
        push=leases.push,
        routes=routes,
        lanes=lanes,
        place_of=RedisReleaseStore(client).place_of,
    )


def make_context(
    settings: Settings, file: CatalogSettings, *, calls_clusters: bool = True
) -> Context:
    """Opens no connection: each is made when it is first used."""
    client = connect(settings.redis_url)
    catalog, names = bind_catalog(file), names_of(settings)
    slack, ca_file = (settings.slack_bot_token, settings.slack_api_url), settings.slack_ca_file
    return Context(
        store=RedisReleaseStore(
            client,
            retention=retention_of(file),
            stamp=Stamp(file.digest, version("pilothouse")),
            # The bot's readiness is whether Redis answers: it asks each time.
            monotonic=time.monotonic if calls_clusters else None,
        ),
        queue=make_queue(settings.redis_url, lanes_of(catalog)),
        clusters=KubernetesClusters(
            addresses(file) if calls_clusters else {},
            RedisShelf(client),
            installation=installation_of(settings),
        ),
        messenger=SlackMessenger(*slack, ca_file=ca_file),
        directory=SlackDirectory(*slack, ca_file=ca_file),
        catalog=catalog,
        render=SlackRendering(tuple(catalog.apps), names, access=catalog.access),
        manifests=FileManifests(),
        metrics=metric_sources(file) if calls_clusters else {},
        commands_installed=tuple(names.installed),
        prefix=names.prefix,
        # Every bot and worker has the token, and Redis, where the digests are kept, has not.
        digest_key=hmac.digest(settings.slack_bot_token.encode(), b"pilothouse: digests", "sha256"),
        receivers=HttpReceivers(),
    )


def serve_bot(argv: Sequence[str] | None = None) -> int:
    """`pilothouse bot`: Socket Mode where an app token is set, else signed HTTP. Until SIGTERM or
    SIGINT."""
    from bot.api.server import ApiServer
    from bot.slack.app import build_app
    from bot.slack.http import serve_http
    from bot.slack.request_metrics import RequestMetrics
    from bot.slack.socket_mode import serve_socket_mode

    argparse.ArgumentParser(
        prog="pilothouse bot", description="Takes commands and clicks from Slack."
    ).parse_args(argv)
    try:
        live = LiveConfiguration("bot")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    settings = live.settings
    configure_logging(settings.log_level, settings.log_format)
    # Workers alone call the Kubernetes API: the bot has no rights there.
    context = make_context(settings, live.catalog, calls_clusters=False)
    app = build_app(context, settings)
    metrics = RequestMetrics()
    metrics.watch_configuration(lambda: live.loaded_at, lambda: float(bool(live.refusal)))
    # What is imported stays. Looking through it for garbage stopped every acknowledgement for up to
    # 270 ms.
    gc.collect()
    gc.freeze()
    keep_renewing(
        live, lambda changed, file: app.renew(renewed(app.context, live, changed, file), changed)
    )
    serve = serve_socket_mode if settings.uses_socket_mode else serve_http
    api = None
    if (port := live.catalog.api.port) is not None:
        try:
            api = ApiServer(lambda: app.context, metrics, settings.host, port)
        except OSError as error:
            log.error("cannot listen for machines on %s:%d: %s", settings.host, port, error)
            return 1
        api.start()
    tracing.begin("bot", wanted=live.settings.traces)
    with reporting(lambda: live.settings.redis_url):
        try:
            return serve(app, metrics)
        finally:
            if api is not None:
                api.stop()
            tracing.end()


@lru_cache(maxsize=1)
def report_of(redis_url: str) -> Callable[[], None]:
    """Brings to Redis what this process counted."""
    return partial(Leases(connect(redis_url)).report, TALLY)


@contextmanager
def reporting(redis_url: Callable[[], str], every_s: float = REPORT_EVERY_S) -> Iterator[None]:
    """Beside what is done inside: brings what this process counted to Redis, whose password may
    change meanwhile."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(every_s):
            report_of(redis_url())()

    reporter = threading.Thread(target=report, name="report", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        with patience_of(LAST_REPORT_S):
            report_of(redis_url())()


def renewed(
    context: Context, live: LiveConfiguration, settings: Settings, file: CatalogSettings
) -> Context:
    """The bot's, for another configuration; what Slack was asked stays known while the token
    stays."""
    made = make_context(settings, file, calls_clusters=False)
    if settings.slack_bot_token != live.settings.slack_bot_token:
        return made
    return replace(made, messenger=context.messenger, directory=context.directory)
