"""The Bolt app with its listeners. Building it calls nothing at Slack."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult

from bot.operations.context import Context
from bot.patience import ACKNOWLEDGE_WITHIN_S, patience_of
from bot.slack.client import make_client
from bot.slack.listeners import actions, commands, events, rejections, views
from bot.slack.listeners.answering import Answering
from config.settings import Settings

LATER_THREADS = 4
_log = logging.getLogger(__name__)


class PromptApp(App):
    """Acknowledges in time also while Redis hangs, over HTTP and over a socket. ``renew`` changes
    what its listeners work with; a request that has begun ends with what it began with."""

    answering: Answering
    settings: Settings
    on_renewal: list[Callable[[Settings], None]]

    @property
    def context(self) -> Context:
        return self.answering.context

    def renew(self, context: Context, settings: Settings) -> None:
        self.answering.context, self.settings = context, settings
        for take in self.on_renewal:
            take(settings)
        fill_caches(self.answering)

    def dispatch(self, req: BoltRequest) -> BoltResponse:
        with patience_of(ACKNOWLEDGE_WITHIN_S):
            return super().dispatch(req)


def build_app(context: Context, settings: Settings) -> PromptApp:
    """The same listeners for Socket Mode and HTTP.

    ``process_before_response=True`` sends the acknowledgement when the listener returns; Bolt's
    default polls for it every 10 ms. Calls to Slack other than ``views.open`` run after the
    acknowledgement, on the threads of Answering.
    """
    app = PromptApp(
        name="pilothouse",  # or Bolt reads the source of every caller on the stack for one
        # The token comes with `authorize`.
        client=make_client(None, settings.slack_api_url, ca_file=settings.slack_ca_file),
        # bot.slack.admission checks signatures before a body is parsed; Bolt logs what it refuses.
        signing_secret="not used",
        request_verification_enabled=False,
        authorize=lambda enterprise_id, team_id: AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_token=app.settings.slack_bot_token
        ),
        process_before_response=True,
        raise_error_for_unhandled_request=False,
        attaching_conversation_kwargs_enabled=False,
        attaching_function_token_enabled=False,
    )
    later = ThreadPoolExecutor(LATER_THREADS, thread_name_prefix="answer")
    answering = Answering(context, later)
    app.settings, app.answering, app.on_renewal = settings, answering, []
    for part in (commands, actions, views, rejections, events):
        part.register(app, answering)
    app.error(_failed)
    fill_caches(answering)
    return app


def fill_caches(answering: Answering) -> None:
    """For the first command."""
    context = answering.context
    answering.after(context.directory.home_team)
    if context.catalog.access.needs_groups:
        answering.after(context.directory.memberships)


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
