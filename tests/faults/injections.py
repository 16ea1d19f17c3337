"""The faults, by name. Each does its harm and returns when the harm is over; work must then
continue on its own."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import yaml

from bot.store.leases import RUNNING_LEASE_MS
from bot.work_queue import RqWorkQueue
from tests.card_buttons import Offer
from tests.faults.armed_worker import ROUTES as ARMED_ROUTES
from tests.faults.people import MANAGER, ON_CALL, People, busy_apps, many_at_once, wait_until
from tests.faults.points import ONCE, POINTS
from tests.faults.stage import CHANNEL, CROWD, SECOND, Stage

Injection = Callable[[Stage, People, random.Random], None]
PAST_A_LEASE_S = RUNNING_LEASE_MS / 1000 + 0.5
SLACK_WRITES = ("chat.postMessage", "chat.update")


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _back(stage: Stage, name: str, before: int) -> None:
    wait_until(
        lambda: stage.pid(name) != before and stage.sandbox.part(name).process.poll() is None, 15
    )


def kill_part(name: str, stage: Stage, people: People, chance: random.Random) -> None:
    before = stage.pid(name)
    _kill(before)
    _back(stage, name, before)


def kill_child(role: str, stage: Stage, people: People, chance: random.Random) -> None:
    found = [
        pid
        for pid in stage.children(stage.pid(chance.choice(stage.names("worker"))))
        if stage.role(pid).startswith(role)
    ]
    if found:
        _kill(chance.choice(found))


def _a_job(stage: Stage, chance: random.Random, within_s: float = 3) -> int:
    """A process that runs a release's job, 0 if none was found."""
    found: list[int] = []

    def look() -> bool:
        worker = stage.pid(chance.choice(stage.names("worker")))
        found[:] = [child for child in stage.children(worker) if stage.release_of(child)]
        return bool(found)

    return chance.choice(found) if wait_until(look, within_s) else 0


def kill_job(stage: Stage, people: People, chance: random.Random) -> None:
    """At whatever moment of its tick it happens to be."""
    if job := _a_job(stage, chance):
        _kill(job)


def kill_at(point: str, stage: Stage, people: People, chance: random.Random) -> None:
    """The next job that reaches this point of its tick dies there."""
    stage.redis.set(ONCE, point)
    if not wait_until(lambda: not stage.redis.exists(ONCE), 5):
        stage.redis.delete(ONCE)


def stop_worker(stage: Stage, people: People, chance: random.Random) -> None:
    """SIGTERM in the middle of ticks: each is finished or handed over."""
    before = stage.pid("worker")
    os.kill(before, signal.SIGTERM)
    _back(stage, "worker", before)


def freeze_job(stage: Stage, people: People, chance: random.Random) -> None:
    """A job freezes past its lease; its release is aborted before the job continues."""
    job = _a_job(stage, chance)
    if not job:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(job, signal.SIGSTOP)
        time.sleep(1)
        _abort(people, stage.release_of(job))
        time.sleep(PAST_A_LEASE_S)
        os.kill(job, signal.SIGCONT)


def freeze_worker(stage: Stage, people: People, chance: random.Random) -> None:
    """All processes of a worker freeze past every lease they hold, and then continue."""
    worker = stage.pid(chance.choice(stage.names("worker")))
    frozen = stage.descendants(worker)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in (worker, *frozen):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if number is signal.SIGSTOP:
            held = [release for pid in frozen if (release := stage.release_of(pid))]
            _abort(people, held[0] if held else "")
            time.sleep(PAST_A_LEASE_S)


def _abort(people: People, release_id: str) -> None:
    if release_id:
        people.say(f"/rollout abort {release_id.rpartition('-')[0]}")


