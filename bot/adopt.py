"""`pilothouse adopt`: finds the claims that are left in the clusters of releases that Redis no
longer knows, and ends those that a person names.

A claim keeps every other release away from its Deployment. After Redis was lost, or restored from
an older copy, nobody would ever end it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from bot.cluster import KubernetesClusters
from bot.configuration import Unconfigured, load_configuration
from bot.operations.bind_catalog import bind_catalog
from bot.ports import (
    Cluster,
    ClusterUnreachable,
    PreconditionFailed,
    Refused,
    StoreUnavailable,
    UnknownSchema,
)
from bot.releases.facts.actions import DeleteDeployment, FieldChange, PatchDeployment
from bot.releases.facts.ages import human_age
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import DeploymentSeen
from bot.releases.facts.target import Strategy, Target, default_candidate_name
from bot.store import RedisReleaseStore, connect
from bot.wiring import addresses, installation_of

AT_WORK_MS = 600_000
"""Another installation whose release was here this recently may still be at work."""
MANAGER = "pilothouse"


@dataclass(frozen=True)
class Left:
    """A Deployment whose claim belongs to no release that Redis knows. ``removes``: it is a canary
    beside a stable that serves, and goes with its claim."""

    target: Target
    deployment: DeploymentSeen
    removes: bool
    written_at: int

    def why_not(self, ours: Collection[str], now: int) -> str:
        """Why it must not be ended, "" where it may. What carries our mark has no release at work:
        Redis would know it."""
        whose = self.deployment.installation
        if whose in ours:
            return ""
        if whose:
            return (
                f"it belongs to the installation {whose}: end it there, or name that with --of"
                " where this one had another bot token before"
            )
        if self.may_be_at_work(now):
            ago, wait = human_age(now - self.written_at), human_age(AT_WORK_MS)
            return (
                f"a Pilothouse wrote it {ago} ago and may still be at work: wait until it has"
                f" been left alone for {wait}"
            )
        return ""

    @property
    def uid(self) -> str:
        return self.deployment.uid

    def may_be_at_work(self, now: int) -> bool:
        return bool(self.written_at) and now - self.written_at < AT_WORK_MS

    def line(self, now: int) -> str:
        target, item = self.target, self.deployment
        ago = f"{human_age(now - self.written_at)} ago" if self.written_at else "at an unknown time"
        follows = "the canary is deleted" if self.removes else "the claim is removed"
        whose = item.installation or "an unknown installation"
        return (
            f"{item.uid}  {target.cluster}/{target.namespace} {item.name}: claim {item.claim} of"
            f" {whose}, {item.replicas} replicas, last written by Pilothouse {ago}; ended,"
            f" {follows}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 for what could not be read or ended; 2 for mistakes in the settings."""
    parser = argparse.ArgumentParser(
        prog="pilothouse adopt",
        description="List claims of releases that Redis no longer knows, and end those you name.",
    )
    parser.add_argument("--end", nargs="+", metavar="UID", default=[], help="end these claims")
    parser.add_argument(
        "--of", nargs="+", metavar="INSTALLATION", default=[], help="these are ours too"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before each")
    given = parser.parse_args(argv)
    try:
        settings, file = load_configuration("worker")
    except Unconfigured as mistakes:
        print(mistakes, file=sys.stderr)
        return 2
    mine = installation_of(settings)
    clusters = KubernetesClusters(addresses(file), installation=mine)
    store, now = RedisReleaseStore(connect(settings.redis_url)), round(time.time() * 1000)
    try:
        store.now()
        left = [
            one
            for app in bind_catalog(file).apps.values()
            for one in find_left(clusters[app.target.cluster], app.target, knows(store))
        ]
    except (StoreUnavailable, ClusterUnreachable, Refused) as away:
        print(away, file=sys.stderr)
        return 1
    if not given.end:
        return _list(left, now, mine)
    named = {one.uid: one for one in left}
    asks = (lambda _line: True) if given.yes else _confirm
    ours = (mine, *given.of)
    ended = [_end_named(clusters, named.get(uid), uid, ours, now, asks) for uid in given.end]
    return 0 if all(ended) else 1


def knows(store: RedisReleaseStore) -> Callable[[str], bool]:
    """Whether Redis has that release; a record of a newer version counts."""

    def known(claim: str) -> bool:
        try:
            store.load(claim)
        except KeyError:
            return False
        except UnknownSchema:
            return True
        return True

    return known


def find_left(cluster: Cluster, target: Target, known: Callable[[str], bool]) -> Iterator[Left]:
    """Raises ClusterUnreachable, Refused."""
    canary = default_candidate_name(target, Strategy.CANARY)
    for strategy in (Strategy.CANARY, Strategy.BLUEGREEN):
        name = default_candidate_name(target, strategy)
        seen = cluster.observe(target, candidate=name)
        stable = seen.stable
        serves = stable is not None and stable.available > 0
        here = (stable, seen.candidate) if strategy is Strategy.CANARY else (seen.candidate,)
        for item in here:
            if item is None or not item.claim or known(item.claim):
                continue
            times = [at for manager, _, at in item.written_at if manager == MANAGER]
            yield Left(target, item, serves and item.name == canary, max(times, default=0))


def end(cluster: Cluster, left: Left) -> None:
    """The patch tests uid and claim, and a deletion the uid, so nothing newer is ever touched.
    Raises PreconditionFailed, Refused, ClusterUnreachable."""
    item = left.deployment
    change = FieldChange(Field.CLAIM, item.claim, None)
    cluster.apply(left.target, PatchDeployment(item.name, item.uid, item.claim, (change,)))
    if left.removes:
        cluster.apply(left.target, DeleteDeployment(item.name, item.uid))


def _list(left: Sequence[Left], now: int, mine: str) -> int:
    for one in left:
        print(one.line(now))
    if left:
        print(
            f"This installation is {mine}. Leave the claims of others, and those of an unknown"
            " installation if another Pilothouse works in these namespaces.\n"
            "End a claim with: pilothouse adopt --end UID"
        )
    else:
        print("no claims are left of releases that Redis does not know")
    return 0


def _end_named(
    clusters: KubernetesClusters,
    left: Left | None,
    uid: str,
    ours: Collection[str],
    now: int,
    confirm: Callable[[str], bool],
) -> bool:
    if left is None:
        print(f"{uid}: no such claim; list them with `pilothouse adopt`", file=sys.stderr)
        return False
    if why_not := left.why_not(ours, now):
        print(f"{uid}: {why_not}", file=sys.stderr)
        return False
    if not confirm(left.line(now)):
        return False
    try:
        end(clusters[left.target.cluster], left)
    except (PreconditionFailed, Refused, ClusterUnreachable) as failed:
        print(f"{uid}: {failed}", file=sys.stderr)
        return False
    print(f"ended: {left.deployment.claim} on {left.deployment.name}")
    return True


def _confirm(line: str) -> bool:
    print(line)
    return input("End it? Type yes: ").strip().lower() == "yes"
