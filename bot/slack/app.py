"""The Bolt app with its listeners. Building it calls nothing at Slack."""

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

    ``process_before_response=True`` sends the acknowledgement when the listener returns; Bolt's
    default polls for it every 10 ms. Calls to Slack other than ``views.open`` run after the
    acknowledgement, on the threads of Answering.
    """
    app = App(
        name="pilothouse",  # or Bolt reads the source of every caller on the stack for one
        # The token comes with `authorize`.
        client=make_client(None, settings.slack_api_url, ca_file=settings.slack_ca_file),
        signing_secret=settings.slack_signing_secret or "socket mode has no signatures",
        # bot.slack.admission checks it before a body is parsed; Bolt logs what it refuses.
        request_verification_enabled=False,
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
    answering.after(context.directory.home_team)  # fills the cache for the first command
    if context.catalog.access.needs_groups:
        answering.after(context.directory.memberships)
    return app


def _failed(error: Exception, logger: logging.Logger) -> BoltResponse:
    """A defect: logged in full, with one line for the person, to whom alone Slack shows it."""
    del logger
    _log.error("a listener failed", exc_info=error)
    return BoltResponse(
        status=200,
        body=(
            "Something went wrong inside Pilothouse. Nothing was started. Its log has the details."
        ),
    )
