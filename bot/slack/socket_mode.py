"""The same listeners over a WebSocket that the bot opens, so that Slack needs no address of the
bot."""

from __future__ import annotations

import logging
import threading

from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk.errors import SlackApiError

from bot.slack.app import PromptApp
from bot.slack.http import serve_http
from bot.slack.request_metrics import RequestMetrics
from config.settings import Settings

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 30.0
_log = logging.getLogger(__name__)


def make_handler(app: PromptApp) -> SocketModeHandler:
    """Slack closes a connection every few hours; the next one is asked for with the app token of
    then."""
    handler = SocketModeHandler(app, app.settings.slack_app_token)

    def take_token(settings: Settings) -> None:
        handler.client.app_token = settings.slack_app_token

    app.on_renewal.append(take_token)
    return handler


def serve_socket_mode(app: PromptApp, metrics: RequestMetrics) -> int:
    """Connect, serve health and metrics until SIGTERM or SIGINT, close."""
    handler = make_handler(app)
    ended = threading.Event()
    opener = threading.Thread(
        target=connect, args=(handler, ended), name="socket-mode", daemon=True
    )
    opener.start()
    try:
        return serve_http(app, metrics, takes_requests=False)
    finally:
        ended.set()
        handler.client.close()


def connect(handler: SocketModeHandler, ended: threading.Event) -> None:
    """Retries until Slack accepts the first connection; slack_sdk renews it afterwards."""
    wait = FIRST_WAIT_SECONDS
    while not ended.is_set():
        try:
            handler.client.connect()
            _log.info("connected to Slack by Socket Mode")
            return
        except (SlackApiError, OSError) as error:
            _log.warning(
                "Slack refused the Socket Mode connection (%s); retrying in %.0f s",
                error,
                wait,
            )
        if ended.wait(wait):
            return
        wait = min(LONGEST_WAIT_SECONDS, wait * 2)
