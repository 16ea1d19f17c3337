"""A changed catalog or credential is taken up while the process runs; a bad one changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bot.configuration import LiveConfiguration
from config.catalog import CatalogSettings
from config.settings import Settings

CATALOG = "clusters: {local: {in_cluster: true}}\napps:\n  hello: {}\n"


class Files:
    """What a process is given, and what it has taken up of it."""

    def __init__(self, folder: Path) -> None:
        self.catalog, self.token, self.password = (
            folder / name for name in ("catalog.yaml", "token", "password")
        )
        self.catalog.write_text(CATALOG)
        self.token.write_text("xoxb-1")
        self.password.write_text("first")
        self.used: list[tuple[Settings, CatalogSettings]] = []

    def renew(self, live: LiveConfiguration) -> None:
        """A change is taken up at the second time that finds it."""
        for _ in range(3):
            live.renew(lambda settings, catalog: self.used.append((settings, catalog)))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    made = Files(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_CONFIG", str(made.catalog))
    monkeypatch.setenv("SLACK_BOT_TOKEN_FILE", str(made.token))
    monkeypatch.setenv("REDIS_URL", "redis://worker@127.0.0.1:6379/0")
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(made.password))
    return made


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_a_changed_catalog_is_taken_up(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    live = LiveConfiguration("worker")
    files.catalog.write_text(CATALOG + "  auth: {}\n")
    files.renew(live)
    ((_, catalog),) = files.used
    assert [*catalog.apps] == ["hello", "auth"] == [*live.catalog.apps]
    (line,) = caplog.messages
    assert line.startswith("new configuration in force: 2 apps, 1 clusters; taken up in")


def test_a_bad_catalog_is_refused_in_one_line(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveConfiguration("worker")
    files.catalog.write_text("apps: {hello: {servces: []}}\nclusters: 7\n")
    files.renew(live)
    assert files.used == [] and [*live.catalog.apps] == ["hello"]
    (line,) = caplog.messages
    assert line.startswith("the changed configuration is refused, and nothing changes: ")
    assert line.endswith(" (and 1 more)") and "\n" not in line and "servces" in line
    assert live.refusal in line


def test_a_refusal_ends_when_the_old_catalog_is_back(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveConfiguration("worker")
    files.catalog.write_text("apps: 7\n")
    files.renew(live)
    files.catalog.write_text(CATALOG)
    files.renew(live)
    assert live.refusal == "" and files.used == []
    assert caplog.messages[1:] == ["the configuration is valid again"]


def test_a_file_that_is_written_again_with_the_same_text_changes_nothing(files: Files) -> None:
    live = LiveConfiguration("worker")
    files.catalog.unlink()
    files.catalog.write_text(CATALOG)
    files.renew(live)
    assert files.used == []


def test_changed_credentials_are_read_again(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    live = LiveConfiguration("worker")
    files.token.write_text("xoxb-2\n")
    files.renew(live)
    files.password.write_text("second\n")
    files.renew(live)
    assert [one.slack_bot_token for one, _ in files.used] == ["xoxb-2", "xoxb-2"]
    assert live.settings.redis_url == "redis://worker:second@127.0.0.1:6379/0"
    assert "xoxb" not in caplog.text and "second" not in caplog.text


def test_an_emptied_secret_is_refused(files: Files) -> None:
    live = LiveConfiguration("worker")
    files.token.write_text("")
    files.renew(live)
    assert live.refusal.startswith("SLACK_BOT_TOKEN_FILE names") and live.refusal.endswith("empty")
    assert live.settings.slack_bot_token == "xoxb-1"
