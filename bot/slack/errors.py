"""Slack's errors as those of the ports: one for each thing that a caller can do about it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError

from slack_sdk.errors import SlackApiError, SlackClientError

from bot.ports import ChannelUnavailable, MessageGone, RateLimited, SlackUnavailable

NO_CHANNEL = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "restricted_action",
        "user_not_in_channel",
        "posting_to_general_channel_denied",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "cannot_dm_bot",
        "user_not_found",
        "user_not_visible",
        "user_disabled",
        "messages_tab_disabled",
        "expired_url",
        "used_url",
    }
)
NO_MESSAGE = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "thread_not_found",
        "not_found",
        "hash_conflict",
    }
)
BAD_BLOCKS = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "invalid_attachments", "only_one_table_allowed"}
)


class BlocksRefused(Exception):
    """Slack does not draw these blocks; simpler ones carry the same story."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@contextmanager
def translated(method: str) -> Iterator[None]:
    """slack_sdk's errors as RateLimited, ChannelUnavailable, MessageGone, SlackUnavailable,
    BlocksRefused."""
    try:
        yield
    except SlackApiError as error:
        raise _meaning(method, error) from error
    except (
        URLError,
        TimeoutError,
        ConnectionError,
        http.client.HTTPException,
        SlackClientError,
    ) as error:
        reason = getattr(error, "reason", None) or error
        raise SlackUnavailable(f"Slack is unreachable ({method}: {reason})") from error


def _meaning(method: str, error: SlackApiError) -> Exception:
    response = error.response
    code = str(response.get("error", "")) if hasattr(response, "get") else ""
    status = int(getattr(response, "status_code", 0) or 0)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return RateLimited(retry_after_ms(getattr(response, "headers", {}) or {}))
    if code in NO_CHANNEL:
        return ChannelUnavailable(f"{method}: {code}")
    if code in NO_MESSAGE:
        return MessageGone(f"{method}: {code}")
    if code in BAD_BLOCKS:
        details = (
            response.get("errors") or response.get("response_metadata", {}).get("messages") or code
        )
        return BlocksRefused(str(details)[:500])
    return SlackUnavailable(f"Slack refused {method}: {code or status}")


def retry_after_ms(headers: Any) -> int:
    """Retry-After in milliseconds; one second where Slack does not say."""
    for name, value in dict(headers).items():
        if str(name).lower() == "retry-after":
            text = value[0] if isinstance(value, list) else value
            return int(float(text) * 1000) if str(text).replace(".", "", 1).isdigit() else 1_000
    return 1_000
