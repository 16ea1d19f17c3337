"""From `pilothouse init` to the first release, with nothing between but what it says to do."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from bot.setup.init import main as init
from bot.setup.report import CATALOG, MANIFEST, VALUES
from config.check import main as check
from sandbox.cluster import SimulatedCluster
from sandbox.main import run_sandbox
from tests.journeys.conftest import CHANNEL, DEVELOPER, WITHIN_S, objects_of
from tests.spawned import spawner


def test_the_first_deploy_with_what_init_wrote_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SimulatedCluster(ready_after=0.2) as cluster:
        cluster.seed(objects_of("hello", 3))
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        began = time.monotonic()
        words = ["--directory", str(tmp_path), "--kubeconfig", str(kubeconfig)]
        answers = f"{CHANNEL}\n{DEVELOPER}\n\n\n"
        assert init(words, io.StringIO(answers)) == 0, capsys.readouterr().err
        assert check([str(tmp_path / CATALOG)]) == check([str(tmp_path / VALUES)]) == 0
        wrote = time.monotonic()
        with run_sandbox(
            demo=tmp_path, kubeconfig=kubeconfig, socket_mode=True, launch=spawner().spawn
        ) as sandbox:
            slack = sandbox.slack
            slack.install((tmp_path / MANIFEST).read_text(encoding="utf-8"))
            started = time.monotonic()
            slack.command(DEVELOPER, CHANNEL, "/deploy hello 2.0.0")

            def is_done() -> bool:
                found = slack.messages(CHANNEL, DEVELOPER, about="hello")
                return any("hello is on 2.0.0" in one["text"] for one in found)

            slack.wait_for(is_done, seconds=WITHIN_S, what="the first release")
            done = time.monotonic()
    with capsys.disabled():
        print(
            f"\ninit and check {wrote - began:.1f} s, start of bot and worker"
            f" {started - wrote:.1f} s, first /deploy {done - started:.1f} s:"
            f" {done - began:.1f} s in all"
        )
