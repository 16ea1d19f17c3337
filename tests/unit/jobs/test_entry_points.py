"""The jobs that RQ runs by name: they exist under the names the queue uses, and stay small."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from bot.work_queue import QUERY_JOB, ROUTES
from jobs.worker import JOB_MODULES

JOBS = sorted({QUERY_JOB, *(route.job for route in ROUTES.values())})


@pytest.mark.parametrize("name", JOBS)
def test_a_job_named_by_a_route_can_be_called(name: str) -> None:
    module, _, function = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_job_is_imported_before_workers_fork() -> None:
    assert {name.rpartition(".")[0] for name in JOBS} == set(JOB_MODULES)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_at_most_twenty_lines(name: str) -> None:
    file = importlib.import_module(name.rpartition(".")[0]).__file__
    assert file is not None and len(Path(file).read_text().splitlines()) <= 20
