"""Who gets the log lines of a failure, and that a failure is told whatever becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import pytest

from bot.operations.context import Catalog, Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.send_notices import Wish, set_wish
from bot.policy.permissions import Access, Grant, Role
from bot.ports import (
    Announcement,
    ChannelUnavailable,
    Message,
    MessageGone,
    RateLimited,
    SlackUnavailable,
)
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, Progress, Release, Rollback
from bot.slack.blocks.rendering import SlackRendering
from tests.blocks.stories import ASKED, PROMOTING
from tests.builders import a_release
from tests.conftest import eventually
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger, Sent

LINES = ("starting", "panic: no config")
HOUR_MS = 3_600_000


@dataclass
class Desk:
    context: Context
    store: InMemoryReleaseStore
    messenger: RecordingMessenger

    def sent(self, how: str) -> list[Sent]:
        return [one for one in self.messenger.sent if one.how == how]


@pytest.fixture
def desk() -> Desk:
    store, messenger = InMemoryReleaseStore(), RecordingMessenger()
    unused = cast(Any, None)  # delivery looks at no cluster, no directory and no manifests
    grants = {Role.APPROVER: Grant(users=frozenset({"U0MANAGER"}))}
    render = SlackRendering(access=Access(roles=grants))
    catalog = Catalog({}, ("local",), Access(frozenset(), grants))
    return Desk(
        Context(store, store.queue, unused, messenger, unused, catalog, render, unused),
        store,
        messenger,
    )


def failed(
    desk: Desk,
    logs: Literal["off", "starter", "channel"] = "starter",
    lines: tuple[str, ...] = LINES,
    **rules: Any,
) -> str:
    draft = replace(
        a_release(), id="", version=0, channel="C0RELEASES", created_at=desk.store.now()
    )
    draft = replace(draft, rules=replace(draft.rules, evidence_logs=logs, **rules))
    release = desk.store.create(draft, dedup_key="", same_as="", operation="create").release
    cause = Cause(
        FailureClass.PERSISTENT, "3 new pods: CrashLoopBackOff", pods=("hello-2-a",), logs=lines
    )
    event = Event(desk.store.now(), EventKind.FAILURE, cause.summary)
    broken = replace(
        release, phase=Phase.ROLLING_BACK, rollback=Rollback(Phase.ROLLED_BACK), cause=cause
    )
    saved = desk.store.save(broken, (event,), operation="fail")
    if lines:
        read = Event(desk.store.now(), EventKind.EVIDENCE, "read the last log lines of hello-2-a")
        desk.store.save(saved, (read,), operation="read", card=False)
    return saved.id


def test_log_lines_go_to_the_starter_alone(desk: Desk) -> None:
    deliver_release(desk.context, failed(desk))
    (direct,) = desk.sent("direct")
    assert direct.where == "U0DEV1"
    assert "panic: no config" in direct.message.text and "hello-2-a" in direct.message.text
    in_channel = [str(one.message) for one in desk.sent("post")]
    assert any("CrashLoopBackOff" in message for message in in_channel)
    assert any("last log lines go only to <@U0DEV1>" in message for message in in_channel)
    assert not any("panic" in message for message in in_channel)


def test_a_failure_leads_to_its_card(desk: Desk) -> None:
    release_id = failed(desk)
    deliver_release(desk.context, release_id)
    (loud,) = (one for one in desk.sent("post") if " failed: " in one.message.text)
    address = desk.messenger.permalink(*desk.store.card(release_id))
    assert f"<{address}|Card of {release_id}>" in str(loud.message.blocks)


def test_a_failure_is_copied_to_each_place_of_the_catalog_once(desk: Desk) -> None:
    release_id = failed(desk, lines=(), failure_to=("C0RELEASES", "C0OPS", "C0LEADS", "starter"))
    assert eventually(lambda: deliver_release(desk.context, release_id) is None)
    told = [one for one in desk.messenger.sent if " failed: " in one.message.text]
    assert sorted(one.where for one in told) == ["C0LEADS", "C0OPS", "C0RELEASES", "U0DEV1"]
    copies = [one.message for one in told if one.where != "C0RELEASES"]
    assert all(f"Card of {release_id}" in str(one.blocks) for one in copies)
    assert not any("'actions'" in str(one.blocks) for one in copies)


def test_a_place_that_takes_no_messages_costs_its_copy_alone(desk: Desk) -> None:
    release_id = failed(desk, lines=(), failure_to=("C0GONE", "C0OPS"))
    desk.messenger.refusals_in["C0GONE"] = [ChannelUnavailable("archived")]
    assert eventually(lambda: deliver_release(desk.context, release_id) is None)
    told = [one.where for one in desk.messenger.sent if " failed: " in one.message.text]
    assert sorted(told) == ["C0OPS", "C0RELEASES"]


def test_a_copy_that_slack_delays_is_sent_later_and_nothing_twice(desk: Desk) -> None:
    release_id = failed(desk, lines=(), failure_to=("C0OPS",))
    desk.messenger.refusals_in["C0OPS"] = [RateLimited(1_000), SlackUnavailable("no answer")]
    assert eventually(lambda: deliver_release(desk.context, release_id) is None)
    told = [one.where for one in desk.messenger.sent if " failed: " in one.message.text]
    assert sorted(told) == ["C0OPS", "C0RELEASES"]


def test_a_failure_mentions_whom_the_catalog_names(desk: Desk) -> None:
    deliver_release(desk.context, failed(desk, lines=(), mention="S0ONCALL"))
    (loud,) = (one for one in desk.sent("post") if " failed: " in one.message.text)
    assert "<@U0DEV1> <!subteam^S0ONCALL>" in loud.message.text


def asking(desk: Desk) -> str:
    """A canary that waits for its promotion."""
    draft = replace(PROMOTING, id="", version=0, channel="C0RELEASES", phase=Phase.QUEUED)
    release = desk.store.create(draft, dedup_key="", same_as="", operation="create").release
    waits = replace(PROMOTING, id=release.id, version=release.version, channel="C0RELEASES")
    return desk.store.save(waits, (ASKED,), operation="ask").id


def test_an_approval_is_one_new_message_that_mentions_who_may_give_it(desk: Desk) -> None:
    deliver_release(desk.context, asking(desk))
    (asked,) = (one for one in desk.sent("post") if "waiting for 1 approval" in one.message.text)
    assert not asked.thread_ts and "<@U0MANAGER>" in asked.message.text
    assert "release:approve" in str(asked.message.blocks)
    assert "release:reject" in str(asked.message.blocks)


def test_an_answered_approval_turns_into_who_decided(desk: Desk) -> None:
    release_id = asking(desk)
    deliver_release(desk.context, release_id)
    release = desk.store.load(release_id)
    passed = replace(
        release, phase=Phase.PROGRESSING, progress=Progress(2), passed=("promote: grace",)
    )
    desk.store.save(passed, (), operation="passed")
    eventually(lambda: deliver_release(desk.context, release_id) is None)
    (edit,) = (one for one in desk.sent("edit") if "approved by grace" in one.message.text)
    assert "release:approve" not in str(edit.message.blocks)


@pytest.mark.parametrize(("wish", "told"), [("all", True), ("mine", False), ("none", False)])
def test_approvers_get_a_direct_message_where_they_want_it(
    desk: Desk, wish: Wish, told: bool
) -> None:
    set_wish(desk.context, "U0MANAGER", wish)
    release_id = asking(desk)
    deliver_release(desk.context, release_id)
    deliver_release(desk.context, release_id)
    assert [one.where for one in desk.sent("direct")] == ["U0MANAGER"] * told
    assert "release:approve" not in str(desk.sent("direct"))


@pytest.mark.parametrize(("minutes", "wish"), [(3, "mine"), (0, "mine"), (3, "none")])
def test_the_starter_hears_the_end_of_a_long_release(desk: Desk, minutes: int, wish: Wish) -> None:
    set_wish(desk.context, "U0DEV1", wish)
    release_id = asking(desk)
    release = desk.store.load(release_id)
    end = release.started_at + minutes * 60_000 + 1_000
    over = replace(release, phase=Phase.SUCCEEDED, finished_at=end)
    desk.store.save(over, (Event(end, EventKind.FINISHED, "hello is on 2.0.0"),), operation="over")
    eventually(lambda: deliver_release(desk.context, release_id) is None)
    heard = [one.where for one in desk.sent("direct")]
    assert heard == (["U0DEV1"] if minutes and wish != "none" else [])


def test_the_end_in_person_leads_to_the_card_and_lists_no_pods(desk: Desk) -> None:
    release_id = asking(desk)
    release = desk.store.load(release_id)
    assert release.card_snapshot.pods
    end = release.started_at + 3 * 60_000
    over = replace(release, phase=Phase.SUCCEEDED, finished_at=end)
    desk.store.save(over, (Event(end, EventKind.FINISHED, "hello is on 2.0.0"),), operation="over")
    eventually(lambda: deliver_release(desk.context, release_id) is None)
    (direct,) = desk.sent("direct")
    assert f"|Card of {release_id}>" in str(direct.message.blocks)
    assert "Pods of" not in str(direct.message)


def test_a_failure_is_edited_into_how_it_ended(desk: Desk) -> None:
    release_id = failed(desk)
    deliver_release(desk.context, release_id)
    (loud,) = (one for one in desk.sent("post") if " failed: " in one.message.text)
    ts = f"{desk.messenger.sent.index(loud) + 1}.0"
    assert "Rolling back to" in loud.message.text
    release = desk.store.load(release_id)
    over = replace(release, phase=Phase.ROLLED_BACK, finished_at=desk.store.now() + 1_000)
    desk.store.save(over, (), operation="over")
    eventually(lambda: deliver_release(desk.context, release_id) is None)
    edits = [one for one in desk.sent("edit") if one.thread_ts == ts]
    assert len(edits) == 1 and "Rolled back: hello is on" in edits[0].message.text
    assert "Nothing to do." in edits[0].message.text
    deliver_release(desk.context, release_id)
    assert [one for one in desk.sent("edit") if one.thread_ts == ts] == edits


@pytest.mark.parametrize(
    "why", [SlackUnavailable("time-out"), RateLimited(30_000), MessageGone("message_not_found")]
)
def test_a_failure_is_told_without_its_link_where_slack_does_not_say_it(
    desk: Desk, why: Exception
) -> None:
    class RecordingWithoutLinks(RecordingMessenger):
        def permalink(self, channel: str, ts: str) -> str:
            raise why

    messenger, release_id = RecordingWithoutLinks(), failed(desk)
    assert deliver_release(replace(desk.context, messenger=messenger), release_id) is None
    (loud,) = (
        one for one in messenger.sent if one.how == "post" and " failed: " in one.message.text
    )
    assert f"`{release_id}`" in str(loud.message.blocks)


@pytest.mark.parametrize("logs", ["off", "channel"])
def test_nothing_goes_in_person_where_the_catalog_says_otherwise(
    desk: Desk, logs: Literal["off", "channel"]
) -> None:
    release_id = failed(desk, logs, LINES if logs == "channel" else ())
    eventually(lambda: deliver_release(desk.context, release_id) is None)
    assert not desk.sent("direct")
    assert any("panic" in str(one.message) for one in desk.sent("post")) == (logs == "channel")


def test_ten_long_lines_are_one_whole_message(desk: Desk) -> None:
    deliver_release(
        desk.context, failed(desk, lines=tuple(f"{number} {'x' * 300}" for number in range(10)))
    )
    (direct,) = desk.sent("direct")
    assert all(f"\n{number} xxx" in direct.message.text for number in range(10))
    assert "…" not in str(direct.message.blocks)


@dataclass
class RecordingWithoutDirects(RecordingMessenger):
    """As for a person whom no app can write to: ``direct`` raises ``why`` until it is None."""

    why: Exception | None = None

    def direct(self, user: str, message: Message) -> str:
        if self.why is not None:
            raise self.why
        return super().direct(user, message)


def test_a_failure_is_told_although_its_starter_takes_no_messages(desk: Desk) -> None:
    release_id = failed(desk)
    messenger = RecordingWithoutDirects(why=ChannelUnavailable("conversations.open: cannot_dm_bot"))
    assert deliver_release(replace(desk.context, messenger=messenger), release_id) is None
    assert any(
        "CrashLoopBackOff" in one.message.text for one in messenger.sent if one.how == "post"
    )
    assert desk.store.outbox(release_id) == ((), False)


@dataclass
class RecordingUntilArchived(RecordingMessenger):
    """As Slack with a channel that is archived after its first two messages."""

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        if sum(one.how == "post" for one in self.sent) == 2:
            raise ChannelUnavailable("is_archived")
        return super().post(channel, message, thread_ts=thread_ts, broadcast=broadcast)


@dataclass
class RecordingWithDeletions(RecordingMessenger):
    """As Slack with messages that people deleted: neither they nor their threads take anything."""

    deleted: set[str] = field(default_factory=set)

    def post(
        self, channel: str, message: Message, *, thread_ts: str = "", broadcast: bool = False
    ) -> str:
        if thread_ts in self.deleted:
            raise MessageGone("thread_not_found")
        return super().post(channel, message, thread_ts=thread_ts, broadcast=broadcast)

    def edit(self, channel: str, ts: str, message: Message) -> None:
        if ts in self.deleted:
            raise MessageGone("message_not_found")
        super().edit(channel, ts, message)

    def find_posted(self, channel: str, *, key: str, thread_ts: str = "") -> str:
        found = super().find_posted(channel, key=key, thread_ts=thread_ts)
        return "" if found in self.deleted else found


@pytest.mark.parametrize("kind", [EventKind.STEP_DONE, EventKind.FAILURE])
def test_a_card_that_a_person_deleted_is_posted_again_once_and_what_was_to_tell_is_told(
    desk: Desk, kind: EventKind
) -> None:
    messenger = RecordingWithDeletions()
    context = replace(desk.context, messenger=messenger)
    release = desk.store.create(
        replace(a_release(), id="", version=0), dedup_key="", same_as="", operation="create"
    ).release
    assert deliver_release(context, release.id) is None
    messenger.deleted.add(desk.store.card(release.id)[1])
    desk.store.save(
        desk.store.load(release.id),
        (Event(desk.store.now(), kind, "step one: done"),),
        operation="save",
    )
    again = deliver_release(context, release.id)
    assert again is not None and again <= desk.store.now() + 1_000
    assert eventually(lambda: deliver_release(context, release.id) is None)
    cards = [
        one
        for one in messenger.sent
        if one.how == "post"
        and (one.message.metadata or {})["event_payload"]["key"].endswith(":card")
    ]
    assert len(cards) == 2 and desk.store.card(release.id)[1] not in messenger.deleted
    assert desk.store.outbox(release.id) == ((), False)
    assert (
        sum("step one: done" in one.message.text for one in messenger.sent if one.how == "post")
        == 1
    )


def over(desk: Desk, release_id: str, ago_ms: int) -> None:
    """The release ended that long ago, and nobody was told."""
    end = desk.store.now() - ago_ms
    done = replace(desk.store.load(release_id), phase=Phase.ROLLED_BACK, finished_at=end)
    desk.store.save(
        done, (Event(end, EventKind.FINISHED, "hello is back on 1.0.0"),), operation="end"
    )


def test_delivery_is_given_up_without_a_channel_or_direct_messages(
    desk: Desk,
) -> None:
    release_id = failed(desk)
    over(desk, release_id, ago_ms=HOUR_MS)
    messenger = RecordingWithoutDirects(
        why=ChannelUnavailable("cannot_dm_bot"), refusals=[ChannelUnavailable("is_archived")]
    )
    assert deliver_release(replace(desk.context, messenger=messenger), release_id) is None
    assert desk.store.outbox(release_id) == ((), False)


def test_a_reopened_channel_gets_the_card_and_nothing_sent_directly(
    desk: Desk,
) -> None:
    release_id = failed(desk)
    desk.messenger.refusals.append(ChannelUnavailable("is_archived"))
    again = deliver_release(desk.context, release_id)
    assert again is not None and 0 < again - desk.store.now() <= 30_000
    assert any("CrashLoopBackOff" in one.message.text for one in desk.sent("direct"))
    assert desk.sent("post") == []
    assert eventually(lambda: deliver_release(desk.context, release_id) is None)
    (card,) = desk.sent("post")
    assert (card.message.metadata or {})["event_payload"]["key"] == f"{release_id}:card"
    assert desk.store.outbox(release_id) == ((), False)


@pytest.mark.parametrize(("over_for", "again_in"), [(0, 0.5), (2, 2), (20, 20)])
def test_a_finished_card_in_an_archived_channel_is_tried_less_and_less_often(
    desk: Desk, over_for: int, again_in: float
) -> None:
    release_id = failed(desk)
    over(desk, release_id, ago_ms=over_for * 60_000)
    desk.messenger.refusals.append(ChannelUnavailable("is_archived"))
    again = deliver_release(desk.context, release_id)
    assert again is not None and (again - desk.store.now()) / 60_000 == pytest.approx(
        again_in, abs=0.2
    )


def test_a_message_in_the_channel_is_not_also_sent_directly(desk: Desk) -> None:
    """The channel is archived between a failure's own message and the line after it."""
    release_id = failed(desk, "off")
    over(desk, release_id, ago_ms=0)
    messenger = RecordingUntilArchived()
    context = replace(desk.context, messenger=messenger)
    assert eventually(
        lambda: (
            bool(deliver_release(context, release_id))
            and any(one.how == "direct" for one in messenger.sent)
        )
    )
    assert [
        one.how
        for one in messenger.sent
        if "CrashLoopBackOff" in one.message.text and "failed: " in one.message.text
    ] == ["post"]
    assert [one.how for one in messenger.sent if "hello is back on 1.0.0" in one.message.text] == [
        "direct"
    ]


