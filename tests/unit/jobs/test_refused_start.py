"""Every process beside a Redis that refuses: one clear line, again and again the same, and no
traceback. `test_start` shows that each starts to work once Redis lets it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from bot.doctor import main as doctor
from bot.terminal import main as releases
from tests.conftest import eventually
from tests.fakes.refusing_redis import refusing_redis
from tests.processes import Started, started
from tests.spawned import spawner

REFUSALS = {
    "NOAUTH Authentication required.": "rejected the credentials",
    "NOPERM User worker has no permissions to run the 'evalsha' command": "denied a command",
    "DENIED Redis is running in protected mode because protected mode is enabled": "protected mode",
    "WRONGPASS invalid username-password pair or user is disabled.": "rejected the credentials",
    "LOADING Redis is loading the dataset in memory": "loading its data",
    "MISCONF Redis is configured to save RDB snapshots, but it's unable to": "refuses writes",
}
CATALOG = """
clusters: {local: {kubeconfig: ./none}}
apps: {hello: {cluster: local}}
"""
COMMANDS = {"releases": releases, "doctor": doctor}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    return {
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_SIGNING_SECRET": "secret",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "PILOTHOUSE_CONFIG": str(tmp_path / "catalog.yaml"),
    }


def url_of(port: int) -> str:
    return f"redis://worker:pa55word@127.0.0.1:{port}/0"


@pytest.mark.parametrize("error", REFUSALS, ids=lambda text: text.split()[0])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_redis_that_refuses_is_one_line_of_a_command(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    error: str,
) -> None:
    with refusing_redis(error) as port:
        for name, value in {**environment, "REDIS_URL": url_of(port)}.items():
            monkeypatch.setenv(name, value)
        assert COMMANDS[command]([]) == 1
    said = "".join(capsys.readouterr())
    assert REFUSALS[error] in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize("error", REFUSALS, ids=lambda text: text.split()[0])
def test_a_redis_that_refuses_is_one_line_from_every_process(
    environment: dict[str, str], tmp_path: Path, error: str
) -> None:
    says = REFUSALS[error]

    def shows(child: Started) -> bool:
        """At /readyz, and a worker, which reads Redis by itself, in its log."""
        logged = child.log.name != "worker" or says in child.log.read_text()
        return logged and says in child.why_not_ready()

    with refusing_redis(error) as port:
        given = {**environment, "REDIS_URL": url_of(port)}
        for name in ("bot", "worker", "watcher"):
            log = tmp_path / name
            with started(name, given, log, launch=spawner().spawn) as child:
                assert eventually(partial(shows, child), 60), log.read_text()
                assert not child.is_over()
            assert "Traceback" not in log.read_text(), log.read_text()
        for name in COMMANDS:
            log = tmp_path / name
            with started(name, given, log, launch=spawner().spawn) as child:
                assert child.process.wait(60) == 1
            assert says in log.read_text()
            assert "Traceback" not in log.read_text(), log.read_text()
