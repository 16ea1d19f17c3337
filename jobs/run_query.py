"""One query: a table, an explanation, a plan."""

from __future__ import annotations

import logging
from typing import Any

from bot.operations.queries.run_query import run_query as operation
from bot.query import UnknownQuery, load_query
from jobs.resources import job_context


def run_query(document: dict[str, Any]) -> None:
    try:
        query = load_query(document)
    except UnknownQuery as unknown:
        logging.getLogger(__name__).error("refused an unreadable query: %s", unknown)
    else:
        operation(job_context(), query)