def test_direct_messages_for_an_archived_channel_wait_for_slack(desk: Desk) -> None:
    release_id = failed(desk)
    messenger = RecordingWithoutDirects(
        why=SlackUnavailable("time-out"), refusals=[ChannelUnavailable("is_archived")]
    )
    context = replace(desk.context, messenger=messenger)
    assert deliver_release(context, release_id) is not None
    messenger.why, messenger.refusals = None, [ChannelUnavailable("is_archived")]
    deliver_release(context, release_id)
    assert any(
        "CrashLoopBackOff" in one.message.text for one in messenger.sent if one.how == "direct"
    )


def test_an_interrupted_failure_is_posted_once_and_its_logs_arrive(
    desk: Desk,
) -> None:
    release_id = failed(desk)
    messenger = RecordingWithoutDirects(why=SlackUnavailable("time-out"))
    context = replace(desk.context, messenger=messenger)
    assert deliver_release(context, release_id) is not None
    messenger.why = None
    assert deliver_release(context, release_id) is None
    deliver_release(context, release_id)
    assert len([one for one in messenger.sent if one.how == "direct"]) == 1
    assert (
        len(
            [
                one
                for one in messenger.sent
                if one.how == "post" and one.message.text.count("failed: ")
            ]
        )
        == 1
    )


