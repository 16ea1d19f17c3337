"""``pilothouse watcher``: turns changes at the clusters into wakes. It only nudges: the tick reads
the truth again."""

from __future__ import annotations

import argparse
import logging
import queue
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from bot.cluster import KubernetesClusters
from bot.cluster.watch import Change, Watcher
from bot.configuration import LiveConfiguration, Unconfigured
from bot.operations.context import Context
from bot.operations.watching.notice_change import (
    Subject,
    last_seen,
    last_seen_in,
    notice_change,
)
from bot.ports import StoreUnavailable, UnknownSchema
from bot.releases.facts.outside_change import LastSeen
from bot.releases.facts.release import Release
from bot.releases.facts.target import default_candidate_names
from bot.stop_signal import StopSignal
from bot.wiring import REPORT_EVERY_S, lanes_of, make_context, report_of
from config.catalog import CatalogSettings
from config.logs import configure_logging
from config.settings import Settings
from jobs.metrics import budgets_of, metrics_roles
from jobs.redis_back import Absence
from jobs.renewal import renewal
from jobs.supervisor import Board, Supervisor, WorkerRole
from jobs.watched_namespaces import WATCHED_RESOURCES, WatchedNamespaces

log = logging.getLogger(__name__)

FIRST_SPACING_MS = 200.0
LONGEST_SPACING_MS = 2_000.0
LONGEST_CARD_SPACING_MS = 3_000.0
GROWTH = 1.5
FAST_PACE_MS = 4_000.0
CARD_SPACING_MS = 1_500.0
"""Between the ticks for changes that only move the card. Slack takes an edit every 1.2 s, and a
change that completes a step often follows within this time: then the card moves with it."""
COLLECT_EVERY_S = 0.5  # how long a silent inbox is waited for
READ_EVERY_S = 0.2  # the list of running releases, at most, while changes come


@dataclass(frozen=True)
class Place:
    """What changed: an object of one app, in one namespace of one cluster."""

    cluster: str
    namespace: str
    deployment: str
    service: str

    def concerns(self, release: Release) -> bool:
        target = release.target
        if (self.cluster, self.namespace) != (target.cluster, target.namespace):
            return False
        if self.deployment:
            return self.deployment in (
                target.deployment,
                *default_candidate_names(target),
                release.candidate_name,
            )
        return self.service in target.services or (
            release.plan is not None and self.service == release.plan.preview
        )


@dataclass
class _Pace:
    began: float
    last: float
    spacing: float


class Pacer:
    """When a change may wake: after silence at once, or after ``first_ms``; then ``spacing_ms``
    apart, growing to ``longest_ms`` when changes continue for long. None is dropped.

    The spacing grows only after FAST_PACE_MS: a small app's whole roll is followed closely, a large
    one's does not tick all the time.
    """

    def __init__(
        self,
        spacing_ms: float = FIRST_SPACING_MS,
        *,
        first_ms: float = 0.0,
        longest_ms: float = LONGEST_SPACING_MS,
    ) -> None:
        self._spacing_ms, self._first_ms, self._longest_ms = spacing_ms, first_ms, longest_ms
        self._paces: dict[str, _Pace] = {}

    def delay_ms(self, release_id: str, now_ms: float) -> float:
        """Milliseconds from now. A planned wake is asked for again: an earlier one may have used it
        up before this change came."""
        pace = self._paces.get(release_id)
        if pace is None or now_ms - pace.last > 2 * pace.spacing:
            self._paces[release_id] = _Pace(now_ms, now_ms + self._first_ms, self._spacing_ms)
            return self._first_ms
        if pace.last > now_ms:
            return pace.last - now_ms
        at = max(now_ms, pace.last + pace.spacing)
        growth = GROWTH if at - pace.began > FAST_PACE_MS else 1.0
        self._paces[release_id] = _Pace(
            pace.began, at, min(pace.spacing * growth, self._longest_ms)
        )
        return at - now_ms

    def keep(self, release_ids: Collection[str]) -> None:
        self._paces = {name: pace for name, pace in self._paces.items() if name in release_ids}


def card_pacer() -> Pacer:
    """For changes that only move the card."""
    return Pacer(CARD_SPACING_MS, first_ms=CARD_SPACING_MS, longest_ms=LONGEST_CARD_SPACING_MS)


@dataclass(frozen=True)
class _Changed:
    place: Place
    urgent: bool


@dataclass
class _Pending:
    """A change that was reported. ``woken``: the releases that it has woken."""

    since: float
    woken: set[str] = field(default_factory=set)


