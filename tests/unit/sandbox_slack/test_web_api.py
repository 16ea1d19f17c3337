"""The Web API answers the real SDK as Slack does, errors included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from sandbox.slack import LocalSlack

pytestmark = pytest.mark.slow


def error_of(call: Callable[[], Any]) -> str:
    with pytest.raises(SlackApiError) as refused:
        call()
    return str(refused.value.response["error"])


SECTION = [{"type": "section", "text": {"type": "mrkdwn", "text": "*hello*"}}]


def test_auth_test_names_the_bot(client: WebClient) -> None:
    answer = client.auth_test()
    assert (answer["bot_id"], answer["user_id"], answer["team_id"]) == ("B0BOT", "U0BOT", "T0LOCAL")
    assert "chat:write" in answer.headers["x-oauth-scopes"]


def test_a_message_is_posted_edited_and_deleted(slack: LocalSlack, client: WebClient) -> None:
    posted = client.chat_postMessage(channel="C0RELEASES", text="hello", blocks=SECTION)
    client.chat_update(channel="C0RELEASES", ts=posted["ts"], text="edited")
    (seen,) = slack.messages("C0RELEASES")
    assert seen["text"] == "edited"
    assert "blocks" not in seen, "text without blocks takes the old blocks away"
    assert seen["edited"]["user"] == "U0BOT"
    client.chat_delete(channel="C0RELEASES", ts=posted["ts"])
    assert slack.messages("C0RELEASES") == []


def test_messages_are_filtered_by_time_and_text(slack: LocalSlack, client: WebClient) -> None:
    first, second, third = (
        client.chat_postMessage(channel="C0RELEASES", text=text)["ts"]
        for text in ("hello", "auth", "hello again")
    )
    assert [message["ts"] for message in slack.messages("C0RELEASES", about="hello")] == [
        first,
        third,
    ]
    assert [message["ts"] for message in slack.messages("C0RELEASES", after=first)] == [
        second,
        third,
    ]


def test_metadata_comes_back_only_when_asked_for(client: WebClient) -> None:
    metadata = {"event_type": "release", "event_payload": {"id": "hello-42", "sequence": 7}}
    client.chat_postMessage(channel="C0RELEASES", text="card", metadata=metadata)
    with_it = client.conversations_history(channel="C0RELEASES", include_all_metadata=True)[
        "messages"
    ][0]
    without = client.conversations_history(channel="C0RELEASES")["messages"][0]
    assert with_it["metadata"] == metadata
    assert "metadata" not in without


def test_a_thread_counts_its_replies_and_keeps_them_out_of_the_history(client: WebClient) -> None:
    parent = client.chat_postMessage(channel="C0RELEASES", text="card")["ts"]
    for text in ("first", "second"):
        client.chat_postMessage(channel="C0RELEASES", text=text, thread_ts=parent)
    (seen,) = client.conversations_history(channel="C0RELEASES")["messages"]
    assert seen["reply_count"] == 2
    replies = client.conversations_replies(channel="C0RELEASES", ts=parent)["messages"]
    assert [message["text"] for message in replies] == ["card", "first", "second"]


def test_history_is_paged_newest_first(client: WebClient) -> None:
    for number in range(5):
        client.chat_postMessage(channel="C0RELEASES", text=str(number))
    texts = [
        message["text"]
        for page in client.conversations_history(channel="C0RELEASES", limit=2)
        for message in page["messages"]
    ]
    assert texts == ["4", "3", "2", "1", "0"]


def test_an_ephemeral_message_is_only_for_its_person_and_cannot_be_edited(
    slack: LocalSlack, client: WebClient
) -> None:
    ts = client.chat_postEphemeral(channel="C0RELEASES", user="U0DEV1", text="for you")[
        "message_ts"
    ]
    assert [message["text"] for message in slack.messages("C0RELEASES", "U0DEV1")] == ["for you"]
    assert slack.messages("C0RELEASES", "U0DEV2") == []
    assert client.conversations_history(channel="C0RELEASES")["messages"] == []
    assert (
        error_of(lambda: client.chat_update(channel="C0RELEASES", ts=ts, text="x"))
        == "message_not_found"
    )


def test_errors_have_slacks_names(slack: LocalSlack, client: WebClient) -> None:
    own = slack.command("U0DEV1", "C0RELEASES", "a person's message")["message"]["ts"]
    post = client.chat_postMessage
    assert error_of(lambda: post(channel="C0NOWHERE", text="x")) == "channel_not_found"
    assert error_of(lambda: post(channel="C0GENERAL", text="x")) == "not_in_channel"
    assert error_of(lambda: post(channel="C0RELEASES")) == "no_text"
    assert error_of(lambda: post(channel="C0RELEASES", text="x" * 40_001)) == "msg_too_long"
    assert (
        error_of(lambda: post(channel="C0RELEASES", text="x", thread_ts="1.1"))
        == "thread_not_found"
    )
    assert (
        error_of(lambda: client.chat_update(channel="C0RELEASES", ts="1.1", text="x"))
        == "message_not_found"
    )
    assert (
        error_of(lambda: client.chat_update(channel="C0RELEASES", ts=own, text="x"))
        == "cant_update_message"
    )
    assert error_of(lambda: client.users_info(user="U0NOBODY")) == "user_not_found"
    assert (
        error_of(
            lambda: client.chat_postEphemeral(channel="C0RELEASES", user="U0PARTNER", text="x")
        )
        == "user_not_in_channel"
    )
    slack.channel("C0RANDOM", archived=True)
    assert error_of(lambda: post(channel="C0RANDOM", text="x")) == "is_archived"
    slack.channel("C0RELEASES", archived=True)
    assert (
        error_of(lambda: client.chat_update(channel="C0RELEASES", ts=own, text="x"))
        == "is_archived"
    )
    assert (
        error_of(lambda: client.reactions_add(channel="C0RELEASES", timestamp=own, name="eyes"))
        == "is_archived"
    )
    slack.channel("C0RELEASES", archived=False)
    post(channel="C0RELEASES", text="opened again")


def test_invalid_blocks_are_refused_with_their_place(client: WebClient) -> None:
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="C0RELEASES", text="x", blocks=[{"type": "banner"}])
    response = refused.value.response
    assert response["error"] == "invalid_blocks"
    assert response["response_metadata"]["messages"] == [
        "[ERROR] unsupported type: banner [json-pointer:/blocks/0/type]"
    ]


def test_tokens_and_scopes_are_checked(slack: LocalSlack, client: WebClient) -> None:
    stranger = WebClient(token="xoxb-wrong", base_url=slack.api_url, retry_handlers=[])
    assert error_of(stranger.auth_test) == "invalid_auth"
    assert (
        error_of(lambda: client.apps_connections_open(app_token="xoxb-local"))
        == "not_allowed_token_type"
    )
    slack.configure(scopes=["commands"])
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="C0RELEASES", text="x")
    assert (refused.value.response["error"], refused.value.response["needed"]) == (
        "missing_scope",
        "chat:write",
    )
    slack.configure(token_revoked=True)
    assert error_of(client.auth_test) == "token_revoked"


def test_people_groups_and_channels_can_be_looked_up(client: WebClient) -> None:
    assert client.users_info(user="U0MANAGER")["user"]["real_name"] == "Release manager"
    assert client.users_lookupByEmail(email="developer@example.com")["user"]["id"] == "U0DEV1"
    assert client.usergroups_users_list(usergroup="S0DEV")["users"] == ["U0DEV1", "U0DEV2"]
    assert "S0DEV" in [group["id"] for group in client.usergroups_list()["usergroups"]]
    assert client.conversations_info(channel="C0RELEASES")["channel"]["name"] == "releases"
    assert "U0BOT" in client.conversations_members(channel="C0RELEASES")["members"]
    direct = client.conversations_open(users="U0DEV1")["channel"]["id"]
    client.chat_postMessage(channel="U0DEV1", text="to the person")
    assert client.conversations_history(channel=direct)["messages"][0]["text"] == "to the person"
    client.conversations_join(channel="C0GENERAL")
    client.chat_postMessage(channel="C0GENERAL", text="now a member")


def test_a_persons_channels_are_those_that_the_person_is_in(client: WebClient) -> None:
    found = client.users_conversations(user="U0DEV1", types="public_channel,private_channel")
    ids = [one["id"] for one in found["channels"]]
    assert "C0RELEASES" in ids
    for one in ids:
        assert "U0DEV1" in client.conversations_members(channel=one)["members"]


def test_a_file_is_uploaded_in_three_steps(slack: LocalSlack, client: WebClient) -> None:
    file = client.files_upload_v2(
        filename="pods.txt",
        content="hello",
        title="Pods",
        channel="C0RELEASES",
        initial_comment="Here",
    )["file"]
    (message,) = slack.messages("C0RELEASES")
    assert (message["text"], message["files"][0]["id"]) == ("Here", file["id"])


def test_a_permalink_leads_to_the_message(slack: LocalSlack, client: WebClient) -> None:
    ts = client.chat_postMessage(channel="C0RELEASES", text="card")["ts"]
    link = client.chat_getPermalink(channel="C0RELEASES", message_ts=ts)["permalink"]
    assert link == f"{slack.url}/archives/C0RELEASES/p{ts.replace('.', '')}"


def test_a_parent_deleted_by_a_person_leaves_a_tombstone(
    slack: LocalSlack, client: WebClient
) -> None:
    parent = client.chat_postMessage(channel="C0RELEASES", text="card")["ts"]
    client.chat_postMessage(channel="C0RELEASES", text="reply", thread_ts=parent)
    slack.delete_message("C0RELEASES", parent)
    assert slack.messages("C0RELEASES")[0]["subtype"] == "tombstone"
    assert (
        error_of(lambda: client.chat_update(channel="C0RELEASES", ts=parent, text="x"))
        == "cant_update_message"
    )


def test_faults_happen_as_often_as_asked(slack: LocalSlack, client: WebClient) -> None:
    slack.fault("rate_limited", method="chat.postMessage", seconds=7)
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel="C0RELEASES", text="x")
    assert refused.value.response.headers["Retry-After"] == "7"
    slack.fault("error", code="fatal_error")
    assert error_of(client.auth_test) == "fatal_error"
    client.auth_test()


def test_a_lost_reply_leaves_the_message_posted(slack: LocalSlack, client: WebClient) -> None:
    slack.fault("lost_reply", method="chat.postMessage")
    with pytest.raises(OSError):
        client.chat_postMessage(channel="C0RELEASES", text="posted all the same")
    assert [message["text"] for message in slack.messages("C0RELEASES")] == ["posted all the same"]


def test_the_log_has_each_call_with_its_sizes_and_no_token(
    slack: LocalSlack, client: WebClient
) -> None:
    client.chat_postMessage(channel="C0RELEASES", text="hello", blocks=SECTION)
    (entry,) = slack.log(name="chat.postMessage")
    assert entry["ok"]
    assert {"what": "text", "size": 5, "limit": 40_000} in entry["measures"]
    assert "xoxb" not in str(entry)
