"""What an operation works with: the ports, the catalog's settings in the core's words, and the
renderer."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from secrets import token_bytes
from typing import Any, Protocol

from bot.commands.deploy_form import DeployForm
from bot.commands.table import BY_DEFAULT, KnownNames, Names
from bot.operations.replies import Reply, RolloutCard, TableReply, WorsenedCard
from bot.policy.callers import Caller
from bot.policy.freezes import FreezeWindow
from bot.policy.permissions import WORKSPACE, Access, Place
from bot.ports import (
    Cluster,
    Clusters,
    ClusterUnreachable,
    Directory,
    ManifestSource,
    Message,
    Messenger,
    Metrics,
    Receiver,
    Receivers,
    ReleaseStore,
    Runtime,
    WorkQueue,
)
from bot.releases.facts.events import Event
from bot.releases.facts.fleet import Wave
from bot.releases.facts.plan import Plan
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy, Target
from bot.runtime import SystemRuntime

log = logging.getLogger(__name__)
LOG_ID_LENGTH = 8

NEWER_AGAIN_MS = 1_000


class Render(Protocol):
    """Domain data to Slack messages; bot.slack.blocks provides it."""

    def card(
        self, release: Release, *, now: int, first: bool = False, followed: bool = False
    ) -> Message:
        """``first``: for the post, not an edit; it mentions nobody. ``followed``: versions wait
        behind it."""

    def announcement(
        self, release: Release, event: Event, card: str = ""
    ) -> tuple[Message, bool] | None:
        """(message, loud); None where the card alone shows it. Loud: a separate message in the
        channel with a link to the card at ``card``; otherwise it goes into the card's thread.
        """

    def moved_card(self, release: Release, address: str) -> Message:
        """In place of a card that was posted anew at ``address``."""

    def reply(self, reply: Reply, *, now: int) -> Message: ...

    def form(self, form: DeployForm) -> Mapping[str, Any]:
        """The view of `/deploy`."""

    def plan(self, plan: Plan) -> tuple[str, ...]:
        """One line a step, and the plan's notes."""

    def notice(self, line: str) -> Message: ...

    def rollout(self, card: RolloutCard) -> Message:
        """Of a rollout outside Pilothouse."""

    def worsened(self, card: WorsenedCard) -> Message:
        """After its release succeeded."""

    def file(self, reply: TableReply) -> str:
        """Every row, in columns of a fixed-width font."""


@dataclass(frozen=True)
class App:
    """One catalog entry in one of its clusters, in the core's words."""

    target: Target
    rules: Rules
    channel: str
    strategy: Strategy
    manifests: tuple[str, ...] = ()  # absolute paths, confined to the catalog's folder when read
    files: Mapping[str, Any] = field(default_factory=dict)
    manifests_folder: str = ""
    only_watched: bool = False  # no entry of the catalog: nothing may be written there


WATCHED_IN = "@"
"""Before the cluster of a Deployment that is only watched, where others have the app's name: no app
is called so."""


@dataclass(frozen=True)
class Watch:
    """Where Deployments without a catalog entry are watched. ``namespaces``: names, and patterns
    with ``*``; ``clusters``: empty for all; ``channel``, ``channel_label``: "" none."""

    namespaces: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    channel: str = ""
    channel_label: str = ""

    def covers(self, cluster: str, namespace: str) -> bool:
        return self.is_in(cluster) and any(fnmatchcase(namespace, one) for one in self.namespaces)

    def is_in(self, cluster: str) -> bool:
        return bool(self.namespaces) and (not self.clusters or cluster in self.clusters)

    @property
    def has_patterns(self) -> bool:
        return any("*" in one for one in self.namespaces)


