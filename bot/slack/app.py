"""The Bolt app: signature and replay checked by Bolt, one bot token, the listeners registered.
Makes no call to Slack."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from slack_bolt import App, BoltResponse
from slack_bolt.authorization import AuthorizeResult

from bot.operations.context import Context
from bot.slack.client import make_client
from bot.slack.listeners import actions, commands, events, rejections, views
from bot.slack.listeners.answering import Answering
from config.settings import Settings

LATER_THREADS = 4
_log = logging.getLogger(__name__)


def build_app(context: Context, settings: Settings) -> App:
    """The same listeners for Socket Mode and HTTP.

    ``process_before_response=True``: the acknowledgement leaves when the listener returns; Bolt's
    default looks for it every 10 ms. What must talk to Slack beyond ``views.open`` runs after the
    acknowledgement, on the threads of Answering.
    """
    app = App(
        client=make_client(None, settings.slack_api_url),  # the token comes with `authorize`
        signing_secret=settings.slack_signing_secret or "socket mode has no signatures",
        request_verification_enabled=not settings.uses_socket_mode,
        authorize=lambda enterprise_id, team_id: AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_token=settings.slack_bot_token
        ),
        process_before_response=True,
        raise_error_for_unhandled_request=False,
        attaching_conversation_kwargs_enabled=False,
        attaching_function_token_enabled=False,
    )
    answering = Answering(context, ThreadPoolExecutor(LATER_THREADS, thread_name_prefix="answer"))
    for part in (commands, actions, views, rejections, events):
        part.register(app, answering)
    app.error(_failed)
    answering.after(context.directory.home_team)  # so that the first command meets a filled cache
    if context.catalog.access.needs_groups:
        answering.after(context.directory.memberships)
    return app


def _failed(error: Exception, logger: logging.Logger) -> BoltResponse:
    """A mistake of ours: logged in full, told in one line. Slack shows the text to the person
    alone."""
    del logger
    _log.error("a listener failed", exc_info=error)
    return BoltResponse(
        status=200,
        body=(
            "Something went wrong inside Pilothouse; nothing was started. Its log has the details."
        ),
    )
