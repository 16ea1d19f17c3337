"""The Messenger and Directory ports against the local Slack, which enforces Slack's limits."""

from __future__ import annotations

import pytest

from bot.ports import ChannelUnavailable, Message, MessageGone, RateLimited, SlackUnavailable, Table
from bot.slack.blocks.elements import section
from bot.slack.blocks.tables import table_message
from bot.slack.identity import SlackDirectory
from bot.slack.messenger import SlackMessenger
from bot.tally import TALLY
from sandbox.slack import LocalSlack
from tests.unit.slack.conftest import CHANNEL

HELLO = Message("hello", ({"type": "section", "text": {"type": "mrkdwn", "text": "hello"}},))


def keyed(key: str) -> Message:
    return Message("hello", (), {"event_type": "pilothouse", "event_payload": {"key": key}})


def test_a_posted_message_can_be_edited_and_found_again_by_its_key(
    slack: LocalSlack, messenger: SlackMessenger
) -> None:
    ts = messenger.post(CHANNEL, keyed("hello-1:card"))
    messenger.edit(CHANNEL, ts, Message("edited"))
    messenger.edit(CHANNEL, ts, keyed("hello-1:card"))
    assert messenger.find_posted(CHANNEL, key="hello-1:card") == ts
    assert messenger.find_posted(CHANNEL, key="hello-2:card") == ""
    answer = messenger.post(CHANNEL, keyed("hello-1:1"), thread_ts=ts)
    assert messenger.find_posted(CHANNEL, key="hello-1:1", thread_ts=ts) == answer
    assert [m["ts"] for m in slack.messages(CHANNEL, thread_ts=ts)][-1] == answer


def test_a_private_post_reaches_one_person(slack: LocalSlack, messenger: SlackMessenger) -> None:
    messenger.post_privately(CHANNEL, "U0DEV1", Message("only you"))
    assert any(m["text"] == "only you" for m in slack.messages(CHANNEL, user="U0DEV1"))
    assert not any(m["text"] == "only you" for m in slack.messages(CHANNEL, user="U0MANAGER"))


def test_a_direct_message_and_a_file_reach_the_person(messenger: SlackMessenger) -> None:
    assert messenger.direct("U0DEV1", HELLO)
    messenger.upload("U0DEV1", "pod.spec.txt", "KIND: Pod", title="pod.spec")


def test_a_permalink_leads_to_the_message(messenger: SlackMessenger) -> None:
    ts = messenger.post(CHANNEL, HELLO)
    assert ts.replace(".", "") in messenger.permalink(CHANNEL, ts)


def test_blocks_that_slack_refuses_go_as_text(slack: LocalSlack, messenger: SlackMessenger) -> None:
    ts = messenger.post(CHANNEL, Message("the whole story", ({"type": "nonsense"},)))
    assert [m["text"] for m in slack.messages(CHANNEL) if m["ts"] == ts] == ["the whole story"]


def test_a_table_that_slack_refuses_goes_as_preformatted_text(
    slack: LocalSlack, messenger: SlackMessenger
) -> None:
    message = table_message((Table("Pods", ("pod",), (("hello-1",),)),))
    refused = Message(
        message.text,
        (*message.blocks, *(block for block in message.blocks if block["type"] == "table")),
    )
    ts = messenger.post(CHANNEL, refused)
    (posted,) = [m for m in slack.messages(CHANNEL) if m["ts"] == ts]
    assert [block["type"] for block in posted["blocks"]] == ["section", "rich_text", "rich_text"]


def test_an_unknown_channel_is_unavailable(messenger: SlackMessenger) -> None:
    with pytest.raises(ChannelUnavailable):
        messenger.post("C0NOWHERE", HELLO)


def test_each_call_is_counted_by_what_came_of_it(
    slack: LocalSlack, messenger: SlackMessenger
) -> None:
    TALLY.take()
    messenger.post(CHANNEL, HELLO)
    with pytest.raises(ChannelUnavailable):
        messenger.post("C0NOWHERE", HELLO)
    with pytest.raises(SlackUnavailable):
        SlackMessenger("xoxb-1", "http://127.0.0.1:1/").post(CHANNEL, HELLO)
    assert {name: n for name, n in TALLY.take().items() if name.startswith("slack:")} == {
        "slack:chat.postMessage:ok": 1,
        "slack:chat.postMessage:channel_not_found": 1,
        "slack:chat.postMessage:connection": 1,
    }


