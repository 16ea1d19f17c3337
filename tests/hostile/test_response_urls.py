"""Replies go to Slack and nowhere else, whatever a request or a query in Redis names."""

from __future__ import annotations

import pytest

from bot.ports import ChannelUnavailable, Message
from bot.slack.messenger import SlackMessenger
from bot.slack.response_urls import may_reply_to

SLACK = "https://slack.com/api/"
GOV = "https://slack-gov.com/api/"
LOCAL = "http://127.0.0.1:9000/api/"


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("https://hooks.slack.com/commands/T1/1/a", SLACK),
        ("https://hooks.slack.com:443/commands/T1/1/a", SLACK),
        ("https://hooks.slack-gov.com/actions/T1/1/a", GOV),
        ("http://127.0.0.1:9000/response/1", LOCAL),
    ],
)
def test_a_url_of_the_slack_that_is_configured_is_accepted(url: str, api: str) -> None:
    assert may_reply_to(url, api)


@pytest.mark.parametrize(
    ("url", "api"),
    [
        ("http://hooks.slack.com/commands/1", SLACK),
        ("https://hooks.slack.com:8443/commands/1", SLACK),
        ("https://slack.com/commands/1", SLACK),
        ("https://hooks.slack.com.example.com/1", SLACK),
        ("https://example.com/hooks.slack.com", SLACK),
        ("https://hooks.slack.com@example.com/1", SLACK),
        ("https://example.com\\@hooks.slack.com/1", SLACK),
        ("https://hooks.slack.com\n.example.com/1", SLACK),
        ("https://hooks.slack.com:x/1", SLACK),
        ("http://169.254.169.254/latest/meta-data/", SLACK),
        ("file:///etc/passwd", SLACK),
        ("", SLACK),
        ("https://hooks.slack.com/commands/1", GOV),
        ("https://evilslack-gov.com/1", GOV),
        ("http://127.0.0.1:6379/", LOCAL),
    ],
)
def test_any_other_url_is_refused(url: str, api: str) -> None:
    assert not may_reply_to(url, api)


def test_nothing_is_sent_to_a_url_that_is_not_slacks() -> None:
    messenger = SlackMessenger("xoxb-1", SLACK)
    with pytest.raises(ChannelUnavailable, match="does not lead to Slack"):
        messenger.respond("http://127.0.0.1:9/", Message("hello"))
