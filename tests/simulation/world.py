"""One world by its seed: what runs in it, what goes wrong, and how it ends."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bot.cluster.watch import Change
from bot.operations.context import Catalog, Context
from bot.ports import ClusterUnreachable, RateLimited, SlackUnavailable, StoreUnavailable
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import ADMIN, DEVELOPER, MINUTE, OTHER_DEVELOPER, SECOND, T0
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.simulation.cluster import SimulatedCluster, SimulatedClusters, as_port
from tests.simulation.fates import Disturbances, Fates
from tests.simulation.judge import Judge
from tests.simulation.memory import MemoryInProcess
from tests.simulation.past_the_ports import nothing_past_the_ports
from tests.simulation.people import People
from tests.simulation.ports import Interposed, Outside
from tests.simulation.redis_in_process import RedisInProcess
from tests.simulation.scheduling import Process, Scheduler, SimulatedRuntime, ending
from tests.simulation.setting import CHANNEL, access, command, draw_setting, with_more, with_probes
from tests.simulation.slack import SimulatedSlack
from tests.simulation.trace import Trace
from tests.simulation.troubles import MORE, Troubles
from tests.simulation.watch import SimulatedWatch
from tests.simulation.work import Installation, SimulatedJobs

BEAT_MS = 1_000
ROUGH_FOR_MS = 3 * MINUTE
CALM_ROUND_MS = 20 * SECOND
CALM_ROUNDS, LAST_ROUNDS, FORCED_ROUNDS = 60, 40, 10
RATES = (0.0, 0.003, 0.01, 0.03)
WITHOUT_BOUND = (0.01, 0.03, 0.1)
CLOCKS_AHEAD_MS = (0, 0, -40_000, -2_000, 2_000, 40_000)
BOTS = ("bot-1", "bot-2")


STORES: Mapping[str, Callable[[Callable[[], int]], Any]] = {
    "scripts": RedisInProcess,
    "memory": MemoryInProcess,
}


class Mode(StrEnum):
    """What a world shows."""

    SAFETY = "safety"  # faults never stop: nothing forbidden ever happens
    LIVENESS = "liveness"  # they stop: everything ends, or stands still and says why


@dataclass
class Outcome:
    seed: str
    releases: int
    digest: str
    violations: list[str]
    counts: dict[str, int]
    lines: list[str]
    happened: tuple[str, ...] = ()


@dataclass
class World:
    seed: str
    keeps_lines: bool = True
    rate: float | None = None  # of calls that go wrong; None: drawn from the seed
    mode: Mode | None = None  # None: drawn from the seed
    only: frozenset[str] | None = None  # the disturbances that happen; None: all
    spoil: Callable[[str, Any], Any] = lambda _port, behind: behind
    """A defect to be found: what stands in place of what is behind a port."""
    server: Callable[[Callable[[], int]], Any] = RedisInProcess

    chance: random.Random = field(init=False)
    processes: dict[str, Process] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.scheduler = Scheduler(self._stream("order"), T0)
        self.trace = Trace(keeps=self.keeps_lines)
        drawn = self.chance.choice((Mode.SAFETY, Mode.LIVENESS, Mode.LIVENESS))
        self.mode = self.mode or drawn
        rates = WITHOUT_BOUND if self.mode is Mode.SAFETY else RATES
        rate = self.chance.choice(rates) if self.rate is None else self.rate
        self.disturbances = Disturbances(self.only)
        self.fates = Fates(
            self._stream("fates"), rate, self._stream("more fates"), self.disturbances
        )
        self.outside = Outside(self.scheduler, self.fates, self.trace)
        self.redis_ahead_ms = 0  # its clock; another server may have another one
        self.redis = self.server(lambda: self.scheduler.now + self.redis_ahead_ms)
        self.slack = SimulatedSlack(lambda: self.scheduler.now)
        self.directory = InMemoryDirectory()
        self.runtime = SimulatedRuntime(self.scheduler, self._stream("names"))
        drawn_setting = draw_setting(self._stream("setting"))
        happens = self.disturbances.happens
        with_some = with_probes(drawn_setting, self._stream("probes"), happens)
        self.setting = with_more(with_some, self._stream("more settings"), happens)
        self.apps, self.namespaces = self.setting.apps, self.setting.namespaces
        self.clusters = {name: self._cluster(name) for name in self.setting.clusters}
        self.judge = Judge(self.trace, lambda: self.scheduler.now, self.namespaces, self.slack)
        self.scheduler.crashed = self.judge.on_crash
        self.fates.heard = self.judge.on_fault
        self.watches = {
            name: SimulatedWatch(tuple(one.namespaces), self.report_change)
            for name, one in self.clusters.items()
        }
        self.jobs = SimulatedJobs(self.scheduler, self.redis.leases(self.runtime.new_id).wake)
        self.queue = self._port("queue", self.jobs, StoreUnavailable, address="redis")
        self.plain_store = self.redis.store(self.runtime.new_id)
        self.context = self._context()
        self.installation = self._installation()
        self.people = People(
            self.scheduler,
            self._stream("people"),
            {bot: self._context() for bot in BOTS},
            self.slack,
            self.trace,
            self.judge.on_reply,
        )
        self.troubles = Troubles(self._stream("troubles"), self)
        self.more = self._stream("more")  # of its own, so that known seeds stay what they were
        self.more_troubles = Troubles(self._stream("more troubles"), self, [*MORE])
        self.newer: set[str] = set()  # releases that a newer version has saved
        self.watch_is_lost_until = 0

    def _goes_wrong(self, chance: random.Random, what: str) -> bool:
        is_drawn = self.fates.is_rough and chance.random() < self.fates.rate
        if not is_drawn or not self.disturbances.happens(what):
            return False
        self.fates.note(what)
        return True

    def _stream(self, name: str) -> random.Random:
        """Of its own for each purpose: what one draws moves no other."""
        return random.Random(f"{self.seed}/{name}")

    # --- what there is ----------------------------------------------------------------------------

    def _cluster(self, name: str) -> SimulatedCluster:
        lags = self._stream(f"lags of {name}")
        here = {
            app: self.namespaces[app]
            for app, one in self.apps.items()
            if one.target.cluster == name
        }
        ahead_ms = self._ahead_ms(name)
        for there in here.values():
            there.model.clock = lambda: self.scheduler.now + ahead_ms
        return SimulatedCluster(
            name,
            lambda: self.scheduler.now,
            here,
            ahead_ms=ahead_ms,
            lags=lambda: lags.randrange(4) if self._goes_wrong(lags, "stale read") else 0,
            on_write=lambda namespace, action: self.judge.on_write(namespace, action),
            on_change=self.changed,
        )

    def _ahead_ms(self, name: str) -> int:
        """Its clock is not Redis'."""
        ahead = self._stream(f"clock of {name}").choice(CLOCKS_AHEAD_MS)
        if not ahead or not self.disturbances.happens("cluster_clock_apart"):
            return 0
        self.fates.note("cluster_clock_apart")
        return ahead

    def _context(self) -> Context:
        """Of one process: what it keeps for itself is its own."""
        store = self.redis.store(self.runtime.new_id)
        clusters = {
            name: self._port("cluster", as_port(one), ClusterUnreachable, address=name)
            for name, one in self.clusters.items()
        }
        return Context(
            self._port(
                "store", store, StoreUnavailable, address="redis", returned=self.judge.on_store
            ),
            self.queue,
            SimulatedClusters(clusters),
            self._port(
                "slack", self.slack, SlackUnavailable,
                limited=lambda: RateLimited(self.fates.chance.choice((1_000, 5_000))),
                returned=self.judge.on_slack,
            ),
            self._port("directory", self.directory, SlackUnavailable, address="slack"),
            Catalog(self.apps, self.setting.clusters, access()),
            SlackRendering(tuple(self.apps)),
            manifests=None,  # type: ignore[arg-type]
            digest_key=b"simulation",
            runtime=self.runtime,
        )  # fmt: skip

    def _port(
        self, port: str, behind: Any, error: Callable[[str], Exception], **options: Any
    ) -> Any:
        returned = options.pop("returned", None)

        def after(method: str, args: tuple[Any, ...], result: Any) -> None:
            if returned is not None:
                returned(method, args, result)
            if self.redis.is_nudged():
                self.scheduler.raise_signal("nudge")

        behind = self.spoil(port, behind)
        return Interposed(self.outside, port, behind, error, returned=after, **options)

    def _installation(self) -> Installation:
        def leases() -> Any:
            own = self.redis.leases(self.runtime.new_id)
            return self._port("leases", own, StoreUnavailable, address="redis")

        return Installation(
            self.scheduler,
            self.context,
            self.jobs,
            self.queue,
            leases,
            self.judge.on_failed_job,
            self.redis.unnudge,
        )

    # --- what runs --------------------------------------------------------------------------------

    def _start(self, name: str, work: Callable[[], None], after_ms: int = 0) -> None:
        self.processes[name] = self.scheduler.spawn(name, work, after_ms=after_ms)

    def _supervise(self) -> None:
        """Starts again what died."""
        roles = self.installation.roles(workers=2)
        for name, work in roles.items():
            self._start(name, work)
        while True:
            self.scheduler.pause(BEAT_MS)
            for name, process in [*self.processes.items()]:
                if not process.is_alive:
                    self._start(name, roles[name], self.chance.randrange(3_000))

    def _beat(self) -> None:
        while True:
            self.scheduler.pause(BEAT_MS)
            for cluster in self.clusters.values():
                for name in cluster.namespaces:
                    cluster.beat(name)
            for watch in self.watches.values():
                watch.beat(self.scheduler.now)

    def changed(self, namespace: str) -> None:
        if self.scheduler.now < self.watch_is_lost_until:
            return
        if self._goes_wrong(self.chance, "watch gap"):
            return
        self.watches[self.apps[namespace].target.cluster].changed(namespace)

    def report_change(self, namespace: str) -> None:
        cluster = self.apps[namespace].target.cluster
        self.installation.inbox.append((cluster, Change(namespace, "deployments", "hello")))
        self.scheduler.raise_signal("changes")

    # --- what happens -----------------------------------------------------------------------------

    def _live(self) -> None:
        """People, other writers and outages, until all is calm."""
        ends = self.scheduler.now + ROUGH_FOR_MS
        commands = self.chance.randrange(3, 7) * len(self.apps)
        at = sorted(self.chance.randrange(ROUGH_FOR_MS * 2 // 3) for _ in range(commands))
        for moment in at:
            self.scheduler.spawn("person", self._type_something, after_ms=moment)
        while self.scheduler.now < ends:
            self.scheduler.pause(self.chance.randrange(1_000, 8_000))
            if self.chance.random() < 0.25:
                self.people.click_anything(really=self.disturbances.happens("click"))
            if self.chance.random() < 0.25 and self.disturbances.happens("careful clicks"):
                self.people.see_to_it()
            if self.fates.rate and self.chance.random() < 0.3:
                self.troubles.cause()
            if self.fates.rate and self.more.random() < 0.1:
                self.more_troubles.cause()

    def _type_something(self) -> None:
        person = self.chance.choice((DEVELOPER, DEVELOPER, OTHER_DEVELOPER))
        text = command(self.chance, self.apps)
        if self.disturbances.happens("command"):
            self.people.type(person, CHANNEL, text)

    # --- one world, to its end --------------------------------------------------------------------

    def run(self) -> Outcome:
        with nothing_past_the_ports(), ending(self.scheduler):
            self.context.queue.wake("sweep", self.scheduler.now)
            self.scheduler.spawn("supervisor", self._supervise)
            self.scheduler.spawn("cluster", self._beat)
            self.scheduler.spawn("world", self._live)
            self.scheduler.run(self.scheduler.now + ROUGH_FOR_MS + 20 * SECOND)
            if self.mode is Mode.LIVENESS:
                self._calm_down()
                self.judge.check_ends(self.plain_store, self.context)
            self.judge.check_newer(self.newer, self.redis.documents())
            violations = self.judge.verdict(self.plain_store)
        counts = Counter({f"mode: {self.mode}": 1})
        for found in (self.fates.drawn, self.judge.counts, *self._watch_counts()):
            counts.update(found)
        return Outcome(
            self.seed,
            self.judge.releases,
            self.trace.digest,
            violations,
            counts,
            self.trace.lines,
            tuple(self.disturbances.happened),
        )

    def _watch_counts(self) -> Iterator[Mapping[str, int]]:
        return (watch.counts for watch in self.watches.values())

    def _calm_down(self) -> None:
        """Faults stop; people see to what waits, and at last give up."""
        self.fates.is_rough = False
        self.outside.away.clear()
        self.trace.add(self.scheduler.now, "world", "calm")
        for number in range(CALM_ROUNDS + LAST_ROUNDS + FORCED_ROUNDS):
            self.scheduler.run(self.scheduler.now + CALM_ROUND_MS)
            if self._is_still():
                return
            if number < CALM_ROUNDS:
                self.people.see_to_it()
            elif number < CALM_ROUNDS + LAST_ROUNDS:
                self.people.give_up()
            else:
                self._force()

    def _force(self) -> None:
        """What others left cannot become as it was found: it says what it waits for, and an admin
        ends it where it stands."""
        for release in self.plain_store.active():
            self.judge.on_force(release, self.plain_store.card(release.id))
            text = f"rollout abort {release.target.app} --force"
            self.people.type(ADMIN, CHANNEL, text)

    def _is_still(self) -> bool:
        """Nothing runs, and everything was delivered."""
        store = self.plain_store
        if store.active_ids() or any(store.next_to_start(app) for app in self.apps):
            return False
        return all(
            not store.outbox(one.id)[0] and not store.outbox(one.id)[1]
            for one in store.recent(limit=100)
        )
