"""The Messenger port on slack_sdk's WebClient."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from cachetools import LRUCache, TTLCache
from slack_sdk.webhook import WebhookClient

from bot.ports import ChannelUnavailable, Message, MessageGone, RateLimited, SlackUnavailable
from bot.slack.blocks.chart import has_chart, without_charts
from bot.slack.blocks.tables import has_table, without_tables
from bot.slack.client import TIMEOUT_SECONDS, counted, make_client
from bot.slack.errors import BAD_BLOCKS, BlocksRefused, retry_after_ms, translated
from bot.slack.response_urls import may_reply_to

HISTORY = 100
PAGES = 3
HASTY_SECONDS = 1
"""Of a question that a command waits for: its reply must leave within three seconds."""
ENTERED_SECONDS = 60.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class SlackMessenger:
    """Raises what the port names. Blocks that Slack refuses are sent again as preformatted text,
    then as text alone, so that the story always arrives."""

    def __init__(self, token: str, api_url: str, *, ca_file: str = "") -> None:
        self._client = make_client(token, api_url, ca_file=ca_file)
        self._directs: LRUCache[str, str] = LRUCache(maxsize=1_000)
        self._hasty = make_client(token, api_url, ca_file=ca_file, timeout=HASTY_SECONDS)
        self._entered: TTLCache[str, bool] = TTLCache(maxsize=1_000, ttl=ENTERED_SECONDS)

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        def send(shown: Message) -> str:
            response = self._client.chat_postMessage(
                channel=channel,
                text=shown.text,
                blocks=_blocks(shown),
                metadata=dict(shown.metadata) if shown.metadata else None,
                thread_ts=thread_ts or None,
                reply_broadcast=broadcast if thread_ts else None,
                unfurl_links=False,
                unfurl_media=False,
            )
            return str(response["ts"])

        return _degrading("chat.postMessage", send, message)

    def edit(self, channel: str, ts: str, message: Message) -> None:
        def send(shown: Message) -> None:
            metadata = dict(shown.metadata) if shown.metadata else None
            self._client.chat_update(
                channel=channel,
                ts=ts,
                text=shown.text,
                blocks=_blocks(shown) or [],
                metadata=metadata,
            )

        _degrading("chat.update", send, message)

    def post_privately(
        self, channel: str, user: str, message: Message, *, thread_ts: str = ""
    ) -> None:
        def send(shown: Message) -> None:
            self._client.chat_postEphemeral(
                channel=channel,
                user=user,
                text=shown.text,
                blocks=_blocks(shown),
                thread_ts=thread_ts or None,
            )

        _degrading("chat.postEphemeral", send, message)

    def respond(
        self,
        response_url: str,
        message: Message,
        *,
        in_channel: bool = False,
        replace: bool = False,
    ) -> None:
        """A response_url works five times within 30 minutes, then raises ChannelUnavailable; so
        does one that is not Slack's."""
        if not may_reply_to(response_url, self._client.base_url):
            _log.warning("refused a response_url that does not lead to Slack")
            raise ChannelUnavailable("response_url: it does not lead to Slack")
        webhook = WebhookClient(
            response_url, timeout=TIMEOUT_SECONDS, ssl=self._client.ssl, retry_handlers=[]
        )

        def send(shown: Message) -> None:
            with counted("response_url") as outcome:
                response = webhook.send(
                    text=shown.text,
                    blocks=_blocks(shown),
                    response_type="in_channel" if in_channel else "ephemeral",
                    replace_original=replace,
                )
                if response.status_code >= 300:
                    outcome.code = str(response.status_code)
            body = response.body or ""
            if response.status_code == 429:
                raise RateLimited(retry_after_ms(response.headers))
            if any(code in body for code in BAD_BLOCKS):
                raise BlocksRefused(body[:500])
            if response.status_code in (403, 404, 410) or any(
                code in body for code in ("expired_url", "used_url")
            ):
                raise ChannelUnavailable(f"response_url: {body[:100]}")
            if response.status_code >= 400:
                raise SlackUnavailable(f"Slack refused the response_url: {response.status_code}")

        _degrading("response_url", send, message)

    def direct(self, user: str, message: Message) -> str:
        return self.post(self._direct_channel(user), message)

    def upload(self, user: str, filename: str, content: str, *, title: str) -> None:
        channel = self._direct_channel(user)
        with translated("files.upload"):
            self._client.files_upload_v2(
                channel=channel, filename=filename, content=content, title=title
            )

    def find_posted(self, channel: str, *, key: str, thread_ts: str = "") -> str:
        cursor = ""
        for _ in range(PAGES):
            with translated("conversations.history"):
                more: dict[str, Any] = {"cursor": cursor} if cursor else {}
                if thread_ts:
                    response = self._client.conversations_replies(
                        channel=channel,
                        ts=thread_ts,
                        limit=HISTORY,
                        include_all_metadata=True,
                        **more,
                    )
                else:
                    response = self._client.conversations_history(
                        channel=channel, limit=HISTORY, include_all_metadata=True, **more
                    )
                found = _with_key(response.get("messages") or (), key)
                cursor = str((response.get("response_metadata") or {}).get("next_cursor") or "")
            if found or not cursor:
                return found
        return ""

    def permalink(self, channel: str, ts: str) -> str:
        with translated("chat.getPermalink"):
            return str(self._client.chat_getPermalink(channel=channel, message_ts=ts)["permalink"])

    def why_not_in(self, channel: str) -> Literal["", "not a member", "archived", "unknown"]:
        """A channel where the bot can post is asked about again after a minute."""
        if channel in self._entered:
            return ""
        try:
            with translated("conversations.info"):
                response = self._hasty.conversations_info(channel=channel)
        except ChannelUnavailable:
            return "unknown"  # a private channel, as long as the bot is not in it
        except (RateLimited, SlackUnavailable, MessageGone):
            return ""
        found = response.get("channel") or {}
        if found.get("is_archived"):
            return "archived"
        if not found.get("is_im") and found.get("is_member") is False:
            return "not a member"
        self._entered[channel] = True
        return ""

    def update_view(self, view_id: str, seen_hash: str, view: Mapping[str, Any]) -> str:
        try:
            with translated("views.update"):
                response = self._client.views_update(
                    view_id=view_id, hash=seen_hash or None, view=dict(view)
                )
        except BlocksRefused as refused:
            raise SlackUnavailable(f"Slack refused the form: {refused.why}") from refused
        return str((response.get("view") or {}).get("hash") or "")

    def publish_home(self, user: str, view: Mapping[str, Any]) -> None:
        with translated("views.publish"):
            self._client.views_publish(user_id=user, view=dict(view))

    def _direct_channel(self, user: str) -> str:
        channel = self._directs.get(user)
        if channel is None:
            with translated("conversations.open"):
                channel = str(self._client.conversations_open(users=[user])["channel"]["id"])
            self._directs[user] = channel
        return channel


def _blocks(message: Message) -> list[dict[str, Any]] | None:
    return [dict(block) for block in message.blocks] or None


def _with_key(messages: Sequence[Mapping[str, Any]], key: str) -> str:
    for message in messages:
        payload = (message.get("metadata") or {}).get("event_payload") or {}
        if payload.get("key") == key:
            return str(message.get("ts", ""))
    return ""


def _degrading(method: str, send: Callable[[Message], T], message: Message) -> T:
    forms = [message]
    if has_chart(message):  # a block that is younger than the others
        forms.append(without_charts(message))
    if has_table(message):
        forms.append(without_tables(without_charts(message)))
    forms.append(Message(message.text, (), message.metadata))
    for simpler in forms[:-1]:
        try:
            with translated(method):
                return send(simpler)
        except BlocksRefused as refused:
            _log.warning("%s: Slack does not draw these blocks: %s", method, refused.why)
    try:
        with translated(method):
            return send(forms[-1])
    except BlocksRefused as refused:
        raise SlackUnavailable(f"Slack refused {method}: {refused.why}") from refused
