"""An app whose autoscaler shrinks blue while green serves."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.facts.actions import PatchDeployment
from bot.releases.facts.intent import Field
from bot.releases.facts.observation import AutoscalerSeen, Survey
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk

ON_BLUE = {"app": "hello"}
VERSIONED = {"app": "hello", "version": "1.0.0"}


class Autoscaled:
    """Twenty pods of blue, which an autoscaler shrinks to two as soon as green serves.

    ``fights``: it takes back every raise that it observes.
    """

    def __init__(
        self, *, fights: bool = False, by_version: bool = False, may_raise_minimum: bool = False
    ) -> None:
        survey = Survey(autoscalers=(AutoscalerSeen("hello-hpa", "hello", 2, 20),))
        cluster = ModelledCluster(
            scenes.a_blue(scenes.VERSIONED, replicas=20),
            services={"hello": VERSIONED if by_version else ON_BLUE},
            survey=survey,
        )
        label = "version" if by_version else None
        release = scenes.a_release_of(version_label=label)
        if may_raise_minimum:
            release = replace(
                release, rules=replace(release.rules, autoscaler_min_replicas="raise")
            )
        self.walk = Walk(cluster, release)
        self.fights = fights

    def least(self) -> int:
        return self.walk.cluster.autoscalers["hello-hpa"].min_replicas

    def to_the_window(self) -> Walk:
        self.walk.to_step("switch", gate="window")
        self.walk.cluster.faulty = True  # it is the autoscaler that takes pods of stable away
        self.shrink()
        return self.walk

    def shrink(self) -> None:
        self.walk.cluster.deployments["hello"].replicas = self.least()
        self.walk.cluster.beat()

    def tick(self) -> None:
        """Asserts that no write hands the Service to fewer pods than served."""
        walk = self.walk
        before = walk.cluster.services["hello"].selector
        serving = len(walk.cluster.selected("hello"))
        walk.tick()
        if walk.cluster.services["hello"].selector != before:
            assert len(walk.cluster.selected("hello")) >= serving
        is_idle = walk.cluster.deployments["hello"].replicas > self.least() and not self.is_blue()
        if self.fights and is_idle:
            self.shrink()

    def is_blue(self) -> bool:
        return self.walk.cluster.services["hello"].selector == ON_BLUE

    def to_the_end(self) -> Walk:
        while not self.walk.release.phase.is_final:
            self.tick()
        return self.walk

    def ticks(self, count: int) -> Walk:
        for _ in range(count):
            self.tick()
        return self.walk


def raises(walk: Walk) -> list[int]:
    return [
        change.after
        for one in walk.written
        if isinstance(one, PatchDeployment) and one.name == "hello"
        for change in one.changes
        if change.field is Field.REPLICAS
    ]
