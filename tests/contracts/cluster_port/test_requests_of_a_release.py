"""How much a whole release asks of the API server: ticked as a worker ticks it, woken by the watch,
on the simulated cluster, which counts."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bot.cluster import KubernetesCluster
from bot.cluster.watch import Change
from bot.operations.context import App, Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.check_start import check_start
from bot.operations.lifecycle.draft_release import Draft
from bot.policy.permissions import Access, Grant, Role
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from jobs.watcher import Nudger
from sandbox.cluster import SimulatedCluster
from tests.builders import DEVELOPER, a_canary, a_release, a_target, rules_with
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab, deployment, service
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore

AGENT = "pilothouse"
RELEASES = {
    "canary": (
        a_canary(
            rules=rules_with(canary={"hold_ms": 0, "promote": "automatic", "steps": (20, 50)})
        ),
        60,
    ),
    "rolling": (a_release(), 30),
}


def requests_of(cluster: SimulatedCluster) -> int:
    """Without the long-lived watches."""
    counts = cluster.core.server.requests_of.get(AGENT, {})
    return sum(number for verb, number in counts.items() if verb != "WATCH")


def run_to_the_end(
    cluster: KubernetesCluster,
    draft: Release,
    meanwhile: Callable[[Release], object] = lambda _: None,
) -> Release:
    """``meanwhile``: called between the ticks."""
    store = InMemoryReleaseStore()
    access = Access(frozenset(), {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
    unused = cast(Any, None)
    context = Context(
        store,
        store.queue,
        cast(Any, {"local": cluster}),
        unused,
        InMemoryDirectory(),
        Catalog({}, ("local",), access),
        SlackRendering(),
        unused,
    )
    changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
    nudger = Nudger(context)
    app = App(draft.target, draft.rules, "C0RELEASES", Strategy.ROLLING)
    checked = check_start(context, app, draft.change, by=draft.requested_by, text=draft.command)
    assert isinstance(checked, Draft)
    created = store.create(
        replace(draft, id="", created_at=store.now()), dedup_key="", same_as="", operation="create"
    )
    first = advance_release(context, created.release.id, checked)
    store.queue.wake(f"release:{created.release.id}", first or 0)
    wake_id = f"release:{created.release.id}"

    def is_over() -> bool:
        while not changes.empty():
            nudger.take("local", changes.get())
        nudger.nudge()
        if store.queue.due.get(wake_id, store.now() + 1) <= store.now():
            del store.queue.due[wake_id]
            next_wake = advance_release(context, created.release.id)
            if next_wake is not None:
                store.queue.wake(wake_id, next_wake)
        release = store.load(created.release.id)
        meanwhile(release)
        return release.phase.is_final

    with cluster.watch([draft.target.namespace], changes.put) as watcher:
        assert eventually(lambda: watcher.is_synced)
        assert eventually(is_over)
    return store.load(created.release.id)


@pytest.mark.parametrize("strategy", RELEASES)
def test_a_release_of_five_pods_asks_little(tmp_path: Path, strategy: str) -> None:
    draft, most = RELEASES[strategy]
    target = a_target(container="hello")
    with SimulatedCluster(ready_after=0.2, jitter=0.02, stop_after=0.05) as simulation:
        kubeconfig = simulation.kubeconfig(tmp_path / "kubeconfig")
        lab = Lab(KubernetesCluster(kubeconfig=str(kubeconfig)), "default", kubeconfig)
        lab.create("deployments", deployment(replicas=5))
        lab.create("services", service())
        lab.settled()
        before = requests_of(simulation)
        ended = run_to_the_end(
            KubernetesCluster(kubeconfig=str(kubeconfig)), replace(draft, target=target)
        )
        watch_lists = 5
        asked = requests_of(simulation) - before - watch_lists
    assert ended.phase is Phase.SUCCEEDED, ended.cause
    assert asked <= most, asked
