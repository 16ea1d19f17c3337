"""How slack_sdk's client is made here."""

from __future__ import annotations

from slack_sdk import WebClient

TIMEOUT_SECONDS = 4


def make_client(token: str | None, api_url: str) -> WebClient:
    """No retries of its own: a message may have been posted although its answer was lost, so the
    outbox decides."""
    return WebClient(token=token, base_url=api_url, timeout=TIMEOUT_SECONDS, retry_handlers=[])