def test_an_archived_channel_is_unavailable(slack: LocalSlack, messenger: SlackMessenger) -> None:
    slack.channel(CHANNEL, archived=True)
    with pytest.raises(ChannelUnavailable):
        messenger.post(CHANNEL, HELLO)


def test_a_deleted_message_is_gone(slack: LocalSlack, messenger: SlackMessenger) -> None:
    ts = messenger.post(CHANNEL, HELLO)
    slack.delete_message(CHANNEL, ts)
    with pytest.raises(MessageGone):
        messenger.edit(CHANNEL, ts, HELLO)


def test_a_rate_limit_says_how_long_to_wait(slack: LocalSlack, messenger: SlackMessenger) -> None:
    slack.fault("rate_limited", method="chat.postMessage", seconds=7)
    with pytest.raises(RateLimited) as limited:
        messenger.post(CHANNEL, HELLO)
    assert limited.value.retry_after_ms == 7_000


def test_a_token_that_was_revoked_reads_as_slack_unavailable(slack: LocalSlack) -> None:
    with pytest.raises(SlackUnavailable):
        SlackMessenger("xoxb-wrong", slack.api_url).post(CHANNEL, HELLO)


def test_slack_away_reads_as_unavailable() -> None:
    with pytest.raises(SlackUnavailable):
        SlackMessenger("xoxb-1", "http://127.0.0.1:9/api/").post(CHANNEL, HELLO)


def test_groups_are_read_once_a_minute_and_afresh_when_asked(slack: LocalSlack) -> None:
    now = [0.0]
    directory = SlackDirectory(slack.settings.bot_token, slack.api_url, clock=lambda: now[0])

    def calls() -> int:
        return len(slack.log(kind="call", name="usergroups.list"))

    before = calls()
    directory.groups_of("U0DEV1")
    directory.groups_of("U0MANAGER")
    assert calls() == before + 1
    now[0] = 61.0
    directory.groups_of("U0DEV1")
    slack.wait_for(lambda: calls() == before + 2, what="the groups read again in the background")
    directory.memberships()
    assert calls() == before + 3


def test_known_groups_do_not_wait_for_a_slow_slack(slack: LocalSlack) -> None:
    now = [0.0]
    directory = SlackDirectory(slack.settings.bot_token, slack.api_url, clock=lambda: now[0])
    known = directory.groups_of("U0DEV1")
    slack.fault("server_error", method="usergroups.list", times=-1)
    now[0] = 120.0
    assert directory.groups_of("U0DEV1") == known
    with pytest.raises(SlackUnavailable):
        directory.memberships()


def test_an_unreachable_slack_without_a_cache_is_unavailable() -> None:
    with pytest.raises(SlackUnavailable):
        SlackDirectory("xoxb-1", "http://127.0.0.1:9/api/").groups_of("U0DEV1")


def test_a_name_is_the_display_name_or_the_id(slack: LocalSlack) -> None:
    directory = SlackDirectory(slack.settings.bot_token, slack.api_url)
    assert directory.name_of("U0DEV1") != "U0DEV1"
    assert directory.name_of("U0NOBODY") == "U0NOBODY"


def test_a_server_error_and_a_page_instead_of_json_read_as_unavailable(
    slack: LocalSlack, messenger: SlackMessenger
) -> None:
    ts = messenger.post(CHANNEL, HELLO)
    for kind in ("server_error", "garbled", "lost_reply", "lost_request"):
        slack.fault(kind, method="chat.update")
        with pytest.raises(SlackUnavailable):
            messenger.edit(CHANNEL, ts, HELLO)


def test_a_workspace_without_charts_gets_the_message_without_them(
    slack: LocalSlack, messenger: SlackMessenger
) -> None:
    words = section("Share: 0% at 0 s")
    chart = {"type": "data_visualization", "title": "Share", "chart": {"type": "unknown"}}
    messenger.post(CHANNEL, Message("Share: 0% at 0 s", (chart, words)))
    assert [block["type"] for block in slack.messages(CHANNEL)[-1]["blocks"]] == ["section"]
