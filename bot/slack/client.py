"""The one way to make slack_sdk's client."""

from __future__ import annotations

from slack_sdk import WebClient

TIMEOUT_SECONDS = 4


def make_client(token: str | None, api_url: str, *, timeout: int = TIMEOUT_SECONDS) -> WebClient:
    """Without retries: a message may have been posted although its response was lost, so the outbox
    decides."""
    return WebClient(token=token, base_url=api_url, timeout=timeout, retry_handlers=[])
