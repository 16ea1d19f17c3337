"""The one way to make slack_sdk's client."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from bot.tally import count_slack
from bot.tracing import describe, span

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


class CountedClient(WebClient):
    """Counts each call by its method and what came of it."""

    def api_call(self, api_method: str, **request: Any) -> SlackResponse:
        with counted(api_method):
            return super().api_call(api_method, **request)


@dataclass
class Outcome:
    """``code``: Slack's word, a status, or why there is neither."""

    code: str = "ok"


@contextmanager
def counted(method: str) -> Iterator[Outcome]:
    with span(f"slack {method}"):
        began, outcome = time.monotonic(), Outcome()
        try:
            yield outcome
        except SlackApiError as error:
            outcome.code = _code_of(error)
            raise
        except (OSError, HTTPException) as error:
            is_late = isinstance(getattr(error, "reason", error), TimeoutError)
            outcome.code = "timeout" if is_late else "connection"
            raise
        finally:
            count_slack(method, outcome.code, round((time.monotonic() - began) * 1000))
            describe("", {"pilothouse.code": outcome.code})


def _code_of(error: SlackApiError) -> str:
    response = error.response
    word = response.get("error") if hasattr(response, "get") else ""
    return str(word or getattr(response, "status_code", "") or "unreadable")


def make_client(
    token: str | None, api_url: str, *, ca_file: str = "", timeout: int = TIMEOUT_SECONDS
) -> WebClient:
    """Without retries: a message may have been posted although its response was lost, so the outbox
    decides."""
    return CountedClient(
        token=token, base_url=api_url, timeout=timeout, ssl=trust(ca_file), retry_handlers=[]
    )