class Nudger:
    """Collects places and wakes the releases they concern; an unavailable Redis loses none of them.

    A place is done once the list of running releases was read after it changed: a release that is
    younger than the list must not miss what happened to it meanwhile. ``clock`` gives seconds.
    """

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._pacers = {
            True: Pacer(),
            False: card_pacer(),
        }
        self._pending: dict[_Changed, _Pending] = {}
        self._noticed: list[tuple[str, Change]] = []
        self._running: dict[str, Release] = {}
        self._read_at = float("-inf")

    def take(self, cluster: str, change: Change) -> None:
        place = Place(cluster, change.namespace, change.deployment, change.service)
        self._pending[_Changed(place, change.urgent)] = _Pending(self._clock())
        if change.outside_change is not None or change.seen is not None:
            self._noticed.append((cluster, change))

    def nudge(self) -> None:
        """Raises StoreUnavailable; the next call then reports the rest."""
        while self._noticed:
            cluster, noticed = self._noticed[0]
            name = noticed.deployment or noticed.service
            subject = Subject(cluster, noticed.namespace, noticed.kind, name)
            notice_change(self._context, subject, noticed.outside_change, noticed.seen)
            del self._noticed[0]
        for changed, change in tuple(self._pending.items()):
            if self._read_at <= change.since and self._clock() - self._read_at >= READ_EVERY_S:
                read_at = self._clock()
                self._running = dict(self._read())
                self._read_at = read_at
                for pacer in self._pacers.values():
                    pacer.keep(self._running)
            self._wake(changed, change)
            if self._read_at > change.since:
                del self._pending[changed]

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def _wake(self, changed: _Changed, change: _Pending) -> None:
        pacer = self._pacers[changed.urgent]
        for release in filter(changed.place.concerns, self._running.values()):
            if release.id not in change.woken:
                delay = pacer.delay_ms(release.id, self._clock() * 1000)
                self._context.queue.wake(
                    f"release:{release.id}", self._context.store.now() + round(delay)
                )
                change.woken.add(release.id)

    def _read(self) -> Iterator[tuple[str, Release]]:
        """Where a release works does not change once it has a plan: of a thousand that wait, none
        is read again."""
        for release_id in self._context.store.active_ids():
            release = self._running.get(release_id)
            if release is None or release.plan is None:
                try:
                    release = self._context.store.load(release_id)
                except (KeyError, UnknownSchema):
                    continue  # over by now, or a newer version's, whose watcher knows it
            yield release_id, release


def watch_clusters(
    context: Context,
    beat: Callable[[], None],
    report: Callable[[], None] = lambda: None,
    report_every_s: float = REPORT_EVERY_S,
) -> None:
    """The watcher's whole life: until a signal, or until one of its threads ends by a defect.
    ``report``: brings what was counted to Redis."""
    stop = StopSignal().on_signals()
    inbox: queue.SimpleQueue[tuple[str, Change]] = queue.SimpleQueue()
    nudger, absence = Nudger(context), Absence()
    clusters = cast(
        KubernetesClusters, context.clusters
    )  # watching is no part of the port: nothing else does it
    remembered = _remembered(context, stop, beat, absence)
    with ExitStack() as stack:
        watchers: list[Watcher] = []
        searches: list[WatchedNamespaces] = []
        for name in clusters.names():
            apps = context.catalog.apps.values()
            namespaces = sorted({a.target.namespace for a in apps if a.target.cluster == name})
            on_change = partial(_put, inbox, name)
            watcher = clusters[name].watch(namespaces, on_change, remembered.get(name))
            watchers.append(stack.enter_context(watcher))
            if context.catalog.watch.is_in(name):
                search = WatchedNamespaces(
                    name, clusters[name].namespaces, context.catalog.watch, namespaces
                )
                searches.append(stack.enter_context(search))
        reported_at = time.monotonic()
        while not stop():
            beat()
            if time.monotonic() - reported_at > report_every_s:
                reported_at = time.monotonic()
                report()
            _collect(inbox, nudger)
            try:
                found = _of_found(context, clusters, searches, inbox)
                watchers.extend(map(stack.enter_context, found))
                nudger.nudge()
            except StoreUnavailable as error:
                absence.wait(error)
            else:
                absence.is_over()
            threads: list[Watcher | WatchedNamespaces] = [*watchers, *searches]
            if not all(one.is_alive for one in threads):
                raise SystemExit(1)


def _of_found(
    context: Context,
    clusters: KubernetesClusters,
    searches: Sequence[WatchedNamespaces],
    inbox: queue.SimpleQueue[tuple[str, Change]],
) -> Iterator[Watcher]:
    """One for each namespace that was found since, not yet started. Raises StoreUnavailable; the
    next call then gives the rest."""
    for search in searches:
        for namespace in search.found():
            seen = last_seen_in(context, search.cluster, namespace)
            on_change = partial(_put, inbox, search.cluster)
            yield clusters[search.cluster].watch([namespace], on_change, seen, WATCHED_RESOURCES)
            search.take(namespace)


def _remembered(
    context: Context, stop: StopSignal, beat: Callable[[], None], absence: Absence
) -> dict[str, dict[tuple[str, str, str], LastSeen]]:
    """By cluster. Without Redis nobody could be told, so it is waited for."""
    while not stop():
        beat()
        try:
            return last_seen(context)
        except StoreUnavailable as error:
            absence.wait(error)
    return {}


def _put(inbox: queue.SimpleQueue[tuple[str, Change]], cluster: str, change: Change) -> None:
    inbox.put((cluster, change))


def _collect(inbox: queue.SimpleQueue[tuple[str, Change]], nudger: Nudger) -> None:
    """Waits for one change, then takes all that are there."""
    try:
        nudger.take(*inbox.get(timeout=READ_EVERY_S if nudger.has_pending else COLLECT_EVERY_S))
        while True:
            nudger.take(*inbox.get_nowait())
    except queue.Empty:
        return


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="pilothouse watcher", description="Watches the clusters and wakes releases."
    )
    parser.parse_args(argv)
    try:
        live = LiveConfiguration("watcher")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    configure_logging(live.settings.log_level, live.settings.log_format)
    board = Board()

    def roles(settings: Settings, file: CatalogSettings) -> list[WorkerRole]:
        context = make_context(settings, file)
        report = report_of(settings.redis_url)
        watch = partial(watch_clusters, context, partial(board.beat, "watcher"), report)
        # It may be the one that reports for all: so it knows all queues and budgets.
        lanes, budgets = lanes_of(context.catalog), budgets_of(context.catalog)
        return [WorkerRole("watcher", watch), *metrics_roles(settings, board, lanes, budgets)]

    first = roles(live.settings, live.catalog)
    return Supervisor(first, board, renewal(live, board, roles)).run()
