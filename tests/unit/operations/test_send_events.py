"""Events to machines: each at least once, in the order of its release, and never in Slack's way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from bot.operations.context import App, Catalog, Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.operations.delivery.send_events import GIVEN_UP_MS, send_events
from bot.policy.permissions import Access
from bot.ports import Receiver, ReceiverAway, ReceiverRefused
from bot.releases.facts.changes import Deploy
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Strategy
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import T0, a_release, a_target
from tests.fakes.in_memory_directory import InMemoryDirectory
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger
from tests.fakes.recording_receivers import RecordingReceivers

RECEIVER = Receiver("aaaa", "https://ci.example.com/events", "cdevents")
OTHER = Receiver("bbbb", "https://other.example.com", "cdevents", apps=frozenset({"auth"}))
WHOLE = [("hello-1", "created"), ("hello-1", "planned"), ("hello-1", "finished")]


@dataclass
class Line:
    now: int = T0
    receivers: RecordingReceivers = field(default_factory=RecordingReceivers)

    def __post_init__(self) -> None:
        unused = cast(Any, None)
        self.store = InMemoryReleaseStore(clock=lambda: self.now)
        app = App(a_target(), Rules(), "C0RELEASES", Strategy.ROLLING)
        catalog = Catalog({"hello": app}, ("local",), Access(), receivers=(RECEIVER, OTHER))
        self.context = Context(
            self.store,
            self.store.queue,
            unused,
            RecordingMessenger(),
            InMemoryDirectory(),
            catalog,
            SlackRendering(),
            unused,
            receivers=self.receivers,
        )
        draft = a_release(change=Deploy("2.0.0"), created_at=T0)
        self.store.create(draft, dedup_key="", same_as="", operation="create")

    def happens(self, kind: EventKind, phase: Phase = Phase.PROGRESSING) -> None:
        release = replace(self.store.load("hello-1"), phase=phase)
        self.store.save(release, (Event(self.now, kind, kind.value),), operation=f"{kind}")

    def ends(self) -> None:
        self.happens(EventKind.PLANNED)
        self.happens(EventKind.STEP_BEGAN)
        self.happens(EventKind.FINISHED, Phase.SUCCEEDED)

    def send(self) -> int | None:
        return send_events(self.context, "aaaa/hello-1")

    def settle(self) -> None:
        """As the wakes come, until everything was sent."""
        for _ in range(50):
            again_at = self.send()
            if again_at is None:
                return
            self.now = max(self.now, again_at) + 1
        raise AssertionError("it never settles")


@pytest.fixture
def line() -> Line:
    return Line()


def test_what_machines_want_to_know_is_sent_once_and_in_order(line: Line) -> None:
    assert line.send() is None
    line.ends()
    assert line.send() is None
    assert line.send() is None
    assert line.receivers.sent == WHOLE


def test_a_receiver_that_fails_half_of_the_time_gets_everything_in_order(line: Line) -> None:
    line.ends()
    """Every second request, so that an event of two parts must not begin anew."""
    line.receivers.parts_of_the_end = 2
    line.receivers.refusals = [ReceiverAway("status 500"), None] * 10
    line.settle()
    assert line.receivers.sent == [*WHOLE, WHOLE[-1]]


def test_a_receiver_that_is_away_is_asked_less_and_less_by_any_release(line: Line) -> None:
    line.receivers.refusals = [ReceiverAway("TimeoutError")] * 10
    waits = []
    for _ in range(9):
        again_at = line.send()
        assert again_at is not None
        waits.append(again_at - line.now)
        left = len(line.receivers.refusals)
        assert line.send() == again_at and len(line.receivers.refusals) == left
        line.now = again_at + 1
    assert waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


def test_an_event_that_is_refused_holds_nothing_up(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    line.ends()
    line.receivers.refusals = [ReceiverRefused("status 422")]
    assert line.send() is None
    assert line.receivers.sent == WHOLE[1:]
    assert "event created of hello-1 is refused" in caplog.text


def test_after_a_day_an_event_is_given_up(line: Line, caplog: pytest.LogCaptureFixture) -> None:
    line.now += GIVEN_UP_MS
    line.receivers.refusals = [ReceiverAway("TimeoutError")]
    assert line.send() is None
    assert "is given up" in caplog.text


def test_a_delivery_to_slack_wakes_receivers_and_sends_them_nothing(line: Line) -> None:
    line.receivers.refusals = [ReceiverAway("it hangs")]
    deliver_release(line.context, "hello-1")
    assert line.store.queue.due["events:aaaa/hello-1"] == T0
    assert "events:bbbb/hello-1" not in line.store.queue.due  # told of another app alone
    assert len(line.receivers.refusals) == 1
    messenger = cast(RecordingMessenger, line.context.messenger)
    assert [one.how for one in messenger.sent][:1] == ["post"]


def test_a_receiver_that_the_catalog_had_before_ends_what_was_woken_for_it(line: Line) -> None:
    assert send_events(line.context, "cccc/hello-1") is None
    assert send_events(line.context, "aaaa/hello-9") is None
    assert line.receivers.sent == []