def test_a_failure_and_the_lines_behind_it_have_keys_of_their_own(desk: Desk) -> None:
    """By its key a message is found again when its reply was lost."""
    release_id = failed(desk)
    before = failure_of(desk, release_id).sequence - 1
    desk.store.delivered(release_id, through=before, card_version=None)
    over(desk, release_id, ago_ms=0)
    assert eventually(lambda: deliver_release(desk.context, release_id) is None)
    keys = [(one.message.metadata or {})["event_payload"]["key"] for one in desk.sent("post")]
    assert len(keys) == 3
    assert len(set(keys)) == 3


def test_a_failure_that_was_attempted_stays_a_message_of_its_own(desk: Desk) -> None:
    release_id = failed(desk)
    failure = failure_of(desk, release_id)
    desk.store.put(f"posting:{release_id}:{failure.sequence}", "loud", ttl_ms=HOUR_MS)
    quiet = replace(desk.context, render=QuietRendering())
    assert eventually(lambda: deliver_release(quiet, release_id) is None)
    key = f"{release_id}:{failure.sequence}"
    (posted,) = [one for one in desk.sent("post") if key in str(one.message.metadata)]
    assert posted.thread_ts == ""


def failure_of(desk: Desk, release_id: str) -> Announcement:
    announcements, _ = desk.store.outbox(release_id)
    return next(one for one in announcements if one.event.kind is EventKind.FAILURE)


class QuietRendering(SlackRendering):
    """The release moved on: nothing of it is loud any more."""

    def announcement(
        self, release: Release, event: Event, card: str = ""
    ) -> tuple[Message, bool] | None:
        rendered = super().announcement(release, event, card)
        return (rendered[0], False) if rendered is not None else None
