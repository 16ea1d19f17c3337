"""``python -m tests.fakes.recording_worker URL``: the real supervisor, ticker and RQ workers,
running recording jobs."""

from __future__ import annotations

import sys
from pathlib import Path

from bot.work_queue import DELIVERY, QUERIES, RELEASES, Route
from config.logs import configure_logging
from config.settings import Settings
from jobs.resources import JobResources
from jobs.worker import Crew, prepare, supervise

JOB = "tests.fakes.recording_jobs.note"


def main(url: str) -> int:
    configure_logging("info", "text")
    settings = Settings(redis_url=url, config=Path("unused"), metrics_port=0)
    prepare(JobResources(url), ["tests.fakes.recording_jobs"])
    routes = {
        "release": Route(RELEASES, JOB),
        "deliver": Route(DELIVERY, JOB),
        "sweep": Route(QUERIES, JOB),
    }
    job = "tests.fakes.recording_jobs.answer"
    return supervise(Crew(settings, processes=2, watch=None, routes=routes, query_job=job))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
