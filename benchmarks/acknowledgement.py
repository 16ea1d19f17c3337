"""How soon a slash command is acknowledged at 50 requests a second, beside a Bolt app that does
nothing but acknowledge."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx

from benchmarks.rows import Row, percentile
from sandbox.main import DEMO, run_sandbox

PER_SECOND, SECONDS, WARM_UP = 50, 10, 50


def signed(secret: str, body: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return {
        "X-Slack-Signature": f"v0={digest}",
        "X-Slack-Request-Timestamp": stamp,
        "Content-Type": "application/x-www-form-urlencoded",
    }


def command_body(number: int, text: str) -> str:
    fields = {
        "token": "t",
        "team_id": "T0LOCAL",
        "team_domain": "local",
        "channel_id": "C0RELEASES",
        "channel_name": "releases",
        "user_id": "U0DEV1",
        "user_name": "developer",
        "command": "/deploy",
        "text": text,
        "api_app_id": "A0LOCAL",
        "response_url": "http://127.0.0.1:1/none",
        "trigger_id": f"bench.{time.time_ns()}.{number}",
    }
    return urlencode(fields)


def load(url: str, secret: str) -> list[float]:
    """Milliseconds of each answer; requests leave on time, whether or not earlier ones are
    answered."""
    times: list[float] = []
    lock = threading.Lock()
    with httpx.Client(
        timeout=5.0, trust_env=False, limits=httpx.Limits(max_keepalive_connections=50)
    ) as client:

        def send(number: int, measured: bool) -> None:
            body = command_body(number, "hello 2.0.0")
            headers = signed(secret, body)
            began = time.perf_counter()
            answer = client.post(f"{url}/slack/events", content=body, headers=headers)
            took = (time.perf_counter() - began) * 1000
            if answer.status_code != 200:
                raise RuntimeError(f"the app answered {answer.status_code}: {answer.text[:200]}")
            if measured:
                with lock:
                    times.append(took)

        for number in range(WARM_UP):
            send(number, False)
        threads = []
        began = time.perf_counter()
        for number in range(PER_SECOND * SECONDS):
            time.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
            thread = threading.Thread(target=send, args=(WARM_UP + number, True))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
    return times


def bare_bolt() -> list[float]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bare_bolt"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            return load(url, "local-signing-secret")
        finally:
            process.terminate()


def under_attack(url: str, secret: str) -> list[float]:
    arguments = [sys.executable, "-m", "benchmarks.hostile_clients", url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            return load(url, secret)
        finally:
            process.kill()


def run() -> list[Row]:
    baseline = bare_bolt()
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        shutil.copytree(DEMO, demo)
        catalog = demo / "catalog.yaml"
        # The first command's release waits for an approval, so that all others are the same command
        # typed again.
        waiting = "strategy: rolling\n  approvals: {start: 1}"
        catalog.write_text(
            catalog.read_text(encoding="utf-8").replace("strategy: rolling", waiting),
            encoding="utf-8",
        )
        with run_sandbox(demo=demo) as sandbox:
            secret = sandbox.slack.settings.signing_secret
            ours = load(sandbox.bot_url, secret)
            attacked = under_attack(sandbox.bot_url, secret)
    p99, base99 = percentile(ours, 0.99), percentile(baseline, 0.99)
    attacked99 = percentile(attacked, 0.99)
    settings = (
        f"{PER_SECOND}/s for {SECONDS} s, loopback, baseline: bare Bolt, process_before_response"
    )
    return [
        Row(
            "acknowledgement p50",
            "ms",
            percentile(ours, 0.5),
            "-",
            True,
            percentile(baseline, 0.5),
            settings,
        ),
        Row(
            "acknowledgement p99",
            "ms",
            p99,
            "<= 25 ms, <= 3x",
            p99 <= 25 and p99 <= 3 * base99,
            base99,
            settings,
        ),
        Row(
            "acknowledgement p99, 8 hostile clients",
            "ms",
            attacked99,
            "<= 100 ms, <= 3x",
            attacked99 <= 100 and attacked99 <= 3 * p99,
            p99,
            f"{PER_SECOND}/s for {SECONDS} s, loopback, baseline: the same without them",
        ),
    ]
