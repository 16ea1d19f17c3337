"""The log lines of a crashed release reach the requester, redacted, and no one else. No pod of a
KWOK node writes logs."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from sandbox.main import DEMO, run_sandbox
from tests.journeys.conftest import CHANNEL, DEVELOPER, MANAGER, Journey

DIRECT = "D0DEV1"
LINES = ["connecting with password=hunter2", "panic: no config"]


@pytest.fixture
def crashing(tmp_path: Path) -> Iterator[Journey]:
    """hello 2.0.0 crashes at once, and one restart within a second is enough to say so."""
    demo = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    catalog = yaml.safe_load((demo / "catalog.yaml").read_text(encoding="utf-8"))
    catalog["apps"]["hello"]["crash_loop"] = {"restarts": 1, "for": "1s"}
    (demo / "catalog.yaml").write_text(yaml.safe_dump(catalog), encoding="utf-8")
    with contextlib.ExitStack() as opened:
        sandbox = opened.enter_context(run_sandbox(demo=demo, ready_after=0.2, rate_scale=0))
        api = opened.enter_context(
            contextlib.closing(config.new_client_from_config(str(sandbox.kubeconfig)))
        )
        # A pod takes its log with it, and here it is gone as soon as the rollback begins.
        administer(api, "timings", {"back_off": 0.3, "stop_after": 0})
        administer(
            api,
            "images",
            {"pattern": "pilothouse/hello:2.0.0", "behaviour": {"kind": "crash", "logs": LINES}},
        )
        yield Journey("hello", sandbox, api)


def administer(api: client.ApiClient, what: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{api.configuration.host}/_sandbox/{what}", json.dumps(body).encode(), method="PUT"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


@pytest.mark.slow
def test_only_the_requester_gets_the_log_lines_of_a_crash(crashing: Journey) -> None:
    crashing.say("/deploy hello 2.0.0")
    crashing.sees(r"CrashLoopBackOff")
    crashing.sees(r"hello is back on 1\.0\.0")
    slack = crashing.sandbox.slack
    told = crashing.until(
        lambda: next(
            (
                m["text"]
                for m in slack.messages(DIRECT, DEVELOPER)
                if "the last log lines" in m["text"]
            ),
            "",
        ),
        "the log lines",
    )
    assert "panic: no config" in told
    assert "password=[redacted]" in told and "hunter2" not in told
    assert not any("panic" in json.dumps(message) for message in slack.messages(CHANNEL, MANAGER))
