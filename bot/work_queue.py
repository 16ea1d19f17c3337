"""RQ behind the WorkQueue port: which job runs for which wake, on which queue. RQ only executes;
waking is the store's."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from redis import Redis
from redis.exceptions import DataError, ResponseError
from rq import Queue
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import now

from bot.query import Query, UnknownQuery, dump_query, load_query
from bot.redis_errors import redis_errors

log = logging.getLogger(__name__)

RELEASES = "pilothouse-releases"
QUERIES = "pilothouse-queries"
DELIVERY = "pilothouse-delivery"
EVENTS = "pilothouse-events"
"""Apart from what goes to Slack: a receiver may hang."""
QUEUES = (RELEASES, QUERIES, DELIVERY, EVENTS)

JOB_TIMEOUT_S = (
    18  # longer than a tick's budget and a write after it (17 s), shorter than a lease (20 s)
)
QUERY_TIMEOUT_S = 30  # a query may wait for logs of several pods; nothing else waits for it
FAILURE_TTL_S = 6 * 3600


@dataclass(frozen=True)
class Route:
    queue: str
    job: str  # dotted name of the function: bot does not import jobs


ROUTES: Mapping[str, Route] = {
    "start": Route(RELEASES, "jobs.answer_start.answer_start"),
    "release": Route(RELEASES, "jobs.advance_release.advance_release"),
    "deliver": Route(DELIVERY, "jobs.deliver_release.deliver_release"),
    "events": Route(EVENTS, "jobs.send_events.send_events"),
    "noticed": Route(DELIVERY, "jobs.report_outside_change.report_outside_change"),
    "rollout": Route(QUERIES, "jobs.follow_rollout.follow_rollout"),
    "watch": Route(QUERIES, "jobs.watch_after.watch_after"),
    "sweep": Route(QUERIES, "jobs.sweep.sweep"),
}
"""By the part of a wake id before the colon."""
WITHOUT_RECEIVERS: Mapping[str, Route] = {
    **ROUTES,
    "events": Route(DELIVERY, ROUTES["events"].job),
}
"""Then EVENTS has no workers. What was woken for a receiver that the catalog had before ends at
once."""
_OF_A_CLUSTER = frozenset({"start", "release", "rollout", "watch"})
_BY_RELEASE = frozenset({"release", "watch"})
QUERY_JOB = "jobs.run_query.run_query"


MOST_LANES = 16
"""Each lane has workers of its own, about 10 MB each; of more clusters, several share a lane."""


@dataclass(frozen=True)
class Lanes:
    """A queue for each cluster, so that one that does not answer keeps no worker from the others.

    ``places``: what a command names each app with (Target.typed) -> its cluster. A catalog of one
    cluster needs no lanes: its queues have the plain names.
    """

    clusters: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return self.clusters[:MOST_LANES] if len(self.clusters) > 1 else ()

    def of_cluster(self, cluster: str | None) -> str:
        """A cluster that the catalog no longer names never keeps a worker waiting."""
        names = self.names
        if not names or cluster not in self.clusters:
            return names[0] if names else ""
        return names[self.clusters.index(cluster) % len(names)]

    def of_places(self, places: Sequence[str]) -> str:
        """Of a query: "" for one that is about no cluster or about several."""
        found = {self.places[place] for place in places if place in self.places}
        return self.of_cluster(found.pop()) if len(found) == 1 and self.names else ""


ONE_LANE = Lanes()


def in_lane(queue: str, lane: str) -> str:
    return f"{queue}-{lane}" if lane else queue


RQ_JOB = "rq:job:"
RQ_QUEUE = "rq:queue:"
RQ_QUEUES = "rq:queues"

MOST_KNOWN_PLACES = 10_000

MAX_CALL_BYTES = 256 * 1024
"""Of a job's call, unpacked. A query holds the text of one Slack message."""


def unpack_call(packed: bytes) -> bytes:
    """What RQ stores of a call: function, instance, arguments. Raises ValueError, also for one that
    is too large."""
    unpacking = zlib.decompressobj()
    try:
        call = unpacking.decompress(packed, MAX_CALL_BYTES)
    except zlib.error as error:
        raise ValueError("it holds no call") from error
    if not unpacking.eof:
        raise ValueError("it is too large or cut off")
    return call


