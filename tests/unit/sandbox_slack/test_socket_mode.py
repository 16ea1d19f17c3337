"""The real Socket Mode client connects, gets envelopes, answers them, and connects anew
when asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from slack_bolt import Ack, App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack import LocalSlack

pytestmark = pytest.mark.slow

Json = dict[str, Any]


@pytest.fixture(scope="module")
def slack() -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0) as running:
        yield running


@pytest.fixture
def client(slack: LocalSlack) -> WebClient:
    slack.reset()
    return WebClient(token="xoxb-local", base_url=slack.api_url, retry_handlers=[])


@pytest.fixture(scope="module")
def connected(slack: LocalSlack) -> Iterator[App]:
    """One connection for this file: the SDK takes three seconds to close one."""
    app = App(
        client=WebClient(token="xoxb-local", base_url=slack.api_url), process_before_response=True
    )
    handler = SocketModeHandler(app, "xapp-local")
    handler.connect()  # type: ignore[no-untyped-call]
    slack.wait_for(lambda: slack.get("workspace")["transport"] == "socket")
    yield app
    handler.close()  # type: ignore[no-untyped-call]


def test_commands_and_clicks_arrive_as_envelopes(
    slack: LocalSlack, connected: App, client: WebClient
) -> None:
    connected.command("/whoami")(lambda ack: ack("You are a developer"))

    @connected.action("promote")
    def promote(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        client.chat_update(channel=body["channel"]["id"], ts=body["message"]["ts"], text="promoted")

    answer = slack.command("U0DEV1", "C0RELEASES", "/whoami")
    assert answer["text"] == "You are a developer"
    button = {
        "type": "button",
        "action_id": "promote",
        "text": {"type": "plain_text", "text": "Promote"},
    }
    ts = client.chat_postMessage(
        channel="C0RELEASES", text="card", blocks=[{"type": "actions", "elements": [button]}]
    )["ts"]
    assert slack.click("U0MANAGER", "C0RELEASES", ts, "promote")["ok"]
    assert slack.messages("C0RELEASES")[0]["text"] == "promoted"
    assert {entry["transport"] for entry in slack.log(kind="delivery")} == {"socket"}


def test_events_arrive_over_the_socket(
    slack: LocalSlack, connected: App, client: WebClient
) -> None:
    @connected.event("app_mention")
    def mentioned(event: Json, client: WebClient) -> None:
        client.chat_postMessage(channel=event["channel"], text=f"hello <@{event['user']}>")

    assert client.conversations_history(channel="C0RELEASES")["messages"] == []
    slack.command("U0DEV1", "C0RELEASES", "@Pilothouse hello")
    slack.wait_for(
        lambda: "hello <@U0DEV1>" in [message["text"] for message in slack.messages("C0RELEASES")]
    )


def test_the_client_reconnects_when_slack_asks(slack: LocalSlack, connected: App) -> None:
    connected.command("/still-here")(lambda ack: ack("still here"))
    assert slack.disconnect(reason="refresh_requested")["connections"] == 1
    slack.wait_for(lambda: slack.get("workspace")["transport"] == "socket", what="a new connection")
    slack.wait_for(
        lambda: slack.command("U0DEV1", "C0RELEASES", "/still-here").get("text") == "still here"
    )


def test_a_ticket_opens_one_connection_and_needs_the_app_token(slack: LocalSlack) -> None:
    wrong = WebClient(base_url=slack.api_url, retry_handlers=[])
    with pytest.raises(SlackApiError) as refused:
        wrong.apps_connections_open(app_token="xapp-wrong")
    assert refused.value.response["error"] == "invalid_auth"
    url = wrong.apps_connections_open(app_token="xapp-local")["url"]
    assert url.startswith("ws://127.0.0.1:")
