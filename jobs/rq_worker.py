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
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.worker import WorkerStatus

from bot.ports import StoreUnavailable

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
    most_memory_bytes: int | None = None
    makes_room = False  # it stopped because it is large, with nothing left undone

    def subscribe(self) -> None:
        """No commands over pub/sub: that takes a thread."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """As rq's SimpleWorker does. RQ's time-out is a signal, which never reaches a call stuck in
        C; the watchdog ends the process from another thread."""
        self.came_to_work()
        faulthandler.dump_traceback_later((job.timeout or 0) + WATCHDOG_MARGIN_S, exit=True)
        try:
            self.perform_job(job, queue, self.prepare_execution(job))
        finally:
            faulthandler.cancel_dump_traceback_later()
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
    came_to_work: Callable[[], None] = lambda: None,
    memory_grows_by_bytes: int | None = None,
) -> StayingWorker:
    """``came_to_work`` is called before each job. A worker whose memory grew by more than
    ``memory_grows_by_bytes`` stops after its job."""
    made = StayingWorker(
        [Queue(queue, connection=connection, serializer=JSONSerializer)],
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=MONITORING_S,
        log_job_description=False,
        disable_default_exception_handler=False,
    )
    made.came_to_work = came_to_work
    if memory_grows_by_bytes is not None:
        made.most_memory_bytes = most_memory_bytes() + memory_grows_by_bytes
    return made
