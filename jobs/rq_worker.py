"""RQ's worker without what needs threads or a second connection, and with a lease that ends when its job's process dies."""

from __future__ import annotations

import faulthandler
import logging
import os
from collections.abc import Callable
from typing import Any

from redis import Redis
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException
from rq.worker import WorkerStatus

from bot.ports import StoreUnavailable
from bot.store import Leases, connect
from bot.store.leases import RUNNING_LEASE_MS

log = logging.getLogger(__name__)

WORKER_TTL_S = 30  # BLPOP waits for half of it
MONITORING_S = 5
WATCHDOG_MARGIN_S = 1  # after RQ's own time-out, before the lease runs out


class LeasedWorker(Worker):
    """One queue, one job at a time, each in a forked process."""

    def subscribe(self) -> None:
        """No commands over pub/sub: their thread would live across every fork."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """RQ's time-out is a signal, which a call stuck in C never sees; this ends the process from another thread."""
        faulthandler.dump_traceback_later((job.timeout or 0) + WATCHDOG_MARGIN_S, exit=True)
        super().main_work_horse(job, queue)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ would log a traceback for what one line says."""
        error = exc_info[1]
        if isinstance(error, StoreUnavailable):
            log.warning("%s: %s", job.description, error)
        elif isinstance(error, JobTimeoutException):
            log.warning("%s took longer than %s s and was ended", job.description, job.timeout)
        else:
            log.error("%s failed", job.description, exc_info=error)


class StayingWorker(LeasedWorker):
    """Runs its jobs in its own process, with connections that stay. For many small ones: a fork and its new connections cost more than
    a tick or than telling Slack one thing, and a line of them that grows faster than it is worked off would outlive its leases. A job
    that hangs or crashes takes the process with it: its supervisor starts another, and gives the job out again."""

    came_to_work: Callable[[], None] = staticmethod(lambda: None)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """As rq's SimpleWorker does, and with the watchdog of a fork."""
        self.came_to_work()
        faulthandler.dump_traceback_later((job.timeout or 0) + WATCHDOG_MARGIN_S, exit=True)
        try:
            self.perform_job(job, queue, self.prepare_execution(job))
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.set_state(WorkerStatus.IDLE)


def end_lease(job: Job, pid: int, *_death: Any) -> None:
    """The job's process died (out of memory, a crash): its release is looked at again at once, not when the lease runs out."""
    match job.args:
        case [str() as wake_id, str() as token]:
            log.warning("the process of %s died", job.description)
            try:
                Leases(connect(os.environ["REDIS_URL"])).bury(wake_id, token, pid)
            except StoreUnavailable as error:
                log.warning("%s; its lease runs out within %d s", error, RUNNING_LEASE_MS // 1000)
        case _:
            log.warning("the process of %s died", job.description)


def make_worker(queue: str, connection: Redis, *, forks: bool, came_to_work: Callable[[], None] = lambda: None) -> LeasedWorker:
    """``came_to_work`` is called before each job of a worker that runs them itself."""
    kind = LeasedWorker if forks else StayingWorker
    made = kind(
        [Queue(queue, connection=connection, serializer=JSONSerializer)],
        connection=connection,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_S,
        job_monitoring_interval=MONITORING_S,
        log_job_description=False,
        disable_default_exception_handler=False,
        work_horse_killed_handler=end_lease,
    )
    if isinstance(made, StayingWorker):
        made.came_to_work = came_to_work
    return made
