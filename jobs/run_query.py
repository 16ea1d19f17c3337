"""Answer one question: a table, an explanation, a plan."""

from __future__ import annotations

from typing import Any

from bot.operations.queries.run_query import run_query as operation
from jobs.resources import job_context


def run_query(query: dict[str, Any]) -> None:
    operation(job_context(), query)
