"""The faults, by name. Each causes its harm and returns when the harm is over; what was harmed must then go on by itself."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial

from redis import Redis

from tests.faults.people import DEVELOPER, MANAGER, ON_CALL, People, many_at_once, wait_until
from tests.faults.stage import SECOND, Stage

Injection = Callable[[Stage, People, random.Random], None]
WORKERS = ("worker", SECOND)
SLACK_WRITES = ("chat.postMessage", "chat.update")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _back(stage: Stage, name: str, before: int) -> None:
    wait_until(lambda: stage.pid(name) != before and stage.sandbox.part(name).process.poll() is None, 15)


def kill_part(name: str, stage: Stage, people: People, chance: random.Random) -> None:
    before = stage.pid(name)
    _kill(before)
    _back(stage, name, before)


def kill_child(stage: Stage, people: People, chance: random.Random) -> None:
    """Ticker, watcher, delivery, queries or a worker of releases."""
    children = stage.children(stage.pid(chance.choice(WORKERS)))
    if children:
        _kill(chance.choice(children))


def kill_job(stage: Stage, people: People, chance: random.Random) -> None:
    """The forked process of a job, as early or late in its tick as it happens to be."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [job for child in stage.children(stage.pid(chance.choice(WORKERS))) for job in stage.children(child)]
        return bool(found)

    if wait_until(look, 3):
        _kill(chance.choice(found))


def stop_worker(stage: Stage, people: People, chance: random.Random) -> None:
    """SIGTERM in the middle of ticks: each is finished or handed over."""
    before = stage.pid("worker")
    os.kill(before, signal.SIGTERM)
    _back(stage, "worker", before)


def freeze_job(stage: Stage, people: People, chance: random.Random) -> None:
    """A job that stands still past its lease, and then goes on while another has taken over."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [job for child in stage.children(stage.pid(chance.choice(WORKERS))) for job in stage.children(child)]
        return bool(found)

    if wait_until(look, 3):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGSTOP)
            time.sleep(11)
            os.kill(found[0], signal.SIGCONT)


def kill_redis(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.redis.kill()
    time.sleep(chance.uniform(0.0, 1.0))
    stage.sandbox.redis.restart()


def redis_away(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.redis.kill()
    time.sleep(chance.uniform(3.0, 5.0))
    stage.sandbox.redis.restart()


def redis_hangs(stage: Stage, people: People, chance: random.Random) -> None:
    pid = stage.sandbox.redis.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(2.0, 4.0))
    os.kill(pid, signal.SIGCONT)


def redis_full(stage: Stage, people: People, chance: random.Random) -> None:
    client: Redis = Redis.from_url(stage.sandbox.redis.url)
    client.config_set("maxmemory", "1")
    time.sleep(chance.uniform(1.0, 3.0))
    client.config_set("maxmemory", "0")


def replies_lost(stage: Stage, people: People, chance: random.Random) -> None:
    """Commands take effect, and the second worker is not told."""
    before = stage.lossy.lost
    stage.lossy.lose(5)
    wait_until(lambda: stage.lossy.lost >= before + 5, 5)


def token_revoked(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.slack.configure(token_revoked=True)
    time.sleep(chance.uniform(1.0, 3.0))
    stage.sandbox.slack.configure(token_revoked=False)


def cluster(kind: str, times: int, stage: Stage, people: People, chance: random.Random, **details: object) -> None:
    stage.cluster_fault(kind=kind, times=times, **details)
    time.sleep(chance.uniform(0.5, 1.5))


def cluster_away(stage: Stage, people: People, chance: random.Random) -> None:
    seconds = chance.uniform(2.0, 5.0)
    stage.api.post("/_sandbox/unreachable", json={"seconds": seconds})
    time.sleep(seconds + 0.2)


def watches_expire(stage: Stage, people: People, chance: random.Random) -> None:
    stage.api.post("/_sandbox/watches/expire", json={})


def slack(kind: str, times: int, stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.slack.fault(kind, method=chance.choice(SLACK_WRITES), times=times, seconds=1.0)
    time.sleep(chance.uniform(0.5, 1.5))


def same_click(stage: Stage, people: People, chance: random.Random) -> None:
    """Ten clicks on one button, from two people at once."""
    offered: list[tuple[dict[str, object], dict[str, object]]] = []

    def look() -> bool:
        offered[:] = list(people.decisions())
        return bool(offered)

    if wait_until(look, 4):
        message, button = offered[0]
        many_at_once([partial(people.click, message, button, MANAGER if n % 2 else ON_CALL) for n in range(10)])


def same_command(stage: Stage, people: People, chance: random.Random) -> None:
    """Fifty times the same line at once: one release."""
    app = chance.choice(stage.apps)
    line = f"/deploy {app} {people.next_version(app)}.0.0 rolling"
    many_at_once([partial(people.say, line, DEVELOPER) for _ in range(50)])


INJECTIONS: Mapping[str, Injection] = {
    "worker killed": partial(kill_part, "worker"),
    "child of the worker killed": kill_child,
    "job's process killed": kill_job,
    "worker ended in a tick": stop_worker,
    "job frozen past its lease": freeze_job,
    "bot killed": partial(kill_part, "bot"),
    "Redis killed": kill_redis,
    "Redis away 3-5 s": redis_away,
    "Redis hangs 2-4 s": redis_hangs,
    "Redis full 1-3 s": redis_full,
    "Redis' replies lost": replies_lost,
    "second worker killed": partial(kill_part, SECOND),
    "Slack token revoked 1-3 s": token_revoked,
    "Kubernetes slow": partial(cluster, "slow", 6, seconds=2.0),
    "Kubernetes 500": partial(cluster, "error", 10, code=500),
    "Kubernetes 429": partial(cluster, "throttle", 6, seconds=1.0),
    "Kubernetes 409": partial(cluster, "conflict", 3),
    "Kubernetes 422": partial(cluster, "invalid", 2),
    "reset before the write": partial(cluster, "reset_before", 4),
    "reply lost after the write": partial(cluster, "lost_reply", 3),
    "reset after the write": partial(cluster, "reset_after", 3),
    "watches expire (410)": watches_expire,
    "Kubernetes unreachable": cluster_away,
    "Slack 429": partial(slack, "rate_limited", 3),
    "Slack 5xx": partial(slack, "server_error", 4),
    "Slack reply lost after posting": partial(slack, "lost_reply", 2),
    "same click x10": same_click,
    "same command x50": same_command,
}
