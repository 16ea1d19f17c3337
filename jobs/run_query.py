"""Answer one question: a table, an explanation, a plan."""

from __future__ import annotations

from typing import Any

from bot.operations.queries.run_query import run_query as operation
from bot.wiring import worker_context


def run_query(query: dict[str, Any]) -> None:
    operation(worker_context(), query)
