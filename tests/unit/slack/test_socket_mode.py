"""The same listeners over Socket Mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from slack_bolt.adapter.socket_mode import SocketModeHandler

from bot.slack.app import build_app
from bot.slack.socket_mode import connect
from config.settings import Settings
from sandbox.slack import LocalSlack
from tests.unit.slack.conftest import CHANNEL, Bot


@pytest.fixture
def connected(bot: Bot, slack: LocalSlack, settings: Settings) -> Iterator[LocalSlack]:
    token = slack.settings.app_token
    app = build_app(bot.context, replace(settings, slack_app_token=token, slack_signing_secret=""))
    handler = SocketModeHandler(app, token)
    connect(handler, threading.Event())
    try:
        yield slack
    finally:
        handler.client.close()


def test_a_command_over_socket_mode_starts_a_release(bot: Bot, connected: LocalSlack) -> None:
    answer = connected.command("U0DEV1", CHANNEL, "/deploy hello 2.0.0")
    assert answer["text"] == "hello → 2.0.0 rolling: started as hello-1."
    assert [entry["transport"] for entry in connected.log(kind="delivery", name="/deploy")] == [
        "socket"
    ]
    assert len(bot.store.active()) == 1


def test_connecting_stops_when_the_bot_stops(settings: Settings, bot: Bot) -> None:
    nowhere = replace(settings, slack_api_url="http://127.0.0.1:9/api/", slack_app_token="xapp-1")
    handler = SocketModeHandler(build_app(bot.context, nowhere), "xapp-1")
    ended = threading.Event()
    thread = threading.Thread(target=connect, args=(handler, ended), daemon=True)
    thread.start()
    ended.set()
    thread.join(10)
    assert not thread.is_alive()
    handler.client.close()
