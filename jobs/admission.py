"""What a worker runs of what it finds in its queue: the functions that Pilothouse itself enqueues,
with arguments of their shape. Everything else is refused before anything that it names is imported.

RQ takes the names of functions, callbacks and web hooks from Redis, and imports or calls them. Here
the allowed functions are imported by their worker when it starts; a job only picks one of them.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import Field, JsonValue, StringConstraints, TypeAdapter, ValidationError
from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue
from rq.exceptions import NoSuchJobError, TimeoutFormatError
from rq.intermediate_queue import IntermediateQueue
from rq.job import JOB_ID_PATTERN, Job
from rq.results import Result

from bot.ports import StoreUnavailable
from bot.query import UnknownQuery, load_query
from bot.store import Leases
from bot.work_queue import QUERIES, QUERY_TIMEOUT_S, RELEASES, Route, unpack_call

log = logging.getLogger(__name__)

_FIELDS = frozenset(
    {
        *("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat"),
        *("data", "description", "origin", "status", "timeout", "result_ttl", "failure_ttl"),
        *("worker_name", "exc_info"),
    }
)
"""What RQ stores for the jobs that bot.work_queue enqueues. Any other field must be empty: those of
callbacks, web hooks, dependencies, repeats, retries, groups and rate limits are."""

_UNREADABLE = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError),
    *(AssertionError, NoSuchJobError, TimeoutFormatError),
)
"""How RQ fails on a value that it did not write."""

_Line = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
_CALL: TypeAdapter[tuple[str, None, list[JsonValue], dict[str, JsonValue]]] = TypeAdapter(
    tuple[
        _Line,  # the function
        None,  # the instance, for a method
        list[JsonValue],
        Annotated[dict[str, JsonValue], Field(max_length=0)],
    ]
)
_WAKE: TypeAdapter[tuple[str, str]] = TypeAdapter(tuple[_Line, _Line])


class NotAllowed(Exception):
    """A job that must not run."""


@dataclass(frozen=True)
class AllowedJob:
    """``kinds``: of the wake ids that it may be given; None for a query."""

    function: Callable[..., object]
    kinds: frozenset[str] | None


AllowList = Mapping[tuple[str, str], AllowedJob]
"""By the queue and the dotted name of the function."""


def allow(routes: Mapping[str, Route], query_job: str, queue: str) -> AllowList:
    """What the workers of this queue run. Imports the functions, which only the code of a worker
    names."""
    allowed = {}
    if _is_lane(queue, of=QUERIES):
        allowed[queue, query_job] = AllowedJob(_imported(query_job), None)
    for route in routes.values():
        has_lanes = route.queue in (RELEASES, QUERIES)
        if queue == route.queue or (has_lanes and _is_lane(queue, of=route.queue)):
            kinds = frozenset(kind for kind, other in routes.items() if other == route)
            allowed[queue, route.job] = AllowedJob(_imported(route.job), kinds)
    return allowed


def _is_lane(queue: str, *, of: str) -> bool:
    return queue == of or queue.startswith(f"{of}-")


def _imported(name: str) -> Callable[..., object]:
    module, _, function = name.rpartition(".")
    return cast(Callable[..., object], getattr(importlib.import_module(module), function))


class GuardedJob(Job):
    """A job that holds what Redis says of it as data: it imports nothing, and raises nothing for a
    value that RQ cannot read."""

    malformed = ""
    allowed: AllowedJob | None = None

    def refresh(self) -> None:
        try:
            super().refresh()  # type: ignore[no-untyped-call]
        except ResponseError:
            self.malformed = "is not a hash"

    def restore(self, raw_data: Any) -> None:
        try:
            _check_fields(raw_data)
            super().restore(raw_data)
        except NotAllowed as error:
            self.malformed = str(error)
        except _UNREADABLE as error:
            self.malformed = f"cannot be read: {type(error).__name__}"

    @property
    def func(self) -> Callable[..., object]:
        if self.allowed is None:
            raise NotAllowed("was not checked")
        return self.allowed.function

    @property
    def success_callback(self) -> None:
        """Never one: RQ would import it."""

    @property
    def failure_callback(self) -> None:
        """Never one: RQ would import it."""

    @property
    def stopped_callback(self) -> None:
        """Never one: RQ would import it."""

    def cleanup(
        self, ttl: int | None = None, pipeline: Any = None, remove_from_queue: bool = True
    ) -> None:
        """A job that succeeded goes with the worker's last transaction. RQ would first ask Redis
        seven times what else is known of it: copies of it, which expire by themselves."""
        if ttl == 0 and pipeline is not None and not remove_from_queue:
            results = Result.get_key(self.id)  # type: ignore[no-untyped-call]
            names = (self.key, self.dependents_key, self.dependencies_key)
            pipeline.delete(*names, results, self.execution_registry.key)
            return
        super().cleanup(ttl, pipeline=pipeline, remove_from_queue=remove_from_queue)

    def check(self, queue: str, allowed: AllowList) -> None:
        """Raises NotAllowed. Afterwards it can be performed."""
        if self.malformed:
            raise NotAllowed(self.malformed)
        if self.origin != queue:
            raise NotAllowed(f"belongs to another queue: {self.origin:.80}")
        if self.timeout is None or not 0 < self.timeout <= QUERY_TIMEOUT_S:
            raise NotAllowed(f"has the time-out {self.timeout}")
        function, arguments = _read_call(self.data)
        found = allowed.get((queue, function))
        if found is None:
            raise NotAllowed(f"names a function that is not allowed here: {function:.80}")
        _check_arguments(found, arguments)
        self.allowed = found


def _check_fields(raw_data: Mapping[bytes, bytes]) -> None:
    for name, value in raw_data.items():
        if value and name.decode("utf-8", "replace") not in _FIELDS:
            raise NotAllowed(f"has the field {name.decode('utf-8', 'replace'):.80}")
    try:
        unpack_call(raw_data.get(b"data", b""))
    except ValueError as error:
        raise NotAllowed(str(error).removeprefix("it ")) from error


def _read_call(data: bytes) -> tuple[str, list[JsonValue]]:
    try:
        function, _, arguments, _ = _CALL.validate_json(data, strict=True)
    except ValidationError as error:
        raise NotAllowed("holds no call of a function by name and JSON arguments") from error
    return function, arguments


def _check_arguments(allowed: AllowedJob, arguments: list[JsonValue]) -> None:
    try:
        if allowed.kinds is not None:
            _check_wake(allowed.kinds, arguments)
            return
        match arguments:
            case [dict() as document]:
                load_query(document)
            case _:
                raise NotAllowed("has arguments that are no query")
    except ValidationError as error:
        raise NotAllowed("has arguments that are no wake id and token") from error
    except UnknownQuery as error:
        raise NotAllowed(f"has arguments that are no query: {error!s:.200}") from error


def _check_wake(kinds: frozenset[str], arguments: list[JsonValue]) -> None:
    wake_id, _ = _WAKE.validate_python(tuple(arguments), strict=True)
    if wake_id.partition(":")[0] not in kinds:
        raise NotAllowed(f"has a wake id of another kind: {wake_id:.80}")


class GuardedQueue(Queue):
    """A queue that starts no other jobs, and passes on only ids that RQ can read."""

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        while (moved := super().lmove(connection, queue_key, timeout)) is not None:
            job_id = moved[1]
            if JOB_ID_PATTERN.fullmatch(job_id.decode("utf-8", "replace")):
                return moved
            connection.lrem(IntermediateQueue.get_intermediate_queue_key(queue_key), 1, job_id)
            queue = cls.from_queue_key(queue_key, connection=connection)
            report(connection, queue.name, "has no valid id")
        return None

    def move_dependents_to_ready(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        """Pilothouse enqueues no dependents."""
        return {}

    def enqueue_dependents(self, *_: Any, **__: Any) -> dict[str, list[str]]:
        """Pilothouse enqueues no dependents."""
        return {}


def refuse(job: GuardedJob, queue: Queue, why: NotAllowed) -> None:
    """Deletes the job without touching what it points to."""
    pipeline = job.connection.pipeline()
    pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
    pipeline.delete(job.key, job.dependents_key, job.dependencies_key)
    pipeline.execute()
    report(job.connection, queue.name, str(why))


def report(connection: Redis, queue: str, why: str) -> None:
    """A line in the log and a count for the metrics."""
    printable = re.sub(r"[^\x20-\x7e]", "?", why)
    log.error("refused a job in %s that Pilothouse did not enqueue: it %s", queue, printable)
    try:
        Leases(connection).count(f"jobs_refused:{queue}")
    except StoreUnavailable as error:
        log.warning("%s; the refused job is not counted", error)
