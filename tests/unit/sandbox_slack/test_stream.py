"""The live updates of an open page."""

from __future__ import annotations

import httpx
import pytest

from sandbox.slack import LocalSlack


def test_the_end_is_quiet_while_a_page_is_open(capfd: pytest.CaptureFixture[str]) -> None:
    """Else Ctrl-C shows a traceback for each open page."""
    slack = LocalSlack(rate_scale=0).start()
    stream = httpx.stream("GET", f"{slack.url}/_sandbox/stream?user=U0DEV1", trust_env=False)
    with stream as events:
        lines = events.iter_raw()  # the page keeps reading
        assert next(lines) == b": connected\n\n"
        slack.stop()
    assert capfd.readouterr().err == ""
