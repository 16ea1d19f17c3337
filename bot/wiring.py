"""The only place that constructs adapters. Everything else takes what it needs as an argument."""

from __future__ import annotations

import argparse
import gc
import hmac
import os
import sys
from collections.abc import Sequence
from typing import Any

from bot.cluster import KubernetesClusters
from bot.cluster.manifests import FileManifests
from bot.commands.installed import read_names
from bot.commands.table import Names
from bot.operations.bind_catalog import bind_catalog
from bot.operations.context import Context
from bot.slack.blocks.rendering import SlackRendering
from bot.slack.identity import SlackDirectory
from bot.slack.messenger import SlackMessenger
from bot.store import Leases, RedisReleaseStore, RedisShelf, Retention, connect
from bot.work_queue import RqWorkQueue
from config.catalog import CatalogMistakes, CatalogSettings, load_catalog
from config.logs import configure_logging
from config.settings import Process, Settings, SettingsMistakes, read_settings


class Unconfigured(Exception):
    """Environment or catalog cannot be used; the message holds every mistake, one a line."""


def load_configuration(process: Process) -> tuple[Settings, CatalogSettings]:
    """Environment and catalog, all mistakes of both at once. Raises Unconfigured."""
    mistakes: list[str] = []
    try:
        settings = read_settings(os.environ, process)
    except SettingsMistakes as found:
        raise Unconfigured(str(found)) from found
    try:
        names_of(settings)
    except ValueError as wrong:
        mistakes.append(f"PILOTHOUSE_COMMANDS, PILOTHOUSE_PREFIX: {wrong}")
    try:
        catalog = load_catalog(settings.config)
    except CatalogMistakes as found:
        mistakes.append(str(found))
    if mistakes:
        raise Unconfigured("\n".join(mistakes))
    return settings, catalog


def names_of(settings: Settings) -> Names:
    """How commands are typed in this workspace. Raises ValueError."""
    return read_names(settings.commands, settings.prefix)


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


def make_context(
    settings: Settings, file: CatalogSettings, *, calls_clusters: bool = True
) -> Context:
    """Opens no connection: each is made when it is first used."""
    client = connect(settings.redis_url)
    leases = Leases(client)
    catalog, names = bind_catalog(file), names_of(settings)
    slack, ca_file = (settings.slack_bot_token, settings.slack_api_url), settings.slack_ca_file
    return Context(
        store=RedisReleaseStore(
            client,
            retention=Retention(
                file.retention.releases, file.retention.audit_ms, file.retention.names_ms
            ),
        ),
        queue=RqWorkQueue(client, wake=leases.wake),
        clusters=KubernetesClusters(addresses(file) if calls_clusters else {}, RedisShelf(client)),
        messenger=SlackMessenger(*slack, ca_file=ca_file),
        directory=SlackDirectory(*slack, ca_file=ca_file),
        catalog=catalog,
        render=SlackRendering(tuple(catalog.apps), names, approvers=catalog.access.named_approvers),
        manifests=FileManifests(),
        commands_installed=tuple(names.installed),
        prefix=names.prefix,
        # Every bot and worker has the token, and Redis, where the digests are kept, has not.
        digest_key=hmac.digest(settings.slack_bot_token.encode(), b"pilothouse: digests", "sha256"),
    )


def serve_bot(argv: Sequence[str] | None = None) -> int:
    """`pilothouse bot`: Socket Mode where an app token is set, else signed HTTP. Until SIGTERM or
    SIGINT."""
    from bot.slack.app import build_app
    from bot.slack.http import serve_http
    from bot.slack.socket_mode import serve_socket_mode

    argparse.ArgumentParser(
        prog="pilothouse bot", description="Takes commands and clicks from Slack."
    ).parse_args(argv)
    try:
        settings, file = load_configuration("bot")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    # Workers alone call the Kubernetes API: the bot has no rights there.
    context = make_context(settings, file, calls_clusters=False)
    app = build_app(context, settings)
    # What is imported stays. Looking through it for garbage stopped every acknowledgement for up to
    # 270 ms.
    gc.collect()
    gc.freeze()
    if settings.uses_socket_mode:
        return serve_socket_mode(app, settings, is_ready=context.store.now)
    return serve_http(app, settings, is_ready=context.store.now)
