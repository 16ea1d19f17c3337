"""The job of one query, before it reaches the operation."""

from __future__ import annotations

import pytest

from jobs.run_query import run_query


def test_an_unreadable_query_is_refused_with_a_logged_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_query({"kind": "pods", "apps": ["hello"]})
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage() == "refused an unreadable query: command: Field required"
