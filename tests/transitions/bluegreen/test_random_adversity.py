"""Random trouble, many times: whatever comes together, no write of ours empties a Service, and the
release comes to an end.

What is checked at each write is what Kubernetes would show: the ready pods that each Service
selects, before it and after it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bot.releases.engine.decide import decide
from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import respond
from bot.releases.facts.actions import Action
from bot.releases.facts.observation import Unreachable
from bot.releases.facts.release import Phase
from bot.releases.facts.requests import Abort, Adopt, Approve, Finish, Pause, Request, Resume
from tests.builders import DEVELOPER, MANAGER, MINUTE, SECOND
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import Refused
from tests.transitions.bluegreen.walk import Walk, keeps_promises
from tests.variations import quick

SCENES = (
    scenes.plain,
    scenes.by_version_label,
    scenes.two_services,
    scenes.one_replica_without_surge,
    scenes.with_probe,
    scenes.hand_made_pair,
    scenes.kept,
)
TROUBLE_FOR, CALM_FOR = 60, 400


class Troubled:
    def __init__(self, walk: Walk, chance: random.Random) -> None:
        self.walk, self.chance = walk, chance
        self.log: list[str] = []
        walk.cluster.faulty = True

    def tick(self, *, dies: bool = False) -> None:
        walk, cluster = self.walk, self.walk.cluster
        seen = walk.look()
        decision = decide(walk.release, seen, walk.now)
        walk.release = decision.release
        for action in () if dies else decision.actions:
            keeps_promises(walk.release, seen, action)
            self._apply(action)
        cluster.beat()
        walk.now += SECOND

    def _apply(self, action: Action) -> None:
        cluster = self.walk.cluster
        before = {
            name: cluster.selected(name)
            for name in cluster.app_services
            if name in cluster.services
        }
        try:
            cluster.apply(action)
        except Refused:
            return
        self.log.append(
            f"{action.kind} {action.name} {[c.after for c in getattr(action, 'changes', ())]}"[:160]
        )
        for name, pods in before.items():
            assert not pods or cluster.selected(name), (
                f"emptied {name} by {action.kind} {action.name}\n" + "\n".join(self.log[-25:])
            )

    def ask(self, request: Request) -> None:
        answer = respond(self.walk.release, request, self.walk.now)
        if not answer.refusal:
            self.log.append(
                f"asked {request.kind} in {self.walk.release.phase.value} {self.walk.step}"
            )
            self.walk.release = answer.release

    def approve(self) -> None:
        gate, plan = open_gate(self.walk.release), self.walk.release.plan
        if gate is not None and plan is not None:
            self.ask(Approve(MANAGER, gate.name, plan.hash))

    def trouble(self) -> None:
        """One mishap or request, drawn at random; an approval where it does not apply."""
        match self.chance.randrange(12):
            case 1:
                self.ask(Pause(DEVELOPER))
            case 2 | 3:
                self.ask(Resume(DEVELOPER))
            case 4 if self.chance.random() < 0.3:
                self.ask(Abort(DEVELOPER))
            case 5:
                self.walk.now += MINUTE
                self.ask(Finish(MANAGER))
            case 7:
                self.tick(dies=True)
            case 9 if self.chance.random() < 0.5:
                self.ask(Adopt(DEVELOPER))
            case number:
                if not self.befall(number):
                    self.approve()

    def befall(self, number: int) -> bool:
        """Something that happens to the cluster. False: nothing happened."""
        walk, chance, cluster = self.walk, self.chance, self.walk.cluster
        match number:
            case 0:
                pods = [pod for item in cluster.deployments.values() for pod in item.pods()]
                for pod in chance.sample(pods, min(len(pods), chance.randrange(1, 4))):
                    pod.ready = False
                self.log.append("pods not ready")
            case 6:
                walk.release = decide(walk.release, Unreachable(walk.now, "away"), walk.now).release
            case 8 if chance.random() < 0.3:
                name = chance.choice(cluster.app_services)
                labels = [
                    item.template["metadata"]["labels"] for item in cluster.deployments.values()
                ]
                cluster.select(name, dict(chance.choice(labels)))
                self.log.append(f"selector of {name} by hand")
            case 10 if "hello-green" in cluster.deployments and chance.random() < 0.2:
                cluster.deployments["hello-green"].replicas = chance.randrange(0, 5)
                self.log.append("green scaled by hand")
            case _:
                return False
        return True


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("seed", quick(range(8), at_most=2))
def test_no_write_empties_a_service_and_every_release_ends(
    scene: Callable[[], Walk], seed: int
) -> None:
    troubled = Troubled(scene(), random.Random(f"{scene.__name__} {seed}"))
    walk = troubled.walk
    for _ in range(TROUBLE_FOR):
        if walk.release.phase.is_final:
            return
        troubled.trouble()
        troubled.tick()
    for _ in range(CALM_FOR):  # people see to it: what drifted is kept, what waits is approved
        if walk.release.phase.is_final:
            return
        if walk.release.phase is Phase.DRIFTED:
            troubled.ask(Adopt(DEVELOPER))
        troubled.ask(Resume(DEVELOPER))
        troubled.approve()
        troubled.tick()
        if walk.release.phase is Phase.HOLDING:
            walk.now += MINUTE
    raise AssertionError(
        f"no end: {walk.release.phase} {walk.step}\n" + "\n".join(troubled.log[-25:])
    )
