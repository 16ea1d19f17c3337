"""A local Slack, a small app that shows every surface, and Debian's chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page
from slack_bolt import Ack, App
from slack_bolt.adapter.starlette import SlackRequestHandler
from slack_sdk import WebClient
from starlette.requests import Request
from starlette.responses import Response

from sandbox.slack import LocalSlack
from tests.shared_server import SharedServer
from tests.unit.sandbox_slack.conftest import served

Json = dict[str, Any]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


MANIFEST = """
display_information: {name: Pilothouse}
features:
  slash_commands:
    - {command: /deploy, description: Start a release, usage_hint: APP VERSION}
    - {command: /pods, description: The pods of an app, usage_hint: APP}
settings: {event_subscriptions: {bot_events: [app_mention, app_home_opened]}}
"""


def card(share: int) -> list[Json]:
    confirm = {
        "title": plain("Abort hello-1?"),
        "text": plain("The candidate goes."),
        "confirm": plain("Abort it"),
        "deny": plain("Keep going"),
    }
    return [
        {"type": "header", "text": plain("hello 1.0.0 → 2.0.0")},
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "text": f"*Canary* at *{share} %* with `hello:2.0.0` for <@U0DEV1> in <#C0RANDOM>",
            },
        },
        {
            "type": "context",
            "elements": [
                {"type": "mrkdwn", "text": "Since <!date^1700000000^{date_num} {time}|some time>"}
            ],
        },
        {
            "type": "actions",
            "block_id": "gate",
            "elements": [
                {"type": "button", "action_id": "pause", "text": plain("Pause")},
                {
                    "type": "button",
                    "action_id": "abort",
                    "style": "danger",
                    "text": plain("Abort"),
                    "confirm": confirm,
                },
            ],
        },
    ]


VIEW: Json = {
    "type": "modal",
    "callback_id": "deploy",
    "title": plain("Deploy"),
    "submit": plain("Start"),
    "blocks": [
        {
            "type": "input",
            "block_id": "app",
            "label": plain("App"),
            "element": {
                "type": "external_select",
                "action_id": "app",
                "min_query_length": 0,
                "placeholder": plain("Choose an app"),
            },
        },
        {
            "type": "input",
            "block_id": "version",
            "label": plain("Version"),
            "element": {"type": "plain_text_input", "action_id": "version"},
        },
        {
            "type": "input",
            "block_id": "strategy",
            "label": plain("Strategy"),
            "element": {
                "type": "radio_buttons",
                "action_id": "strategy",
                "options": [
                    {"text": plain("Rolling"), "value": "rolling"},
                    {"text": plain("Canary"), "value": "canary"},
                ],
            },
        },
    ],
}


def add_listeners(app: App, submitted: list[Json]) -> None:
    add_commands(app)
    add_forms(app, submitted)


def add_commands(app: App) -> None:
    @app.command("/deploy")
    def deploy(ack: Ack, command: Json, client: WebClient) -> None:
        if not command["text"]:
            ack()
            client.views_open(trigger_id=command["trigger_id"], view=VIEW)
            return
        ack("Received: hello 2.0.0")
        client.chat_postMessage(
            channel=command["channel_id"], text="hello 1.0.0 → 2.0.0 · 20 %", blocks=card(20)
        )

    @app.command("/pods")
    def pods(ack: Ack) -> None:
        rows = [
            [{"type": "raw_text", "text": text} for text in row]
            for row in (["Pod", "Image"], ["hello-6d4f-abcde", "hello:1.0.0"])
        ]
        ack(text="1 pod", blocks=[{"type": "table", "rows": rows}], response_type="in_channel")

    @app.action("pause")
    def pause(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text="hello paused at 40 %",
            blocks=card(40),
        )

    @app.action("abort")
    def abort(ack: Ack, body: Json, client: WebClient) -> None:
        ack()
        client.chat_update(
            channel=body["channel"]["id"],
            ts=body["message"]["ts"],
            text="hello-1 was aborted",
            blocks=card(0)[:3],
        )


def add_forms(app: App, submitted: list[Json]) -> None:
    @app.options("app")
    def apps(ack: Ack, payload: Json) -> None:
        ack(
            options=[
                {"text": plain(name), "value": name}
                for name in ("hello", "auth")
                if payload["value"] in name
            ]
        )

    @app.view("deploy")
    def take(ack: Ack, view: Json) -> None:
        values = view["state"]["values"]
        if values["version"]["version"]["value"] == "9":
            ack(response_action="errors", errors={"version": "no such version"})
            return
        submitted.append(values)
        ack()

    @app.event("app_home_opened")
    def home(event: Json, client: WebClient) -> None:
        section = {"type": "section", "text": {"type": "mrkdwn", "text": "*hello-1* waits for you"}}
        client.views_publish(
            user_id=event["user"],
            view={
                "type": "home",
                "blocks": [{"type": "header", "text": plain("Releases")}, section],
            },
        )

    @app.event("app_mention")
    def mentioned(event: Json, client: WebClient) -> None:
        client.chat_postMessage(
            channel=event["channel"], thread_ts=event["ts"], text="At your service"
        )


@pytest.fixture(scope="session")
def submitted() -> list[Json]:
    return []


@pytest.fixture(scope="session")
def running(submitted: list[Json], shared_server: SharedServer) -> Iterator[LocalSlack]:
    with LocalSlack(rate_scale=0) as slack:
        app = App(
            client=WebClient(token="xoxb-local", base_url=slack.api_url),
            signing_secret="local-signing-secret",
            process_before_response=True,
        )
        add_listeners(app, submitted)
        handler = SlackRequestHandler(app)

        async def endpoint(request: Request) -> Response:
            return await handler.handle(request)

        with served(shared_server, endpoint) as url:
            assert slack.connect(url, verify=True)["verified"]
            assert slack.install(MANIFEST)["ok"]
            yield slack


@pytest.fixture
def slack(running: LocalSlack) -> LocalSlack:
    running.reset()
    return running


@pytest.fixture
def page(browser: Browser, slack: LocalSlack) -> Iterator[Page]:
    """Fails the test when the page asks for anything from elsewhere or logs an error."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, bypass_csp=True)
    opened = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    opened.on(
        "request",
        lambda request: (
            outside.append(request.url)
            if not request.url.startswith((slack.url, "data:"))
            else None
        ),
    )
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.set_default_timeout(8_000)
    opened.goto(slack.url)
    opened.wait_for_selector(".first-commands")
    yield opened
    context.close()
    assert outside == []
    assert errors == []


def composer(page: Page) -> Locator:
    return page.locator("#composer textarea")


def say(page: Page, text: str) -> None:
    composer(page).fill(text)
    composer(page).press("Enter")
