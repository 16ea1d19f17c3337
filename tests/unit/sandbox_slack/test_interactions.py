"""Commands, clicks, modals and events reach a real Bolt app over signed HTTP, and its answers reach
people."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
from typing import Any

import httpx
import pytest
from slack_bolt import Ack, App, Respond
from slack_sdk import WebClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from sandbox.slack import LocalSlack
from tests.unit.sandbox_slack.conftest import Serve

pytestmark = pytest.mark.slow

Json = dict[str, Any]

CARD = [
    {
        "type": "actions",
        "block_id": "gate",
        "elements": [
            {
                "type": "button",
                "action_id": "promote",
                "value": "hello-42",
                "text": {"type": "plain_text", "text": "Promote"},
            }
        ],
    }
]


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


VIEW: Json = {
    "type": "modal",
    "callback_id": "deploy",
    "title": plain("Deploy"),
    "submit": plain("Start"),
    "notify_on_close": True,
    "blocks": [
        {
            "type": "input",
            "block_id": "app",
            "label": plain("App"),
            "element": {"type": "external_select", "action_id": "app", "min_query_length": 0},
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
            "optional": True,
            "label": plain("Strategy"),
            "element": {
                "type": "radio_buttons",
                "action_id": "strategy",
                "options": [{"text": plain("Canary"), "value": "canary"}],
            },
        },
    ],
}


def test_a_command_is_signed_and_carries_slacks_fields(slack: LocalSlack, serve: Serve) -> None:
    seen: list[tuple[dict[str, str], bytes]] = []

    async def endpoint(request: Request) -> Response:
        seen.append((dict(request.headers), await request.body()))
        return PlainTextResponse("")

    slack.connect(serve(endpoint))
    answer = slack.command("U0DEV1", "C0RELEASES", "/deploy hello 2.0.0")
    headers, body = seen[0]
    base = b"v0:" + headers["x-slack-request-timestamp"].encode() + b":" + body
    assert (
        headers["x-slack-signature"]
        == "v0=" + hmac.new(b"local-signing-secret", base, hashlib.sha256).hexdigest()
    )
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    fields = answer["payload"]
    assert (fields["command"], fields["text"], fields["user_id"], fields["channel_name"]) == (
        "/deploy",
        "hello 2.0.0",
        "U0DEV1",
        "releases",
    )
    assert fields["response_url"].startswith(slack.url)
    assert answer["ok"]
    assert answer["text"] == ""


def test_a_text_reply_is_private_and_in_channel_is_public(slack: LocalSlack, app: App) -> None:
    app.command("/whoami")(lambda ack: ack("You are a developer"))
    app.command("/pods")(lambda ack: ack(text="3 pods", response_type="in_channel"))
    answer = slack.command("U0DEV1", "C0RELEASES", "/whoami")
    assert answer["text"] == "You are a developer"
    assert answer["ack_ms"] < 3000
    assert slack.messages("C0RELEASES", "U0DEV2") == []
    slack.command("U0DEV1", "C0RELEASES", "/pods")
    assert [message["text"] for message in slack.messages("C0RELEASES", "U0DEV2")] == [
        "/pods",
        "3 pods",
    ]


def test_an_app_slower_than_the_timer_gives_operation_timeout(serve: Serve) -> None:
    release = threading.Event()

    async def endpoint(_request: Request) -> Response:
        await asyncio.to_thread(release.wait, 30.0)
        return PlainTextResponse("")

    with LocalSlack(ack_seconds=0.2) as slack:
        slack.connect(serve(endpoint))
        answer = slack.command("U0DEV1", "C0RELEASES", "/deploy hello 2.0.0")
        release.set()
        assert answer["error"] == "operation_timeout"
        assert answer["text"] == '/deploy failed with the error "operation_timeout"'
        assert slack.messages("C0RELEASES", "U0DEV2") == []


def test_a_missing_app_gives_dispatch_failed(slack: LocalSlack) -> None:
    assert slack.command("U0DEV1", "C0RELEASES", "/deploy")["error"] == "dispatch_failed"


def test_an_unknown_command_gets_slacks_own_reply(slack: LocalSlack, app: App) -> None:
    manifest = (
        '{"features": {"slash_commands": [{"command": "/deploy", "description": "Start a'
        ' release"}]}}'
    )
    assert slack.install(manifest)["commands"] == ["/deploy"]
    app.command("/deploy")(lambda ack: ack("taken"))
    assert slack.command("U0DEV1", "C0RELEASES", "/deploy x")["text"] == "taken"
    assert slack.command("U0DEV1", "C0RELEASES", "/depoly x")["text"].startswith(
        "/depoly is not a valid command."
    )
    parent = slack.command("U0DEV1", "C0RELEASES", "a thread")["message"]["ts"]
    assert (
        slack.command("U0DEV1", "C0RELEASES", "/deploy x", thread_ts=parent)["text"]
        == "/deploy is not supported in threads. Sorry!"
    )


def test_a_reply_with_invalid_blocks_is_reported_to_the_person(slack: LocalSlack, app: App) -> None:
    app.command("/pods")(lambda ack: ack(blocks=[{"type": "banner"}]))
    answer = slack.command("U0DEV1", "C0RELEASES", "/pods")
    assert answer["error"] == "invalid_blocks"
    assert "unsupported type: banner" in answer["details"][0]


def test_a_response_url_takes_five_replies_within_its_time(app: App) -> None:
    del app
    time = [1_000_000.0]
    with LocalSlack(rate_scale=0, clock=lambda: time[0]) as slack:
        url = slack.command("U0DEV1", "C0RELEASES", "/deploy")["payload"]["response_url"]
        assert (
            httpx.post(url, json={"text": "x", "blocks": [{"type": "banner"}]}).status_code == 400
        )
        for number in range(5):
            assert httpx.post(url, json={"text": str(number)}).text == "ok"
        refused = httpx.post(url, json={"text": "sixth"})
        assert (refused.status_code, refused.json()["error"]) == (404, "used_url")
        late = slack.command("U0DEV1", "C0RELEASES", "/deploy")["payload"]["response_url"]
        time[0] += 1801.0
        assert httpx.post(late, json={"text": "late"}).json()["error"] == "expired_url"


def test_a_click_carries_the_message_and_its_response_url_replaces_it(
    slack: LocalSlack, app: App, client: WebClient
) -> None:
    bodies: list[Json] = []

    @app.action("promote")
    def promote(ack: Ack, body: Json, respond: Respond) -> None:
        ack()
        bodies.append(body)
        respond(text="promoted", replace_original=True)

    ts = client.chat_postMessage(channel="C0RELEASES", text="card", blocks=CARD)["ts"]
    assert slack.click("U0MANAGER", "C0RELEASES", ts, "promote")["ok"]
    action = bodies[0]["actions"][0]
    assert (action["value"], action["block_id"], bodies[0]["user"]["id"]) == (
        "hello-42",
        "gate",
        "U0MANAGER",
    )
    assert bodies[0]["message"]["ts"] == ts
    assert [message["text"] for message in slack.messages("C0RELEASES")] == ["promoted"]
    gone = slack.click("U0MANAGER", "C0RELEASES", ts, "promote")
    assert gone["error"] == "action_not_found"


def test_an_ephemeral_message_is_replaced_and_deleted_through_its_response_url(
    slack: LocalSlack, app: App, client: WebClient
) -> None:
    app.action("promote")(lambda ack: ack())
    ts = client.chat_postEphemeral(channel="C0RELEASES", user="U0DEV1", text="ask", blocks=CARD)[
        "message_ts"
    ]
    assert slack.click("U0DEV2", "C0RELEASES", ts, "promote")["error"] == "message_not_found"
    url = slack.click("U0DEV1", "C0RELEASES", ts, "promote")["payload"]["response_url"]
    httpx.post(url, json={"text": "answered", "replace_original": True})
    assert [message["text"] for message in slack.messages("C0RELEASES", "U0DEV1")] == ["answered"]
    httpx.post(url, json={"delete_original": True})
    assert slack.messages("C0RELEASES", "U0DEV1") == []


def test_a_modal_is_opened_filled_refused_and_accepted(slack: LocalSlack, app: App) -> None:
    submitted: list[Json] = []

    @app.command("/deploy")
    def deploy(ack: Ack, command: Json, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=command["trigger_id"], view=VIEW)

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
        submitted.append(view)
        if view["state"]["values"]["version"]["version"]["value"] != "2.0.0":
            ack(response_action="errors", errors={"version": "no such version"})
        else:
            ack()

    slack.command("U0DEV1", "C0RELEASES", "/deploy")
    view = slack.views("U0DEV1")[0]
    found = slack.options("U0DEV1", "app", "hel", view_id=view["id"])
    assert [option["value"] for option in found["options"]] == ["hello"]
    refused = slack.submit("U0DEV1", {"app": "hello"})
    assert (refused["sent"], refused["errors"]) == (
        False,
        {"version": "Please complete this required field."},
    )
    refused = slack.submit("U0DEV1", {"app": "hello", "version": "9", "strategy": "canary"})
    assert refused["errors"] == {"version": "no such version"}
    assert slack.views("U0DEV1"), "a refused modal stays open"
    assert slack.submit("U0DEV1", {"version": "2.0.0"})["closed"]
    assert slack.views("U0DEV1") == []
    values = submitted[-1]["state"]["values"]
    assert values["app"]["app"]["selected_option"]["value"] == "hello"
    assert values["strategy"]["strategy"]["selected_option"]["value"] == "canary"


def test_a_trigger_opens_one_modal_within_three_seconds() -> None:
    time = [1_000_000.0]
    with LocalSlack(rate_scale=0, clock=lambda: time[0]) as slack:
        client = WebClient(token="xoxb-local", base_url=slack.api_url, retry_handlers=[])

        def trigger() -> str:
            return str(slack.command("U0DEV1", "C0RELEASES", "/deploy")["payload"]["trigger_id"])

        def opened(trigger_id: str) -> str:
            answer = httpx.post(
                f"{slack.url}/api/views.open",
                json={"trigger_id": trigger_id, "view": VIEW},
                headers={"Authorization": "Bearer xoxb-local"},
            ).json()
            return "ok" if answer["ok"] else str(answer["error"])

        first = trigger()
        assert opened(first) == "ok"
        assert opened(first) == "exchanged_trigger_id"
        late = trigger()
        time[0] += 3.1
        assert opened(late) == "expired_trigger_id"
        assert opened("1.2.3") == "invalid_trigger_id"
        view = slack.views("U0DEV1")[0]
        client.views_update(view_id=view["id"], hash=view["hash"], view=VIEW)
        answer = httpx.post(
            f"{slack.url}/api/views.update",
            json={"view_id": view["id"], "hash": view["hash"], "view": VIEW},
            headers={"Authorization": "Bearer xoxb-local"},
        )
        assert answer.json()["error"] == "hash_conflict"


def test_a_closed_modal_is_reported_and_the_home_tab_is_published(
    slack: LocalSlack, app: App
) -> None:
    closed = threading.Event()

    @app.command("/deploy")
    def deploy(ack: Ack, command: Json, client: WebClient) -> None:
        ack()
        client.views_open(trigger_id=command["trigger_id"], view=VIEW)

    @app.view_closed("deploy")
    def left(ack: Ack) -> None:
        ack()
        closed.set()

    @app.event("app_home_opened")
    def home(event: Json, client: WebClient) -> None:
        client.views_publish(
            user_id=event["user"],
            view={"type": "home", "blocks": [{"type": "header", "text": plain("Releases")}]},
        )

    slack.command("U0DEV1", "C0RELEASES", "/deploy")
    slack.close_view("U0DEV1")
    assert closed.wait(30.0)
    slack.open_home("U0DEV1")
    view = slack.wait_for(lambda: slack.home("U0DEV1"))
    assert view["blocks"][0]["text"]["text"] == "Releases"
    assert slack.home("U0DEV2") is None


def test_a_mention_becomes_a_token_and_an_event(slack: LocalSlack, app: App) -> None:
    @app.event("app_mention")
    def mentioned(event: Json, client: WebClient) -> None:
        client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text=event["text"])

    sent = slack.command("U0DEV1", "C0RELEASES", "@Pilothouse status of <hello> & co")["message"]
    assert sent["text"] == "<@U0BOT> status of &lt;hello&gt; &amp; co"
    thread = slack.wait_for(lambda: slack.messages("C0RELEASES", thread_ts=sent["ts"])[1:])
    assert thread[0]["text"] == sent["text"]


def test_an_event_is_sent_again_up_to_three_times_with_the_same_id(
    slack: LocalSlack, serve: Serve
) -> None:
    seen: list[tuple[str | None, str | None, str]] = []

    async def endpoint(request: Request) -> Response:
        body = await request.json()
        headers = request.headers
        seen.append(
            (
                headers.get("x-slack-retry-num"),
                headers.get("x-slack-retry-reason"),
                body["event_id"],
            )
        )
        return PlainTextResponse("no", status_code=500)

    slack.connect(serve(endpoint))
    slack.command("U0DEV1", "C0RELEASES", "@Pilothouse hello")
    slack.wait_for(lambda: len(slack.log(kind="delivery", name="app_mention")) == 4)
    assert [(number, reason) for number, reason, _ in seen] == [
        (None, None),
        ("1", "http_error"),
        ("2", "http_error"),
        ("3", "http_error"),
    ]
    assert len({event_id for _, _, event_id in seen}) == 1


def test_a_person_of_another_team_is_sent_with_that_team(slack: LocalSlack) -> None:
    payload = slack.command("U0PARTNER", "C0SHARED", "/deploy")["payload"]
    assert payload["team_id"] == "T0PARTNER"
    assert slack.command("U0PARTNER", "C0RELEASES", "/deploy")["error"] == "not_in_channel"


def test_reset_forgets_messages_but_keeps_the_app(slack: LocalSlack, app: App) -> None:
    app.command("/help")(lambda ack: ack("help"))
    slack.command("U0DEV1", "C0RELEASES", "/help")
    slack.reset()
    assert slack.messages("C0RELEASES", "U0DEV1") == []
    assert slack.command("U0DEV1", "C0RELEASES", "/help")["text"] == "help"


def test_errors_in_control_calls_are_named(slack: LocalSlack) -> None:
    assert slack.post("command", user="U0DEV1")["details"] == ["`channel` is missing"]
    assert slack.install("features: {slash_commands: [{command: deploy}]}")["ok"] is False
    assert "a fault's kind is one of" in slack.fault("lightning")["details"][0]