def kill_redis(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.redis.kill()
    time.sleep(chance.uniform(0.0, 1.0))
    stage.sandbox.redis.restart()


def redis_away(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.redis.kill()
    time.sleep(min(30.0, stage.longest_s))
    stage.sandbox.redis.restart()


def job_twice(stage: Stage, people: People, chance: random.Random) -> None:
    """Every job that is queued now is queued once more."""
    queue = RqWorkQueue(stage.redis, wake=stage.leases.wake, routes=ARMED_ROUTES)
    for wake_id, token in cast(
        dict[bytes, bytes], stage.redis.hgetall("pilothouse:tokens")
    ).items():
        queue.enqueue_wake(wake_id.decode(), token.decode())


def redis_hangs(stage: Stage, people: People, chance: random.Random) -> None:
    pid = stage.sandbox.redis.pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(chance.uniform(2.0, 4.0))
    os.kill(pid, signal.SIGCONT)


def redis_full(stage: Stage, people: People, chance: random.Random) -> None:
    stage.redis.config_set("maxmemory", "1")
    time.sleep(chance.uniform(1.0, 3.0))
    stage.redis.config_set("maxmemory", "0")


def replies_lost(stage: Stage, people: People, chance: random.Random) -> None:
    """Commands take effect, but the second worker gets no reply."""
    before = stage.lossy.lost
    stage.lossy.lose(5)
    wait_until(lambda: stage.lossy.lost >= before + 5, 5)


def token_revoked(stage: Stage, people: People, chance: random.Random) -> None:
    stage.sandbox.slack.configure(token_revoked=True)
    time.sleep(chance.uniform(1.0, 3.0))
    stage.sandbox.slack.configure(token_revoked=False)


def channel_archived(stage: Stage, people: People, chance: random.Random) -> None:
    """Nobody can post or click in the channel until someone unarchives it."""
    stage.sandbox.slack.channel(CHANNEL, archived=True)
    time.sleep(chance.uniform(1.0, 3.0))
    stage.sandbox.slack.channel(CHANNEL, archived=False)


def cluster(
    kind: str, times: int, stage: Stage, people: People, chance: random.Random, **details: object
) -> None:
    stage.cluster_fault(
        kind=kind, times=times, agent="pilothouse", **details
    )  # never our own requests
    time.sleep(chance.uniform(0.5, 1.5))


def cluster_away(stage: Stage, people: People, chance: random.Random) -> None:
    seconds = min(60.0, stage.longest_s)
    stage.api.post("/_sandbox/unreachable", json={"seconds": seconds})
    time.sleep(seconds + 0.2)


def pod_deleted(stage: Stage, people: People, chance: random.Random) -> None:
    """A pod of a candidate: stable keeps what its plan promised."""
    path = "/api/v1/namespaces/default/pods"
    found: list[str] = []

    def look() -> bool:
        found[:] = [
            name
            for pod in stage.objects(path)
            if re.search("-(canary|green)-", name := pod["metadata"]["name"])
        ]
        return bool(found)

    if wait_until(look, 6):
        stage.delete(f"{path}/{chance.choice(found)}")


def candidate_deleted(stage: Stage, people: People, chance: random.Random) -> None:
    """A serving canary is deleted by hand: its release holds until a person rolls it back."""
    path = "/apis/apps/v1/namespaces/default/deployments"
    found: list[str] = []

    def look() -> bool:
        items = [
            item for item in stage.objects(path) if item["metadata"]["name"].endswith("-canary")
        ]
        found[:] = [
            item["metadata"]["name"]
            for item in items
            if (item.get("status") or {}).get("readyReplicas")
        ]
        return bool(found)

    if wait_until(look, 6):
        stage.delete(f"{path}/{chance.choice(found)}")


def catalog_entry_removed(stage: Stage, people: People, chance: random.Random) -> None:
    """Everything restarts without an app whose release runs, and later with it."""
    busy = sorted(busy_apps(stage) or ())
    if not busy:
        return
    whole = stage.sandbox.catalog.read_text(encoding="utf-8")
    catalog = yaml.safe_load(whole)
    del catalog["apps"][chance.choice(busy)]
    for text in (yaml.safe_dump(catalog), whole):
        stage.sandbox.catalog.write_text(text, encoding="utf-8")
        for name in (*stage.names("bot"), *stage.names("worker")):
            kill_part(name, stage, people, chance)
        time.sleep(3.0)


def watches_expire(stage: Stage, people: People, chance: random.Random) -> None:
    stage.api.post("/_sandbox/watches/expire", json={})


def slack(
    kind: str, times: int, seconds: float, stage: Stage, people: People, chance: random.Random
) -> None:
    stage.sandbox.slack.fault(
        kind, method=chance.choice(SLACK_WRITES), times=times, seconds=seconds
    )
    time.sleep(chance.uniform(0.5, 1.5))


def message_deleted(stage: Stage, people: People, chance: random.Random) -> None:
    """A person deletes a card of a release that runs."""
    cards = [stage.store.card(release.id)[1] for release in stage.store.active()]
    if known := [ts for ts in cards if ts]:
        stage.sandbox.slack.delete_message(CHANNEL, chance.choice(known))


def pause(stage: Stage, people: People, chance: random.Random) -> None:
    """A release is paused for a while; someone resumes it on its card."""
    if busy := sorted(busy_apps(stage) or ()):
        people.say(f"/rollout pause {chance.choice(busy)}")


def same_click(stage: Stage, people: People, chance: random.Random) -> None:
    """Ten clicks on one button, from two people at once."""
    offers: list[Offer] = []

    def look() -> bool:
        offers[:] = people.decisions()
        return bool(offers)

    if wait_until(look, 4):
        clickers = [MANAGER if n % 2 else ON_CALL for n in range(10)]
        many_at_once([partial(people.click, offers[0], person) for person in clickers])


def same_command(stage: Stage, people: People, chance: random.Random) -> None:
    """Fifty people type the same line at once: one release."""
    app = chance.choice(stage.apps)
    line = f"/deploy {app} {people.next_version(app)}.0.0 rolling"
    many_at_once([partial(people.say, line, person) for person in CROWD])


INJECTIONS: Mapping[str, Injection] = {
    "worker killed": partial(kill_part, "worker"),
    "second worker killed": partial(kill_part, SECOND),
    "ticker killed": partial(kill_child, "ticker"),
    "watcher killed": partial(kill_child, "watcher"),
    "delivery killed": partial(kill_child, "delivery"),
    "queries killed": partial(kill_child, "queries"),
    "worker of releases killed, idle or not": partial(kill_child, "releases"),
    "worker killed in the middle of a tick": kill_job,
    **{f"job killed {point}": partial(kill_at, point) for point in POINTS},
    "worker ended in a tick": stop_worker,
    "worker of releases frozen past its lease, aborted": freeze_job,
    "worker frozen past its leases, aborted": freeze_worker,
    "every job delivered twice": job_twice,
    "bot killed": partial(kill_part, "bot"),
    "Redis killed": kill_redis,
    "Redis away": redis_away,
    "Redis hangs 2-4 s": redis_hangs,
    "Redis full 1-3 s": redis_full,
    "Redis' replies lost": replies_lost,
    "Kubernetes times out": partial(cluster, "slow", 4, seconds=4.0),
    "Kubernetes slow (2 s)": partial(cluster, "slow", 6, seconds=2.0),
    "Kubernetes 500": partial(cluster, "error", 10, code=500),
    "Kubernetes 429": partial(cluster, "throttle", 6, seconds=1.0),
    "Kubernetes 409": partial(cluster, "conflict", 3),
    "Kubernetes 422": partial(cluster, "invalid", 2),
    "reset before the write": partial(cluster, "reset_before", 4),
    "reply lost after the write": partial(cluster, "lost_reply", 3),
    "reset after the write": partial(cluster, "reset_after", 3),
    "watches expire (410)": watches_expire,
    "Kubernetes unreachable": cluster_away,
    "pod deleted": pod_deleted,
    "canary deleted": candidate_deleted,
    "Slack 429": partial(slack, "rate_limited", 3, 1.0),
    "Slack 5xx": partial(slack, "server_error", 4, 0.0),
    "Slack times out": partial(slack, "slow", 2, 12.0),
    "Slack reply lost after posting": partial(slack, "lost_reply", 2, 0.0),
    "Slack token revoked 1-3 s": token_revoked,
    "channel archived 1-3 s": channel_archived,
    "card deleted": message_deleted,
    "catalog entry removed": catalog_entry_removed,
    "paused and resumed": pause,
    "same click x10, two people": same_click,
    "same command, 50 people": same_command,
}