class RqWorkQueue:
    """See bot.ports.WorkQueue. ``wake`` and ``push`` are the store's (bot.store.Leases); without
    ``push`` a query that is enqueued late is answered late."""

    def __init__(
        self,
        client: Redis,
        *,
        wake: Callable[[str, int], None],
        push: Callable[[str, str, str, str, Mapping[str, Any]], None] | None = None,
        routes: Mapping[str, Route] = ROUTES,
        query_job: str = QUERY_JOB,
        lanes: Lanes = ONE_LANE,
        place_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        """``place_of``: where a release works, by its id (Target.typed); "" unknown."""
        self._client = client
        self._wake = wake
        self._push = push
        self._routes = routes
        self._query_job = query_job
        self._lanes = lanes
        self._place_of = place_of
        self._known_places: dict[str, str] = {}
        self._stranded: set[str] = set()
        names = {QUERIES, *(route.queue for route in routes.values())}
        names |= {in_lane(queue, lane) for queue in (RELEASES, QUERIES) for lane in lanes.names}
        self._queues = {
            name: Queue(name, connection=client, serializer=JSONSerializer) for name in names
        }

    def wake(self, wake_id: str, at: int) -> None:
        self._wake(wake_id, at)

    def ask(self, query: Query) -> None:
        queue = in_lane(QUERIES, self._lanes.of_places(query.apps))
        self._enqueue(queue, self._query_job, (dump_query(query),), QUERY_TIMEOUT_S)

    def enqueue_wake(self, wake_id: str, token: str) -> None:
        """The job for an id that a ticker has claimed."""
        route = self._routes[wake_id.partition(":")[0]]
        self._enqueue(self._queue_of(wake_id), route.job, (wake_id, token), JOB_TIMEOUT_S)

    def _queue_of(self, wake_id: str) -> str:
        kind, _, subject = wake_id.partition(":")
        queue = self._routes[kind].queue
        if kind not in _OF_A_CLUSTER or not self._lanes.names:
            return queue
        place = self._place(subject) if kind in _BY_RELEASE else subject.partition("/")[0]
        return in_lane(queue, self._lanes.of_cluster(self._lanes.places.get(place)))

    def _place(self, release_id: str) -> str:
        """Of an app with one cluster the id says it."""
        app = release_id.rpartition("-")[0]
        if app in self._lanes.places:
            return app
        place = self._known_places.get(release_id) or self._place_of(release_id)
        if len(self._known_places) >= MOST_KNOWN_PLACES:
            self._known_places.clear()
        self._known_places[release_id] = place
        return place

    def foremost(self, wake_ids: Sequence[str]) -> dict[str, str]:
        """For each wake id the token of the claim whose job is next in its queue. See
        bot.store.Leases.claim."""
        found: dict[str, str] = {}
        by_queue: dict[str, str] = {}
        with redis_errors():
            for wake_id in wake_ids:
                if wake_id.partition(":")[0] not in self._routes:
                    found[wake_id] = ""
                    continue
                queue = self._queue_of(wake_id)
                if queue not in by_queue:
                    by_queue[queue] = self._next_token(queue)
                found[wake_id] = by_queue[queue]
        return found

    def _next_token(self, queue: str) -> str:
        """ "" for an empty queue, and where a query is next: no claim stands behind it."""
        match self._next_arguments(self._queues[queue]):
            case [str(), str() as token]:
                return token
            case _:
                return ""

    def _next_arguments(self, queue: Queue) -> Any:
        """Of the job that is next. None for what a worker will refuse, which must not stop the
        ticker."""
        try:
            job_id = cast(bytes | None, self._client.lindex(queue.key, 0))
            key = f"{RQ_JOB}{job_id.decode()}" if job_id else ""
            packed = cast(bytes | None, self._client.hget(key, "data")) if key else None
            return json.loads(unpack_call(packed))[2] if packed else None
        except (ValueError, TypeError, LookupError, RecursionError, DataError):
            return None
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return None
            raise

    def rescue(self) -> int:
        """Queries in the queue of a cluster that the catalog no longer names: no worker serves it.
        Those that were there at the last call too move to a queue that is served, where the reply
        says so. Returns how many."""
        before, self._stranded = self._stranded, set()
        moved = 0
        with redis_errors():
            known = cast(set[bytes], self._client.smembers(RQ_QUEUES))
            for name in (key.decode().removeprefix(RQ_QUEUE) for key in known):
                if name.startswith(f"{QUERIES}-") and name not in self._queues:
                    moved += self._rescue_from(name, before)
        return moved

    def _rescue_from(self, name: str, before: set[str]) -> int:
        try:
            found = cast(list[bytes], self._client.lrange(f"{RQ_QUEUE}{name}", 0, -1))
        except ResponseError:  # something else than a queue, which must not stop the ticker
            return 0
        ids = [one.decode("utf-8", "replace") for one in found]
        self._stranded |= set(ids)
        # Of two tickers only the one that took it out enqueues it again.
        ours = [
            one for one in ids if one in before and self._client.lrem(f"{RQ_QUEUE}{name}", 1, one)
        ]
        for one in ours:
            packed = cast(bytes | None, self._client.hget(f"{RQ_JOB}{one}", "data"))
            self._client.delete(f"{RQ_JOB}{one}")
            try:
                self.ask(load_query(json.loads(unpack_call(packed or b""))[2][0]))
            except (ValueError, LookupError, TypeError, UnknownQuery) as error:
                log.error("dropped an unreadable query of %s: %s", name, error)
        return len(ours)

    def lengths(self) -> dict[str, int]:
        with redis_errors():
            return {name: queue.count for name, queue in self._queues.items()}

    def _enqueue(self, queue: str, job: str, arguments: tuple[Any, ...], timeout_s: int) -> None:
        into = self._queues[queue]
        # Random job ids: RQ takes only letters, digits, `_` and `-`, and nothing may hang on them.
        made = into.create_job(
            job,
            args=arguments,
            timeout=timeout_s,
            result_ttl=0,
            failure_ttl=FAILURE_TTL_S,
            description=(
                f"{job.rpartition('.')[2]}"
                f" {arguments[0] if isinstance(arguments[0], str) else ''}".rstrip()
            ),
            status=JobStatus.QUEUED,
        )
        if self._push is not None:
            made.origin, made.enqueued_at = queue, now()
            self._push(into.redis_queues_keys, into.key, made.key, made.id, made.to_dict())
            return
        with redis_errors():
            into.enqueue_job(made)
