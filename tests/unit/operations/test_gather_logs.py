"""Log lines are read after the failure is saved, once, and whatever they hold stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from bot.operations.context import Catalog, Context
from bot.operations.lifecycle.gather_logs import gather_logs
from bot.policy.permissions import Access
from bot.ports import ClusterUnreachable
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Phase, Rollback
from bot.slack.blocks.rendering import SlackRendering
from tests.builders import a_release
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.fakes.recording_messenger import RecordingMessenger


@dataclass
class SimulatedLogs:
    """A cluster of which only the logs of one pod are asked."""

    printed: Callable[[], tuple[str, ...]]
    asked: int = 0

    def logs(self, *_: object, **__: object) -> tuple[str, ...]:
        self.asked += 1
        return self.printed()


def stage(printed: Callable[[], tuple[str, ...]]) -> tuple[Context, SimulatedLogs, str]:
    store, logs = InMemoryReleaseStore(), SimulatedLogs(printed)
    draft = replace(a_release(), id="", version=0, created_at=store.now())
    release = store.create(draft, dedup_key="", same_as="", operation="create").release
    cause = Cause(FailureClass.PERSISTENT, "3 new pods: CrashLoopBackOff", pods=("hello-2-a",))
    broken = replace(
        release, phase=Phase.ROLLING_BACK, rollback=Rollback(Phase.ROLLED_BACK), cause=cause
    )
    store.save(broken, (), operation="fail")
    unused = cast(Any, None)
    clusters = cast(Any, {release.target.cluster: logs})
    catalog = Catalog({}, ("local",), Access(frozenset(), {}))
    rendering = SlackRendering()
    context = Context(
        store, store.queue, clusters, RecordingMessenger(), unused, catalog, rendering, unused
    )
    return context, logs, release.id


def test_lines_are_saved_redacted_with_an_event_of_their_own() -> None:
    context, _, release_id = stage(lambda: ("DB_PASS=hunter2", "x" * 16_000))
    gather_logs(context, release_id)
    cause = context.store.load(release_id).cause
    assert cause is not None and cause.logs[0] == "DB_PASS=[redacted]" and len(cause.logs[1]) <= 300
    events = [entry.event.kind for entry in context.store.outbox(release_id)[0]]
    assert EventKind.EVIDENCE in events


def test_a_reader_that_dies_of_the_lines_is_not_repeated() -> None:
    def dies() -> tuple[str, ...]:
        raise MemoryError

    context, logs, release_id = stage(dies)
    with pytest.raises(MemoryError):
        gather_logs(context, release_id)
    gather_logs(context, release_id)
    assert logs.asked == 1


def test_no_lines_to_be_had_changes_nothing() -> None:
    def away() -> tuple[str, ...]:
        raise ClusterUnreachable("away")

    context, _, release_id = stage(away)
    before = context.store.load(release_id)
    gather_logs(context, release_id)
    assert context.store.load(release_id) == before


def test_a_container_that_was_not_started_again_has_its_last_lines_in_its_own_log() -> None:
    """A kubelet keeps one ended container: before the next start that is the current one, and the
    log of the one before is removed."""

    class Ended(SimulatedLogs):
        def logs(self, *_: object, **query: object) -> tuple[str, ...]:
            return () if query["previous"] else self.printed()

    context, logs, release_id = stage(lambda: ("panic: no config",))
    ended = cast(Any, {"local": Ended(logs.printed)})
    gather_logs(replace(context, clusters=ended), release_id)
    cause = context.store.load(release_id).cause
    assert cause is not None and cause.logs == ("panic: no config",)
