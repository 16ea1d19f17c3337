"""A bot that runs works with another catalog and other credentials from one request to the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from bot.operations.context import Context
from bot.slack.app import PromptApp, build_app
from bot.slack.http import make_asgi
from bot.slack.socket_mode import make_handler
from config.settings import Settings
from sandbox.slack import LocalSlack
from sandbox.slack.signing import signature_headers
from tests.shared_server import SharedServer
from tests.unit.slack.conftest import CHANNEL

UNSIGNED = 401


@pytest.fixture
def app(context: Context, settings: Settings) -> PromptApp:
    return build_app(context, settings)


@pytest.fixture
def url(app: PromptApp, shared_server: SharedServer, slack: LocalSlack) -> Iterator[str]:
    with shared_server.serving(make_asgi(app)) as url:
        slack.connect(f"{url}/slack/events")
        yield url


@pytest.mark.usefixtures("url")
def test_an_app_of_the_new_catalog_is_known(
    app: PromptApp, slack: LocalSlack, context: Context, settings: Settings
) -> None:
    catalog = replace(context.catalog, apps={"hello": context.catalog.apps["hello"]})
    app.renew(replace(context, catalog=catalog), settings)
    assert "`auth`" in slack.command("U0DEV1", CHANNEL, "/deploy auth 2.0.0")["text"]
    app.renew(context, settings)
    answer = slack.command("U0DEV1", CHANNEL, "/deploy auth 2.0.0")
    assert answer["text"] == "auth → 2.0.0 rolling: started as auth-1."


def test_both_signing_secrets_are_taken_while_one_is_exchanged(
    app: PromptApp, url: str, context: Context, settings: Settings
) -> None:
    def status(secret: str) -> int:
        body = b"ssl_check=1"
        headers = signature_headers(secret, body, int(time.time()))
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return httpx.post(f"{url}/slack/events", content=body, headers=headers).status_code

    before = settings.slack_signing_secret
    assert status("other") == UNSIGNED
    app.renew(context, replace(settings, slack_signing_secret=f"other\n{before}\n"))
    assert UNSIGNED not in (status("other"), status(before))
    app.renew(context, replace(settings, slack_signing_secret="other"))
    assert status("other") != UNSIGNED and status(before) == UNSIGNED


def test_the_next_socket_is_opened_with_the_new_app_token(
    app: PromptApp, context: Context, settings: Settings
) -> None:
    app.settings = replace(settings, slack_app_token="xapp-1")
    handler = make_handler(app)
    app.renew(context, replace(settings, slack_app_token="xapp-2"))
    assert handler.client.app_token == "xapp-2"
    handler.client.close()
