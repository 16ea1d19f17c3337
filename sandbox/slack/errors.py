"""The errors that the Web API returns."""

from __future__ import annotations

from collections.abc import Sequence


class SlackError(Exception):
    """The reply `{"ok": false, "error": code}`; `messages` are the details in
    `response_metadata`."""

    def __init__(self, code: str, messages: Sequence[str] = (), **extra: object) -> None:
        super().__init__(code)
        self.code = code
        self.messages = list(messages)
        self.extra = extra


class RateLimited(Exception):
    """HTTP 429; `retry_after` is in whole seconds, as in Slack's header."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"retry after {retry_after} s")
        self.retry_after = retry_after
