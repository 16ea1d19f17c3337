"""``python -m tests.faults.armed_worker``: `pilothouse worker`, whose release jobs can be made to
die at a named point."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial

from bot.configuration import load_configuration
from bot.operations.lifecycle.advance_release import advance_release as operation
from bot.store import connect
from bot.wiring import make_context
from bot.work_queue import RELEASES, Route
from bot.work_queue import ROUTES as PRODUCT_ROUTES
from config.logs import configure_logging
from jobs.leasing import lease
from jobs.resources import JobResources, job_context, redis_url
from jobs.watcher import watch_clusters
from jobs.worker import JOB_MODULES, Crew, prepare, supervise
from tests.faults.points import RAN, TICKED, Points, armed, now_ms

ROUTES = {**PRODUCT_ROUTES, "release": Route(RELEASES, "tests.faults.armed_worker.advance_release")}


def advance_release(wake_id: str, token: str) -> None:
    """As jobs.advance_release; the lease ends between the last two points."""
    redis = connect(redis_url())
    points = Points(redis, wake_id.partition(":")[2])
    with lease(wake_id, token) as held:
        if not held.granted:
            return
        held.next_wake = operation(armed(job_context(), points), held.subject)
        points.reach("before wake")
        redis.hset(TICKED, held.subject, now_ms(redis))
        redis.hincrby(RAN, os.getpid(), 1)
    points.reach("after wake")


def main(argv: Sequence[str]) -> int:
    """The number of processes for releases."""
    settings, catalog = load_configuration("worker")
    configure_logging(settings.log_level, settings.log_format)
    context = make_context(settings, catalog)
    prepare(JobResources(settings.redis_url, context), (*JOB_MODULES, "tests.faults.armed_worker"))
    watch = partial(watch_clusters, context)
    return supervise(Crew(settings, processes=int(argv[0]), watch=watch, routes=ROUTES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
