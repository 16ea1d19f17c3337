"""What happens to an installation from outside: parts that go away, and others who write."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.releases.facts.intent import Field
from bot.releases.facts.observation import CLAIM_ANNOTATION
from tests.builders import REPOSITORY
from tests.simulation.other_versions import as_newer, as_older
from tests.transitions.bluegreen.modelled_cluster import Deployment, ModelledCluster

if TYPE_CHECKING:
    from tests.simulation.world import World

FIELDS = {
    "replicas": Field.REPLICAS,
    "template": Field.TEMPLATE,
    "paused": Field.PAUSED,
    "annotations": Field.CLAIM,
}


@dataclass
class Troubles:
    chance: random.Random
    world: World
    names: Sequence[str] = ()

    def cause(self) -> None:
        name = self.chance.choice(self.names or TROUBLES)
        happens = self.world.disturbances.happens(name)
        stream = random.Random(self.chance.getrandbits(64))
        if not happens:
            return
        self.world.fates.note(name)
        self.world.trace.add(self.world.scheduler.now, "trouble", name)
        (BY_NAME | MORE)[name](Troubles(stream, self.world))

    def redis_away(self) -> None:
        self._go_away("redis", 20_000)

    def cluster_away(self) -> None:
        self._go_away(self.chance.choice([*self.world.clusters]), 40_000)

    def slack_away(self) -> None:
        self._go_away("slack", 40_000)

    def _go_away(self, address: str, at_most_ms: int) -> None:
        until = self.world.scheduler.now + self.chance.randrange(1_000, at_most_ms)
        self.world.outside.away[address] = until

    def redis_loses_its_last_second(self) -> None:
        self._restart_redis(away_ms=1_000)

    def redis_fails_over(self) -> None:
        """To a server that has not heard of the last moments, and whose clock is another one."""
        self._restart_redis(away_ms=self.chance.randrange(2_000, 8_000), skew_ms=self._skew())

    def redis_clock_jumps(self) -> None:
        self.world.redis_ahead_ms += self._skew()

    def _skew(self) -> int:
        return self.chance.choice((-30_000, -3_000, -500, 500, 3_000, 30_000))

    def _restart_redis(self, *, away_ms: int, skew_ms: int = 0) -> None:
        remembered = self.world.redis.remember()
        self.world.judge.on_remembered()

        def restart() -> None:
            self.world.redis.go_back(remembered)
            self.world.judge.on_lost_second()
            self.world.redis_ahead_ms += skew_ms
            self.world.outside.away["redis"] = self.world.scheduler.now + away_ms

        self.world.scheduler.spawn("redis", restart, after_ms=self.chance.randrange(1, 1_000))

    def watch_is_lost(self) -> None:
        """410 Gone, again and again: at last the watcher lists everything anew."""
        world, lasts = self.world, self.chance.randrange(5_000, 40_000)
        world.watch_is_lost_until = max(world.watch_is_lost_until, world.scheduler.now + lasts)

        def list_anew() -> None:
            for namespace in world.namespaces:
                world.changed(namespace)

        world.scheduler.spawn("watch", list_anew, after_ms=lasts)

    def watch_breaks(self) -> None:
        """Resumed from the version that it had reached."""
        watch = self.world.watches[self.chance.choice([*self.world.watches])]
        watch.is_broken = True
        lasts = self.chance.randrange(1_000, 60_000)
        self.world.scheduler.spawn("watch", watch.resume, after_ms=lasts)

    def older_version_saves(self) -> None:
        """A worker of the version before has saved every record last."""
        self.world.redis.rewrite(lambda _release_id, document: as_older(document))

    def newer_version_saves(self) -> None:
        """A worker of the next version has saved some record, and leaves."""

        def newer(release_id: str, document: bytes) -> bytes:
            if self.chance.random() < 0.5:
                return document
            self.world.newer.add(release_id)
            return as_newer(document)

        self.world.redis.rewrite(newer)

    def worker_dies(self) -> None:
        name = self.chance.choice([*self.world.processes])
        self.world.scheduler.kill(self.world.processes[name])

    def _any(self) -> tuple[str, ModelledCluster, Deployment]:
        namespace = self.chance.choice([*self.world.apps])
        model = self.world.namespaces[namespace].model
        return namespace, model, self.chance.choice([*model.deployments.values()])

    def _write(
        self, field_name: str, value: Callable[[Deployment], Any], manager: str = "kubectl-edit"
    ) -> None:
        namespace, _, item = self._any()
        self._set(namespace, item, field_name, value=value(item), manager=manager)

    def _set(
        self,
        namespace: str,
        item: Deployment,
        field_name: str,
        *,
        value: Any,
        manager: str = "kubectl-edit",
    ) -> None:
        self.world.namespaces[namespace].keep()
        model = self.world.namespaces[namespace].model
        at = model.clock() if model.clock is not None else 0
        item.written_by(manager, FIELDS[field_name], getattr(item, field_name), value, at)
        setattr(item, field_name, value)
        item.generation += 1
        self.world.judge.on_other_writer(namespace, item.name, field_name)
        self.world.changed(namespace)

    def others_scale(self) -> None:
        self._write("replicas", lambda _item: self.chance.randrange(1, 6))

    def others_roll(self) -> None:
        version = f"{self.chance.randrange(1, 10)}.0.0"

        def image(item: Deployment) -> Any:
            item.template_manager = "kubectl-set"
            first, *rest = item.template["spec"]["containers"]
            changed = [{**first, "image": f"{REPOSITORY}:{version}"}, *rest]
            return {**item.template, "spec": {**item.template["spec"], "containers": changed}}

        self._write("template", image, "kubectl-set")

    def others_pause(self) -> None:
        """Most see to it later that it rolls again."""
        self._write("paused", lambda item: not item.paused)
        if self.chance.random() < 0.7:
            after = self.chance.randrange(5_000, 60_000)
            self.world.scheduler.spawn("kubectl", self._resume_all, after_ms=after)

    def _resume_all(self) -> None:
        for namespace, there in self.world.namespaces.items():
            for item in there.model.deployments.values():
                if item.paused:
                    self._set(namespace, item, "paused", value=False)

    def gitops_reverts(self) -> None:
        """A controller that holds an app to its repository, for a while."""
        namespace = self.chance.choice([*self.world.apps])
        wanted = self.world.namespaces[namespace].model.deployments.get("hello")
        if wanted is None:
            return
        template = wanted.template

        def synchronise() -> None:
            item = self.world.namespaces[namespace].model.deployments.get("hello")
            if item is not None and item.template != template:
                item.template_manager = "argocd-controller"
                self._set(namespace, item, "template", value=template, manager="argocd-controller")

        for number in range(1, self.chance.randrange(2, 6)):
            self.world.scheduler.spawn("gitops", synchronise, after_ms=number * 10_000)

    def autoscaler_scales(self) -> None:
        namespace = self.chance.choice([*self.world.apps])
        model = self.world.namespaces[namespace].model
        for one in model.autoscalers.values():
            item = model.deployments.get(one.target)
            if item is not None and item.replicas:
                wanted = self.chance.randrange(one.min_replicas, one.max_replicas + 1)
                self._set(
                    namespace, item, "replicas", value=wanted, manager="kube-controller-manager"
                )

    def node_dies(self) -> None:
        """Every third pod of an app is gone, ready or not."""
        namespace = self.chance.choice([*self.world.apps])
        there = self.world.namespaces[namespace]
        there.keep()
        first = self.chance.randrange(3)
        sets = [one for item in there.model.deployments.values() for one in item.sets]
        pods = [pod for one in sets for pod in one.pods][first::3]
        for one in sets:
            one.pods = [pod for pod in one.pods if pod not in pods]
        self.world.judge.on_lost_pods(namespace)
        self.world.changed(namespace)

    def others_unclaim(self) -> None:
        self._write(
            "annotations",
            lambda item: {k: v for k, v in item.annotations.items() if k != CLAIM_ANNOTATION},
        )

    def others_delete_the_candidate(self) -> None:
        namespace, model, _ = self._any()
        for name in [one for one in model.deployments if one != "hello"][:1]:
            self.world.namespaces[namespace].keep()
            del model.deployments[name]
            self.world.judge.on_other_writer(namespace, name, "exists")
            self.world.changed(namespace)

    def pods_fail(self) -> None:
        namespace, _, item = self._any()
        for pod in item.pods()[: self.chance.randrange(1, 3)]:
            pod.ready = False
        self.world.judge.on_lost_pods(namespace)
        self.world.changed(namespace)


MORE: dict[str, Callable[[Troubles], None]] = {
    "watch_breaks": Troubles.watch_breaks,
    "older_version_saves": Troubles.older_version_saves,
    "newer_version_saves": Troubles.newer_version_saves,
}
BY_NAME: dict[str, Callable[[Troubles], None]] = {
    "redis_fails_over": Troubles.redis_fails_over,
    "redis_clock_jumps": Troubles.redis_clock_jumps,
    "watch_is_lost": Troubles.watch_is_lost,
    "gitops_reverts": Troubles.gitops_reverts,
    "autoscaler_scales": Troubles.autoscaler_scales,
    "node_dies": Troubles.node_dies,
    "redis_away": Troubles.redis_away,
    "cluster_away": Troubles.cluster_away,
    "slack_away": Troubles.slack_away,
    "redis_loses_its_last_second": Troubles.redis_loses_its_last_second,
    "worker_dies": Troubles.worker_dies,
    "others_scale": Troubles.others_scale,
    "others_roll": Troubles.others_roll,
    "others_pause": Troubles.others_pause,
    "others_unclaim": Troubles.others_unclaim,
    "others_delete_the_candidate": Troubles.others_delete_the_candidate,
    "pods_fail": Troubles.pods_fail,
}
ALL = (*BY_NAME, *MORE, "cluster_clock_apart")
TROUBLES = (*BY_NAME, "worker_dies")  # twice as often
