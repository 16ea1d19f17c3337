"""Forty cards that move at once, told within the rates that Slack publishes: in simulated time,
against the local Slack's own buckets."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import pytest

from bot.operations.context import Catalog, Context
from bot.operations.delivery.deliver_release import deliver_release
from bot.policy.permissions import Access
from bot.ports import Message, RateLimited
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, Rollback
from bot.slack.blocks.rendering import SlackRendering
from sandbox.slack.errors import RateLimited as SlackSaysTooMuch
from sandbox.slack.rate_limits import POSTING, TIER_3, RateLimits
from tests.builders import DEVELOPER, T0, a_release
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger

CHANNEL = "C0RELEASES"
CARDS = 40
SECOND = 1_000


@dataclass
class RecordingMessengerWithLimits(RecordingMessenger):
    """Raises 429 as Slack does; ``when`` keeps the time of each call."""

    clock: Callable[[], int] = lambda: 0
    limits: RateLimits = field(default_factory=lambda: RateLimits(1.0))
    refused: int = 0
    when: list[int] = field(default_factory=list)

    def _send(self, how: str, where: str, message: Message, thread_ts: str = "") -> str:
        if self.refusals:
            raise self.refusals.pop(0)
        try:
            if how == "edit":
                self.limits.take("chat.update", "", TIER_3, self.clock() / 1000)
            else:
                self.limits.take("chat.postMessage", where, POSTING, self.clock() / 1000)
        except SlackSaysTooMuch as limited:
            self.refused += 1
            raise RateLimited(limited.retry_after * 1000) from limited
        self.when.append(self.clock())
        return super()._send(how, where, message, thread_ts)


@dataclass
class Workspace:
    """Time goes on from one wake to the next; between them ``at`` lets releases change."""

    store: InMemoryReleaseStore
    messenger: RecordingMessengerWithLimits
    context: Context
    clock: list[int]
    plans: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    behind_since: dict[str, dict[int, int]] = field(
        default_factory=dict
    )  # release -> version -> when it was saved
    lags: list[tuple[str, int, int]] = field(default_factory=list)  # release, version, milliseconds

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.plans, (T0 + round(seconds * 1000), len(self.plans), act))

    def run(self, seconds: int) -> None:
        ends = T0 + seconds * SECOND
        while True:
            due = min(
                (
                    (when, wake)
                    for wake, when in self.store.queue.due.items()
                    if wake.startswith("deliver:")
                ),
                default=(ends, ""),
            )
            planned = self.plans[0][0] if self.plans else ends
            self.clock[0] = max(self.clock[0], min(due[0], planned))
            if self.clock[0] >= ends:
                return
            if planned <= due[0]:
                heapq.heappop(self.plans)[2]()
                continue
            del self.store.queue.due[due[1]]
            self._deliver(due[1].removeprefix("deliver:"))

    def _deliver(self, release_id: str) -> None:
        again = deliver_release(self.context, release_id)
        if again is not None:
            self.store.queue.wake(f"deliver:{release_id}", again)
        if not self.store.outbox(release_id)[1]:
            for version, since in self.behind_since.pop(release_id, {}).items():
                self.lags.append((release_id, version, self.clock[0] - since))

    def change(self, release_id: str, *events: tuple[EventKind, str], **parts: Any) -> int:
        """Returns the version saved."""
        release = replace(self.store.load(release_id), **parts)
        told = tuple(Event(self.clock[0], kind, text) for kind, text in events)
        saved = self.store.save(release, told, operation=f"{release_id}:{release.version}")
        self.behind_since.setdefault(release_id, {})[saved.version] = self.clock[0]
        return saved.version

    def lag(self, release_id: str, version: int) -> float:
        return (
            next(ms for one, number, ms in self.lags if (one, number) == (release_id, version))
            / 1000
        )


@pytest.fixture
def workspace() -> Workspace:
    clock = [T0]
    store = InMemoryReleaseStore(clock=lambda: clock[0])
    messenger = RecordingMessengerWithLimits(clock=lambda: clock[0])
    unused = cast(Any, None)  # delivery looks at no cluster, no directory and no manifests
    catalog = Catalog({}, ("local",), Access(frozenset(), {}))
    return Workspace(
        store,
        messenger,
        Context(store, store.queue, unused, messenger, unused, catalog, SlackRendering(), unused),
        clock,
    )


def started(workspace: Workspace) -> list[str]:
    """Releases of forty apps in one channel, started at once, that change every few seconds from
    then on."""
    ids = []
    for number in range(CARDS):
        draft = replace(
            a_release(), id="", version=0, channel=CHANNEL, created_at=T0, requested_by=DEVELOPER
        )
        draft = replace(draft, target=replace(draft.target, app=f"app{number}"))
        release = workspace.store.create(
            draft, dedup_key="", same_as="", operation=f"create {number}"
        ).release
        workspace.behind_since.setdefault(release.id, {})[release.version] = T0
        ids.append(release.id)
    return ids


def moving(workspace: Workspace, ids: list[str], seconds: int) -> None:
    def step(release_id: str) -> None:
        release = workspace.store.load(release_id)
        if not release.phase.is_final and release.phase is not Phase.AWAITING_PROMOTION:
            done = (
                ((EventKind.STEP_DONE, "a step: done"),)
                if workspace.clock[0] // SECOND % 16 == 0
                else ()
            )
            workspace.change(release_id, *done, phase=Phase.PROGRESSING)

    for second in range(1, seconds, 4):
        for number, release_id in enumerate(ids):
            workspace.at(second + number / CARDS, lambda release_id=release_id: step(release_id))  # type: ignore[misc]


def test_forty_moving_cards_meet_no_429_and_lag_under_a_minute(
    workspace: Workspace,
) -> None:
    moving(workspace, started(workspace), 220)
    workspace.run(220)
    assert workspace.messenger.refused == 0
    assert max(ms for _, _, ms in workspace.lags) <= 60 * SECOND
    assert all(one.where == CHANNEL for one in workspace.messenger.sent)
    still_behind = [
        workspace.clock[0] - since
        for untold in workspace.behind_since.values()
        for since in untold.values()
    ]
    assert max(still_behind) <= 60 * SECOND


def test_gates_and_ends_go_before_progress(workspace: Workspace) -> None:
    ids = started(workspace)
    moving(workspace, ids, 240)
    gates: dict[str, int] = {}
    finals: dict[str, int] = {}

    def open_gate(release_id: str) -> None:
        gates[release_id] = workspace.change(
            release_id, (EventKind.GATE_OPENED, "waiting"), phase=Phase.AWAITING_PROMOTION
        )

    def finish(release_id: str) -> None:
        finals[release_id] = workspace.change(
            release_id,
            (EventKind.FINISHED, "is on 2.0.0"),
            phase=Phase.SUCCEEDED,
            started_at=T0,
            finished_at=workspace.clock[0],
        )

    for number, release_id in enumerate(ids[:12]):
        workspace.at(80 + 10 * number + 0.4, partial(open_gate, release_id))
    for number, release_id in enumerate(ids[12:24]):  # three at a time
        workspace.at(82 + 10 * (number // 3 * 3) + 0.7, partial(finish, release_id))
    workspace.run(240)
    assert workspace.messenger.refused == 0
    assert len(gates) == len(finals) == 12
    assert max(workspace.lag(*gate) for gate in gates.items()) <= 5
    assert max(workspace.lag(*final) for final in finals.items()) <= 3
    assert max(ms for _, _, ms in workspace.lags) <= 60 * SECOND


def test_a_failure_is_posted_within_seconds_in_a_full_channel(
    workspace: Workspace,
) -> None:
    ids = started(workspace)
    moving(workspace, ids, 200)
    cause = Cause(FailureClass.PERMANENT, "1 new pod: ErrImagePull")

    def fail(release_id: str) -> None:
        workspace.change(
            release_id,
            (EventKind.FAILURE, cause.summary),
            phase=Phase.ROLLING_BACK,
            rollback=Rollback(Phase.ROLLED_BACK),
            cause=cause,
        )

    for number in range(5):
        workspace.at(100 + 15 * number, lambda release_id=ids[number]: fail(release_id))  # type: ignore[misc]
    workspace.run(200)
    loud = [
        when
        for one, when in zip(workspace.messenger.sent, workspace.messenger.when, strict=True)
        if " failed: " in one.message.text and not one.thread_ts
    ]
    assert len(loud) == 5
    assert (
        max(when - (T0 + (100 + 15 * number) * SECOND) for number, when in enumerate(loud))
        <= 5 * SECOND
    )
    assert workspace.messenger.refused == 0


def test_a_failure_overtakes_earlier_lines_and_is_posted_once(
    workspace: Workspace,
) -> None:
    release_id, *_ = started(workspace)
    workspace.run(60)
    before = len(workspace.messenger.sent)
    cause = Cause(FailureClass.PERMANENT, "1 new pod: ErrImagePull")
    events = (
        (EventKind.STEP_DONE, "a step: done"),
        (EventKind.FAILURE, cause.summary),
        (EventKind.ROLLING_BACK, "going back"),
    )
    workspace.change(
        release_id,
        *events,
        phase=Phase.ROLLING_BACK,
        rollback=Rollback(Phase.ROLLED_BACK),
        cause=cause,
    )
    workspace.run(120)
    posts = [one for one in workspace.messenger.sent[before:] if one.how == "post"]
    assert [bool(one.thread_ts) for one in posts] == [False, True]
    assert "failed: 1 new pod" in posts[0].message.text
    assert posts[1].message.text.split("\n") == ["a step: done", "going back"]


def test_lines_that_waited_together_are_one_thread_message(workspace: Workspace) -> None:
    release_id, *_ = started(workspace)
    workspace.run(60)
    before = len(workspace.messenger.sent)
    workspace.change(
        release_id,
        *((EventKind.STEP_DONE, f"step {number}: done") for number in range(4)),
        phase=Phase.PROGRESSING,
    )
    workspace.run(120)
    (lines,) = [
        one for one in workspace.messenger.sent[before:] if one.thread_ts and one.how == "post"
    ]
    assert lines.message.text.split("\n") == [f"step {number}: done" for number in range(4)]


def test_after_a_429_nobody_posts_before_slack_allows(workspace: Workspace) -> None:
    ids = started(workspace)
    workspace.run(90)
    workspace.messenger.refusals.append(RateLimited(30_000))
    for release_id in ids[:10]:
        workspace.change(release_id, phase=Phase.PROGRESSING)
    began, sent = workspace.clock[0], len(workspace.messenger.sent)
    workspace.run(140)
    assert all(when >= began + 30 * SECOND for when in workspace.messenger.when[sent:])
    assert len(workspace.messenger.sent) - sent == 10
