"""RQ's worker without what needs threads or a second connection, and without its fork for
each job."""

from __future__ import annotations

import faulthandler
import logging
import resource
import sys
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.utils import now
from rq.worker import WorkerStatus

from bot import tracing
from bot.ports import StoreUnavailable
from jobs.admission import AllowList, GuardedJob, GuardedQueue, NotAllowed, refuse

log = logging.getLogger(__name__)

WORKER_TTL_S = 30  # BLPOP waits for half of it
MONITORING_S = 5
WATCHDOG_MARGIN_S = 1  # after RQ's own time-out, before the lease runs out


class StayingWorker(Worker):
    """One queue, one job at a time, in its own process, with connections that stay. A fork and its
    new connections cost more than a tick, a query or one message to Slack, and a queue that grows
    faster than it drains would outlive its leases. A job that hangs or crashes takes the process
    with it: its supervisor starts another, and the job is handed out again."""

    came_to_work: Callable[[], None]
    report: Callable[[], None]
    allowed: AllowList
    most_memory_bytes: int | None = None
    exponential_backoff_factor = 1.0
    """RQ waits a second before it connects again; by itself it doubles that to a minute."""
    makes_room = False  # it stopped because it is large, with nothing left undone

    def subscribe(self) -> None:
        """No commands over pub/sub: whoever reaches Redis could stop the worker with them."""

    def check_for_suspension(self, burst: bool) -> None:
        """`rq suspend` is such a command too."""

    def clean_registries(self) -> None:
        """A registry that holds what RQ cannot read must not stop the worker."""
        try:
            super().clean_registries()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, ResponseError) as error:
            self.last_cleaned_at = now()  # type: ignore[assignment]
            log.warning("the registries of RQ hold something else than jobs: %s", error)

    def clean_group_registries(self) -> None:
        """Pilothouse groups no jobs."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """As rq's SimpleWorker does. RQ's time-out is a signal, which never reaches a call stuck in
        C; the watchdog ends the process from another thread."""
        assert isinstance(job, GuardedJob)
        self.came_to_work()
        try:
            job.check(queue.name, self.allowed)
        except NotAllowed as why:
            refuse(job, queue, why)
            return
        if job.created_at is not None:
            tracing.wait_began(job.created_at.timestamp())
        faulthandler.dump_traceback_later((job.timeout or 0) + WATCHDOG_MARGIN_S, exit=True)
        try:
            self.perform_job(job, queue, self.prepare_execution(job))
        finally:
            faulthandler.cancel_dump_traceback_later()
            self.report()
        self.set_state(WorkerStatus.IDLE)
        if self.most_memory_bytes is not None and most_memory_bytes() > self.most_memory_bytes:
            log.info(
                "%s used more than %d MB; replacing its process",
                job.origin,
                self.most_memory_bytes // 2**20,
            )
            self.makes_room = self._stop_requested = True

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ would log a traceback where one line is enough."""
        error = exc_info[1]
        if isinstance(error, StoreUnavailable):
            log.warning("%s: %s", job.description, error)
        elif isinstance(error, JobTimeoutException):
            log.warning(
                "%s exceeded its time limit of %s s and was stopped", job.description, job.timeout
            )
        else:
            log.error("%s failed", job.description, exc_info=error)


def most_memory_bytes() -> int:
    """The most that this process has ever held; what Python frees of it seldom goes back to the
    system."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def make_worker(
    queue: str,
    connection: Redis,
    *,
    allowed: AllowList,
    came_to_work: Callable[[], None] = lambda: None,
    report: Callable[[], None] = lambda: None,
    memory_grows_by_bytes: int | None = None,
) -> StayingWorker:
    """``allowed`` says what it runs. ``came_to_work`` is called before each job, ``report`` after
    it. A worker whose memory grew by more than ``memory_grows_by_bytes`` stops after its job."""
    made = StayingWorker(
        [
            GuardedQueue(
                queue, connection=connection, serializer=JSONSerializer, job_class=GuardedJob
            )
        ],
        connection=connection,
        serializer=JSONSerializer,
        job_class=GuardedJob,
        queue_class=GuardedQueue,
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=MONITORING_S,
        log_job_description=False,
        disable_default_exception_handler=False,
    )
    made.allowed = allowed
    made.came_to_work = came_to_work
    made.report = report
    if memory_grows_by_bytes is not None:
        made.most_memory_bytes = most_memory_bytes() + memory_grows_by_bytes
    return made
