"""Bot and worker take up a changed catalog while they run, and a release keeps its plan."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from bot.store import connect
from sandbox.main import Sandbox, run_sandbox
from sandbox.redis_server import EmbeddedRedis
from tests.card_buttons import newest_offer, press
from tests.conftest import eventually
from tests.processes import started
from tests.spawned import spawner

CHANNEL, DEVELOPER, MANAGER = "C0RELEASES", "U0DEV1", "U0MANAGER"
IN_FORCE, REFUSED = "new configuration in force: 4 apps", "the changed configuration is refused"
ALL_WORK = "every process works with the new configuration"


def change(file: Path, **apps: dict[str, Any]) -> None:
    catalog = yaml.safe_load(file.read_text())
    for name, entry in apps.items():
        catalog["apps"][name] = {**catalog["apps"]["hello"], **entry}
    file.write_text(yaml.safe_dump(catalog))


class People:
    """They see one channel of a sandbox, and the logs of its processes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.slack = sandbox.slack

    def say(self, text: str) -> str:
        return str(self.slack.command(DEVELOPER, CHANNEL, text).get("text") or "")

    def sees(self, words: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = reversed(self.slack.messages(CHANNEL, DEVELOPER))
            return next((one for one in found if words in one["text"]), None)

        found: dict[str, Any] = self.wait(look, words)
        return found

    def click(self, label: str) -> None:
        def attempt() -> bool:
            offer = newest_offer(self.slack.messages(CHANNEL, MANAGER), label)
            return offer is not None and press(self.slack, MANAGER, CHANNEL, offer)["ok"]

        self.wait(attempt, label)

    def wait(self, look: Callable[[], Any], what: str) -> Any:
        return self.slack.wait_for(look, what=what)

    def logged(self, words: str, *names: str) -> None:
        """By both that read the configuration, or by those named."""
        for name in names or ("bot", "worker"):
            self.wait(partial(self._has_logged, name, words), f"{name}: {words}")

    def _has_logged(self, name: str, words: str) -> bool:
        return words in self.sandbox.part(name).log.read_text()

    def is_refused(self) -> bool:
        with urllib.request.urlopen(f"{self.sandbox.bot_url}/metrics", timeout=10) as answer:
            found = answer.read().decode()
        return bool(re.search(r"^pilothouse_configuration_refused 1\.0$", found, re.MULTILINE))


@pytest.mark.slow
def test_a_changed_catalog_is_in_force_without_a_restart_and_a_bad_one_never_is() -> None:
    with run_sandbox(ready_after=0.2, rate_scale=0, launch=spawner().spawn) as sandbox:
        people = People(sandbox)
        before = {part.name: part.process.pid for part in sandbox.parts}
        assert people.say("/deploy hello 2.0.0 canary hold=1h") == ""
        people.sees("17% · holding")

        change(sandbox.catalog, hello={"canary": {"steps": [90]}}, other={"cluster": "nowhere"})
        people.logged(REFUSED)
        assert people.is_refused()
        assert "`other`" in people.say("/pods other")

        change(sandbox.catalog, other={"deployment": "auth", "services": ["auth"]})
        people.logged(IN_FORCE)
        people.logged(ALL_WORK, "worker")
        assert not people.is_refused()
        people.say("/pods other")
        people.wait(
            lambda: any("auth-" in str(one) for one in sandbox.slack.messages(CHANNEL, DEVELOPER)),
            "the pods of the new app",
        )

        people.click("Continue now")
        people.sees("50% · holding")
        people.click("Continue now")
        people.click("Promote")
        people.sees("hello is on 2.0.0")
        assert {part.name: part.process.pid for part in sandbox.parts} == before


@pytest.mark.slow
@pytest.mark.parametrize("process", ["bot", "worker", "watcher"])
def test_a_process_connects_with_the_password_that_its_file_holds_by_now(
    process: str, tmp_path: Path
) -> None:
    password, catalog = tmp_path / "password", tmp_path / "catalog.yaml"
    password.write_text("first\n")
    catalog.write_text("clusters: {local: {in_cluster: true}}\napps: {hello: {}}\n")
    with EmbeddedRedis() as server:
        admin = connect(server.url)
        admin.acl_setuser(
            "worker", enabled=True, passwords=["+first"], keys=["*"], commands=["+@all"]
        )
        given = {
            "REDIS_URL": server.url.replace("redis://", "redis://worker@"),
            "REDIS_PASSWORD_FILE": str(password),
            "PILOTHOUSE_CONFIG": str(catalog),
            "SLACK_BOT_TOKEN": "xoxb-1",
            "SLACK_SIGNING_SECRET": "secret",
            "SLACK_API_URL": "http://127.0.0.1:9/api/",
        }
        with started(process, given, tmp_path / "log", launch=spawner().spawn) as child:
            assert eventually(child.is_ready), child.log.read_text()
            admin.acl_setuser("worker", enabled=True, passwords=["+second"])
            password.write_text("second\n")
            assert eventually(lambda: "new configuration in force" in child.log.read_text())
            if process != "bot":
                assert eventually(lambda: ALL_WORK in child.log.read_text())
            admin.acl_setuser("worker", enabled=True, passwords=["-first"])
            admin.client_kill_filter(user="worker")
            assert eventually(lambda: child.why_not_ready().strip() == "ready")
            assert eventually(lambda: bool(connected(admin)))
            assert "rejected the credentials" not in child.log.read_text()


def connected(admin: Redis) -> list[Any]:
    clients: list[dict[str, Any]] = admin.client_list()
    return [one for one in clients if one["user"] == "worker"]
