"""Every write of a blue/green release fails once, in each way a write can; the next tick finishes
or undoes it.

The real adapter and operation against an API server; only time is the test's, so that half a minute
of draining takes none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from bot.cluster import KubernetesCluster
from bot.operations.context import Catalog, Context
from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.policy.permissions import Access, Grant, Role
from bot.releases.facts.actions import (
    Action,
    CreateDeployment,
    CreateService,
    DeleteDeployment,
    DeleteService,
)
from bot.releases.facts.observation import Written
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort
from bot.releases.facts.target import Target
from bot.slack.blocks.rendering import SlackRendering
from sandbox.cluster import SimulatedCluster
from tests.builders import DEVELOPER, T0, a_bluegreen, a_target, rules_with
from tests.conftest import eventually
from tests.contracts.cluster_port.conftest import Lab
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore

Json = dict[str, Any]
SECOND_RUN = "kelseyhightower/hello:2.0.0"


class WorkerDied(Exception):
    """The process dies during a tick: nothing after it happens."""


class StumblingCluster(KubernetesCluster):
    """Each write meets its mishap when it is first tried, and no other."""

    def __init__(self, kubeconfig: Path, mishap: Callable[[Callable[[], object]], None]) -> None:
        super().__init__(kubeconfig=str(kubeconfig))
        self._mishap = mishap
        self.stumbles = False
        self.tried: list[str] = []
        self.clock: Callable[[], int | None] = super().server_time

    def server_time(self) -> int | None:
        return self.clock()

    def apply(self, target: Target, action: Action) -> Written | None:
        match action:
            case CreateDeployment() | CreateService() | DeleteDeployment() | DeleteService():
                named = f"{action.kind} {action.name}"
            case _:
                named = (
                    f"{action.kind} {action.name}"
                    f" {[(c.field.value, c.after) for c in action.changes]}"
                )
        if self.stumbles and named not in self.tried:
            self.tried.append(named)
            self._mishap(lambda: super(StumblingCluster, self).apply(target, action))
            return None
        return super().apply(target, action)


@dataclass
class Desk:
    """One release of the lab's app. ``skipped``: milliseconds that the test skipped."""

    lab: Lab
    cluster: StumblingCluster
    skipped: int = 0
    found: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = InMemoryReleaseStore(clock=lambda: T0 + self.skipped)
        self.cluster.clock = self.store.now  # both clocks skip what the test skips
        unused = cast(Any, None)
        access = Access(frozenset(), {Role.DEPLOYER: Grant(users=frozenset({DEVELOPER.user}))})
        catalog = Catalog({}, ("local",), access)
        clusters = cast(Any, {"local": self.cluster})
        self.context = Context(
            self.store,
            self.store.queue,
            clusters,
            unused,
            InMemoryDirectory(),
            catalog,
            SlackRendering(),
            unused,
        )
        self.found = self.specs()

    def specs(self) -> Json:
        return copy.deepcopy(
            {
                plural: self.lab.read(plural, "hello")["spec"]
                for plural in ("deployments", "services")
            }
        )

    def start(self, settle: str) -> str:
        bluegreen = {"rollback_window_ms": 30_000, "promote": "automatic", "settle": settle}
        release = a_bluegreen(
            target=a_target(container="hello"), rules=rules_with(bluegreen=bluegreen)
        )
        return self.store.create(release, dedup_key="", same_as="", operation="test").release.id

    def tick(self, release_id: str) -> Release:
        """A worker's tick, or its death; then checks who serves."""
        wake: int | None = None
        try:
            wake = advance_release(self.context, release_id)
        except WorkerDied:
            pass
        serving = [
            one
            for one in self.lab.observe("hello-green").endpoints
            if one.ready and not one.terminating
        ]
        assert serving, f"nobody is behind the Service after {self.cluster.tried[-1:]}"
        release = self.store.load(release_id)
        # time passes only for a wait that needs nothing else
        self.skipped += (
            max(0, wake - self.store.now())
            if wake is not None and release.phase is Phase.HOLDING
            else 250
        )
        return release

    def until(self, release_id: str, *phases: Phase) -> Release:
        assert eventually(lambda: self.tick(release_id).phase in phases, within_s=30), (
            self.store.load(release_id)
        )
        return self.store.load(release_id)


def mishaps(simulation: SimulatedCluster) -> dict[str, Callable[[Callable[[], object]], None]]:
    def dies_before(_write: Callable[[], object]) -> None:
        raise WorkerDied

    def dies_after(write: Callable[[], object]) -> None:
        write()
        raise WorkerDied

    def meets(**fault: Any) -> Callable[[Callable[[], object]], None]:
        def met(write: Callable[[], object]) -> None:
            simulation.plan_fault(methods="writes", **fault)
            write()

        return met

    return {
        "the request is lost": meets(kind="reset_before"),
        "the reply is lost": meets(kind="reset_after"),
        "the server is in trouble": meets(kind="error", code=503),
        "the worker dies before it": dies_before,
        "the worker dies after it": dies_after,
    }


MISHAPS = (
    "the reply is lost",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "the request is lost",
            "the server is in trouble",
            "the worker dies before it",
            "the worker dies after it",
        )
    ),
)


@pytest.fixture
def desk(lab: Lab, simulation: SimulatedCluster, request: pytest.FixtureRequest) -> Desk:
    return Desk(
        lab,
        StumblingCluster(lab.kubeconfig, mishaps(simulation)[request.getfixturevalue("mishap")]),
    )


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_release_finishes_even_if_every_write_fails_once(desk: Desk, mishap: str) -> None:
    desk.cluster.stumbles = True
    release_id = desk.start("roll")
    release = desk.until(
        release_id, Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED
    )
    assert release.phase is Phase.SUCCEEDED, release.cause
    assert len(desk.cluster.tried) >= 8, desk.cluster.tried
    wanted = desk.found
    wanted["deployments"]["template"]["spec"]["containers"][0]["image"] = SECOND_RUN
    assert desk.specs() == wanted
    assert desk.lab.observe("hello-green").candidate is None


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_rollback_finishes_even_if_every_write_fails_once(desk: Desk, mishap: str) -> None:
    release_id = desk.start("roll")
    desk.until(release_id, Phase.HOLDING)
    desk.cluster.stumbles = True
    control_release(desk.context, release_id, Abort(DEVELOPER), "")
    release = desk.until(release_id, Phase.ROLLED_BACK, Phase.ABORTED)
    assert release.phase is Phase.ROLLED_BACK
    assert len(desk.cluster.tried) >= 3, desk.cluster.tried
    assert desk.specs() == desk.found
    assert desk.lab.observe("hello-green").candidate is None


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_kept_pair_finishes_even_if_every_write_fails_once(desk: Desk, mishap: str) -> None:
    desk.cluster.stumbles = True
    release_id = desk.start("keep")
    release = desk.until(
        release_id, Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ABORTED, Phase.FAILED
    )
    assert release.phase is Phase.SUCCEEDED, release.cause
    seen = desk.lab.observe("hello-green")
    assert seen.candidate is not None
    assert (seen.stable.claim if seen.stable else "", seen.candidate.claim) == ("", "")
    assert seen.services[0].selector != desk.found["services"]["selector"]
