"""Who gets the log lines of a failure, and that a failure is told whatever becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import pytest

from bot.operations.context import Catalog, Context
from bot.operations.deliver import deliver
from bot.policy.permissions import Access
from bot.ports import ChannelUnavailable, Message, SlackUnavailable
from bot.releases.events import Event, EventKind
from bot.releases.model import Cause, FailureClass, Leg, Phase
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import a_release
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger, Said

LINES = ("starting", "panic: no config")


@dataclass
class Desk:
    context: Context
    store: InMemoryReleaseStore
    messenger: RecordingMessenger

    def said(self, how: str) -> list[Said]:
        return [one for one in self.messenger.said if one.how == how]


@pytest.fixture
def desk() -> Desk:
    store, messenger = InMemoryReleaseStore(), RecordingMessenger()
    unused = cast(Any, None)  # delivery looks at no cluster, no directory and no manifests
    catalog = Catalog({}, ("local",), Access(frozenset(), {}), "C0RELEASES")
    return Desk(Context(store, store.queue, unused, messenger, unused, catalog, SlackRendering(), unused), store, messenger)


def failed(desk: Desk, logs: Literal["off", "starter", "channel"] = "starter", lines: tuple[str, ...] = LINES) -> str:
    draft = replace(a_release(), id="", version=0, channel="C0RELEASES", created_at=desk.store.now())
    draft = replace(draft, rules=replace(draft.rules, evidence_logs=logs))
    release = desk.store.create(draft, dedup_key="", same_as="", operation="create").release
    cause = Cause(FailureClass.PERSISTENT, "3 new pods: CrashLoopBackOff", pods=("hello-2-a",), logs=lines)
    event = Event(desk.store.now(), EventKind.FAILURE, cause.summary)
    broken = replace(release, phase=Phase.ROLLING_BACK, leg=Leg.BACK, cause=cause)
    return desk.store.save(broken, (event,), operation="fail").id


def test_log_lines_go_to_the_one_who_started_it_and_to_nobody_else(desk: Desk) -> None:
    deliver(desk.context, failed(desk))
    (direct,) = desk.said("direct")
    assert direct.where == "U0DEV1"
    assert "panic: no config" in direct.message.text and "hello-2-a" in direct.message.text
    in_channel = [str(one.message) for one in desk.said("post")]
    assert any("CrashLoopBackOff" in message for message in in_channel)
    assert any("last log lines went to <@U0DEV1> alone" in message for message in in_channel)
    assert not any("panic" in message for message in in_channel)


@pytest.mark.parametrize("logs", ["off", "channel"])
def test_nothing_goes_in_person_where_the_catalog_says_otherwise(desk: Desk, logs: Literal["off", "channel"]) -> None:
    deliver(desk.context, failed(desk, logs, LINES if logs == "channel" else ()))
    assert not desk.said("direct")
    assert any("panic" in str(one.message) for one in desk.said("post")) == (logs == "channel")


def test_ten_long_lines_are_one_whole_message(desk: Desk) -> None:
    deliver(desk.context, failed(desk, lines=tuple(f"{number} {'x' * 300}" for number in range(10))))
    (direct,) = desk.said("direct")
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
    assert deliver(replace(desk.context, messenger=messenger), release_id) is None
    assert any("CrashLoopBackOff" in one.message.text for one in messenger.said if one.how == "post")
    assert desk.store.outbox(release_id) == ((), False)


def test_after_an_interruption_the_failure_is_not_told_twice_and_the_lines_still_arrive(desk: Desk) -> None:
    release_id = failed(desk)
    messenger = RecordingWithoutDirects(why=SlackUnavailable("time-out"))
    context = replace(desk.context, messenger=messenger)
    assert deliver(context, release_id) is not None
    messenger.why = None
    assert deliver(context, release_id) is None
    deliver(context, release_id)
    assert len([one for one in messenger.said if one.how == "direct"]) == 1
    assert len([one for one in messenger.said if one.how == "post" and one.message.text.count("failed: ")]) == 1