@dataclass(frozen=True)
class Catalog:
    """``apps``: by what a command must name: ``hello``, or ``hello in=eu`` where the app has more
    than one cluster (Target.typed)."""

    apps: Mapping[str, App]
    clusters: tuple[str, ...]
    access: Access
    audit_channel: str = ""  # where heads of the audit's chain are posted hourly
    callers: Mapping[str, Caller] = field(default_factory=dict)  # of the API, by name
    receivers: tuple[Receiver, ...] = ()
    windows: tuple[FreezeWindow, ...] = ()
    waves: Mapping[str, tuple[Wave, ...]] = field(default_factory=dict)  # of each app, by its name
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of each cluster
    watch: Watch = Watch()

    @cached_property
    def clusters_of(self) -> Mapping[str, tuple[str, ...]]:
        """By the names of the apps, in the order of the catalog."""
        found: dict[str, tuple[str, ...]] = {}
        for app in self.apps.values():
            found[app.target.app] = (*found.get(app.target.app, ()), app.target.cluster)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.clusters_of)

    def find(self, name: str, cluster: str | None) -> App | None:
        """``cluster`` None: the app's only one. None where the catalog has no such app there."""
        for key in (name, f"{name} in={cluster}"):
            app = self.apps.get(key)
            if app is not None and cluster in (None, app.target.cluster):
                return app
        return None

    def has_machine(self, target: Target) -> bool:
        """Whether a caller of the API may release the app there."""
        return any(one.may_start and one.covers(target) for one in self.callers.values())

    def named(self, name: str, cluster: str | None) -> App:
        """Of a command that was parsed with ``known``. Raises KeyError."""
        app = self.find(name, cluster)
        if app is None:
            raise KeyError(f"{name} in {cluster}")
        return app

    def fleet(
        self, name: str, clusters: Collection[str]
    ) -> tuple[tuple[Wave, ...], tuple[App, ...]]:
        """The app in some of its clusters, with the waves that are left for them."""
        waves = (
            replace(one, clusters=tuple(c for c in one.clusters if c in clusters))
            for one in self.waves.get(name, ())
        )
        kept = tuple(one for one in waves if one.clusters)
        return kept, tuple(self.named(name, c) for one in kept for c in one.clusters)

    def place(self, app: str, cluster: str | None = None) -> Place:
        """``cluster`` None: all clusters of the app."""
        return Place(app, (cluster,) if cluster else self.clusters_of.get(app, ()))

    def clusters_with(self, label: str) -> tuple[str, ...]:
        """``label``: such as ``region:eu``."""
        key, is_label, value = label.partition(":")
        found = (one for one in self.clusters if self.labels.get(one, {}).get(key) == value)
        return tuple(found) if is_label else ()

    def place_of_freeze(self, scope: str) -> Place:
        """``scope``: an app, ``cluster:NAME``, a label of clusters or ``all``."""
        if scope == "all":
            return WORKSPACE
        if meant := self.clusters_with(scope):
            return Place(clusters=meant)
        is_cluster, name = scope.startswith("cluster:"), scope.removeprefix("cluster:")
        return Place(clusters=(name,)) if is_cluster else self.place(scope)

    def known(self, here: Collection[str] = (), names: Names | None = None) -> KnownNames:
        """The names that a command may use; ``here`` are the channel's apps."""
        return KnownNames(
            self.names,
            here,
            self.clusters,
            names or Names(),
            clusters_of=self.clusters_of,
            labels=self.labels,
        )

    def in_channel(self, channel: str) -> tuple[App, ...]:
        """The apps of this channel; all apps where it has none."""
        here = tuple(app for app in self.apps.values() if app.channel == channel)
        return here or tuple(self.apps.values())


def thread_key(channel: str, ts: str) -> str:
    """Where the store keeps which app the thread under a message is about."""
    return f"thread:{channel}:{ts}"


@dataclass(frozen=True)
class Context:
    """The ports, the catalog's settings and the renderer, as one process constructed them."""

    store: ReleaseStore
    queue: WorkQueue
    clusters: Clusters
    messenger: Messenger
    directory: Directory
    catalog: Catalog
    render: Render
    manifests: ManifestSource
    metrics: Mapping[str, Metrics] = field(default_factory=dict)  # by the names of clusters
    commands_installed: tuple[str, ...] = BY_DEFAULT  # names registered with Slack, for hints
    prefix: str = ""
    digest_key: bytes = field(default_factory=partial(token_bytes, 32), repr=False)
    """The key of digests that outlive a job and must reveal nothing of their content; workers that
    share a queue share it."""
    runtime: Runtime = field(default_factory=SystemRuntime)
    receivers: Receivers | None = None  # a worker's

    def cluster(self, name: str) -> Cluster:
        """Raises ClusterUnreachable where the catalog no longer names it."""
        try:
            return self.clusters[name]
        except KeyError:
            raise ClusterUnreachable(f"the catalog has no cluster {name}") from None

    @property
    def names(self) -> Names:
        """How commands are typed in this workspace."""
        return Names(self.commands_installed, self.prefix)


def left_to_newer(context: Context) -> int:
    """During an upgrade, workers of two versions share the work: a record that only the newer can
    read is offered again soon. Returns when; the store has logged it."""
    return context.store.now() + NEWER_AGAIN_MS


def new_log_id(context: Context) -> str:
    """Names an error in a reply or a report, and its traceback in the logs."""
    return context.runtime.new_id()[:LOG_ID_LENGTH]
