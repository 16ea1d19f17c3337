"""The named points of a tick, and a way to die exactly there: wrappers around the ports that a
release's job uses.

What is armed is kept in Redis, so that a test can arm running processes and see where they died.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from redis import Redis

from bot.operations.context import Context
from bot.ports import Cluster, Clusters, ReleaseStore
from bot.releases.facts.actions import Action
from bot.releases.facts.observation import Observation, Written
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target

POINTS = (
    "before observe",
    "after observe",
    "before save",
    "after save",
    "before action",
    "after action",
    "before wake",
    "after wake",
)
ONCE = "points:once"  # the name of one point: the first job that reaches it dies
ALWAYS = (  # app -> point: every tick of its releases dies there once
    "points:always"
)
DIED = "points:died"
TICKED = "points:ticked"  # release -> when its last whole tick ended, milliseconds of Redis TIME
RAN = "points:ran"  # process of a worker -> whole ticks of releases in it
Reach = Callable[[str], None]


class Points:
    """One job's progress through its points. A death is recorded before it happens, so that the
    same tick dies only once at a point."""

    def __init__(self, redis: Redis, release_id: str) -> None:
        self._redis = redis
        self._id = release_id
        self._app = release_id.rpartition("-")[0]
        self._state = ""
        self._actions = 0

    def loaded(self, release: Release) -> None:
        """What a repeated tick finds again; not the record's version, since each tick saves what it
        is about to write."""
        gate = release.progress.gate.gate if release.progress.gate else ""
        leg = "forward" if release.rollback is None else "back"
        done = "".join(f"{intent.written:d}{intent.confirmed:d}" for intent in release.intents)
        self._state = f"{release.phase.value}:{leg}:{release.progress.at_step}:{gate}:{done}"

    def reach(self, point: str) -> None:
        if point == "after action":
            self._actions += 1
        if self._redis.get(ONCE) == point.encode() and self._redis.delete(ONCE):
            self._die(point)
        if self._redis.hget(ALWAYS, self._app) == point.encode():
            self._die(point)

    def _die(self, point: str) -> None:
        if self._redis.sadd(DIED, f"{point}|{self._id}|{self._state}|{self._actions}"):
            os.kill(os.getpid(), signal.SIGKILL)


class PointedCluster:
    def __init__(self, cluster: Cluster, reach: Reach) -> None:
        self._cluster = cluster
        self._reach = reach

    def observe(
        self,
        target: Target,
        *,
        candidate: str,
        or_candidate: str = "",
        extra_services: Sequence[str] = (),
        autoscaler: str = "",
        survey: bool = False,
        events: bool = False,
    ) -> Observation:
        self._reach("before observe")
        seen = self._cluster.observe(
            target,
            candidate=candidate,
            or_candidate=or_candidate,
            extra_services=extra_services,
            autoscaler=autoscaler,
            survey=survey,
            events=events,
        )
        self._reach("after observe")
        return seen

    def apply(self, target: Target, action: Action) -> Written | None:
        self._reach("before action")
        written = self._cluster.apply(target, action)
        self._reach("after action")
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)


class PointedClusters:
    def __init__(self, clusters: Clusters, reach: Reach) -> None:
        self._clusters = clusters
        self._reach = reach

    def __getitem__(self, name: str) -> Cluster:
        return cast(Cluster, PointedCluster(self._clusters[name], self._reach))

    def names(self) -> tuple[str, ...]:
        return self._clusters.names()


class PointedStore:
    def __init__(self, store: ReleaseStore, points: Points) -> None:
        self._store = store
        self._points = points

    def load(self, release_id: str) -> Release:
        release = self._store.load(release_id)
        self._points.loaded(release)
        return release

    def save(self, *arguments: Any, **named: Any) -> Release:
        self._points.reach("before save")
        saved = self._store.save(*arguments, **named)
        self._points.reach("after save")
        return saved

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def now_ms(redis: Redis) -> int:
    seconds, microseconds = redis.time()
    return seconds * 1000 + microseconds // 1000


def armed(context: Context, points: Points) -> Context:
    store = cast(ReleaseStore, PointedStore(context.store, points))
    return replace(context, store=store, clusters=PointedClusters(context.clusters, points.reach))
