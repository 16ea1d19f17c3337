"""Budgets refill evenly, hold a small burst, and say how long to wait."""

from __future__ import annotations

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack import LocalSlack
from sandbox.slack.errors import RateLimited
from sandbox.slack.rate_limits import POSTING, TIER_3, RateLimits


def taken(
    limits: RateLimits,
    method: str,
    rate: object,
    key: str,
    start: float,
    seconds: float,
    every: float,
) -> int:
    """How many calls get through when one asks again and again."""
    count = 0
    for step in range(int(seconds / every)):
        try:
            limits.take(method, key, rate, start + step * every)  # type: ignore[arg-type]
            count += 1
        except RateLimited:
            pass
    return count


def test_posting_to_one_channel_gets_about_one_message_a_second() -> None:
    assert 60 <= taken(RateLimits(1.0), "chat.postMessage", POSTING, "C1", 0.0, 60.0, 0.05) <= 63


def test_editing_gets_about_fifty_calls_a_minute() -> None:
    assert 50 <= taken(RateLimits(1.0), "chat.update", TIER_3, "", 0.0, 60.0, 0.05) <= 60


def test_each_channel_has_its_own_budget() -> None:
    limits = RateLimits(1.0)
    for _ in range(POSTING.burst):
        limits.take("chat.postMessage", "C1", POSTING, 0.0)
    limits.take("chat.postMessage", "C2", POSTING, 0.0)
    with pytest.raises(RateLimited) as refused:
        limits.take("chat.postMessage", "C1", POSTING, 0.0)
    assert refused.value.retry_after == 1


def test_waiting_for_retry_after_is_enough() -> None:
    limits = RateLimits(1.0)
    for _ in range(TIER_3.burst):
        limits.take("chat.update", "", TIER_3, 0.0)
    with pytest.raises(RateLimited) as refused:
        limits.take("chat.update", "", TIER_3, 0.0)
    limits.take("chat.update", "", TIER_3, float(refused.value.retry_after))


def test_rates_can_be_scaled_and_switched_off() -> None:
    assert taken(RateLimits(4.0), "chat.postMessage", POSTING, "C1", 0.0, 10.0, 0.05) >= 40
    assert taken(RateLimits(0.0), "chat.postMessage", POSTING, "C1", 0.0, 10.0, 0.05) == 200


def test_too_many_posts_get_429_with_retry_after() -> None:
    with LocalSlack() as slack:
        client = WebClient(token="xoxb-local", base_url=slack.api_url, retry_handlers=[])
        for _ in range(POSTING.burst):
            client.chat_postMessage(channel="C0RELEASES", text="x")
        with pytest.raises(SlackApiError) as refused:
            client.chat_postMessage(channel="C0RELEASES", text="one too many")
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "1"
        assert refused.value.response["error"] == "ratelimited"
        client.chat_postMessage(channel="C0RANDOM", text="another channel has its own budget")
        assert "one too many" not in [message["text"] for message in slack.messages("C0RELEASES")]


def test_an_unknown_method_is_reported(slack: LocalSlack) -> None:
    answer = httpx.post(
        f"{slack.url}/api/chat.shout", headers={"Authorization": "Bearer xoxb-local"}
    )
    assert answer.json()["error"] == "unknown_method"
