"""RQ behind the WorkQueue port: which job runs for which wake, on which queue. RQ only executes;
waking is the store's."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from redis.exceptions import DataError, ResponseError
from rq import Queue
from rq.serializers import JSONSerializer

from bot.query import Query, dump_query
from bot.redis_errors import redis_errors

RELEASES = "pilothouse-releases"
QUERIES = "pilothouse-queries"
DELIVERY = "pilothouse-delivery"
QUEUES = (RELEASES, QUERIES, DELIVERY)

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
    "noticed": Route(DELIVERY, "jobs.report_outside_change.report_outside_change"),
    "sweep": Route(QUERIES, "jobs.sweep.sweep"),
}
"""By the part of a wake id before the colon."""
QUERY_JOB = "jobs.run_query.run_query"


RQ_JOB = "rq:job:"

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
    """See bot.ports.WorkQueue. ``wake`` is the store's (bot.store.Leases.wake)."""

    def __init__(
        self,
        client: Redis,
        *,
        wake: Callable[[str, int], None],
        routes: Mapping[str, Route] = ROUTES,
        query_job: str = QUERY_JOB,
    ) -> None:
        self._client = client
        self._wake = wake
        self._routes = routes
        self._query_job = query_job
        names = {QUERIES, *(route.queue for route in routes.values())}
        self._queues = {
            name: Queue(name, connection=client, serializer=JSONSerializer) for name in names
        }

    def wake(self, wake_id: str, at: int) -> None:
        self._wake(wake_id, at)

    def ask(self, query: Query) -> None:
        self._enqueue(QUERIES, self._query_job, (dump_query(query),), QUERY_TIMEOUT_S)

    def enqueue_wake(self, wake_id: str, token: str) -> None:
        """The job for an id that a ticker has claimed."""
        route = self._routes[wake_id.partition(":")[0]]
        self._enqueue(route.queue, route.job, (wake_id, token), JOB_TIMEOUT_S)

    def foremost(self) -> dict[str, str]:
        """The token of the claim whose job is next in its queue, by the kind of its wake id. See
        bot.store.Leases.claim."""
        found: dict[str, str] = {}
        with redis_errors():
            for kind, route in self._routes.items():
                match self._next_arguments(self._queues[route.queue]):
                    case [str(), str() as token]:
                        found[kind] = token
                    case _:
                        pass  # a query: no claim stands behind it
        return found

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

    def lengths(self) -> dict[str, int]:
        with redis_errors():
            return {name: queue.count for name, queue in self._queues.items()}

    def _enqueue(self, queue: str, job: str, arguments: tuple[Any, ...], timeout_s: int) -> None:
        with redis_errors():
            # Random job ids: RQ takes only letters, digits, `_` and `-`, and nothing may hang on
            # them.
            self._queues[queue].enqueue_call(
                job,
                args=arguments,
                timeout=timeout_s,
                result_ttl=0,
                failure_ttl=FAILURE_TTL_S,
                description=(
                    f"{job.rpartition('.')[2]}"
                    f" {arguments[0] if isinstance(arguments[0], str) else ''}".rstrip()
                ),
            )
