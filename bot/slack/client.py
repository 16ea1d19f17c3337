"""The one way to make slack_sdk's client."""

from __future__ import annotations

import ssl
from functools import cache

from slack_sdk import WebClient

TIMEOUT_SECONDS = 4


@cache
def trust(ca_file: str) -> ssl.SSLContext | None:
    """The system's authorities and that of ``ca_file``. None, for slack_sdk's own choice, without
    one."""
    if not ca_file:
        return None
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    return context


def make_client(
    token: str | None, api_url: str, *, ca_file: str = "", timeout: int = TIMEOUT_SECONDS
) -> WebClient:
    """Without retries: a message may have been posted although its response was lost, so the outbox
    decides."""
    return WebClient(
        token=token, base_url=api_url, timeout=timeout, ssl=trust(ca_file), retry_handlers=[]
    )
