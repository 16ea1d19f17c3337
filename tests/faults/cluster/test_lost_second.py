"""Redis loses its last second: the record is older than what the release wrote to the cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.releases.facts.changes import Deploy
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Abort, Approve
from bot.releases.facts.target import Strategy
from tests.builders import DEVELOPER, MANAGER, a_release, rules_with
from tests.fakes.in_memory_store import InMemoryReleaseStore
from tests.faults.cluster.test_apply import Desk
from tests.faults.cluster.test_apply import desk as desk


class ForgetfulStore(InMemoryReleaseStore):
    """``forget`` puts a record back to what it was."""

    def forget(self, earlier: Release) -> None:
        self._releases[earlier.id] = replace(earlier, version=self.load(earlier.id).version)


@pytest.fixture
def store(desk: Desk) -> ForgetfulStore:
    desk.store = store = ForgetfulStore()
    desk.rules = rules_with(
        approvals={"start": 1}, canary={"hold_ms": 0, "promote": "automatic", "steps": (50,)}
    )
    return store


def begun(desk: Desk, strategy: Strategy = Strategy.ROLLING) -> str:
    """Approved, and about to write."""
    draft = a_release(Deploy("2.0.0", strategy), target=desk.target, rules=desk.rules, id="")
    release_id = desk.store.create(draft, dedup_key="", same_as="", operation="new").release.id
    waiting = desk.ticks(release_id, lambda one: one.phase is Phase.AWAITING_APPROVAL)
    assert waiting.plan is not None and isinstance(waiting.plan.start[0], ApprovalGate)
    approval = Approve(MANAGER, waiting.plan.start[0].name, waiting.plan.hash)
    control_release(desk.context, release_id, approval, "Approved.")
    return release_id


def loses_its_first_write(
    desk: Desk, store: ForgetfulStore, strategy: Strategy = Strategy.ROLLING
) -> str:
    release_id = begun(desk, strategy)
    before = store.load(release_id)
    advance_release(desk.context, release_id)
    assert any(intent.written for intent in store.load(release_id).intents)
    store.forget(before)
    return release_id


def never_drifts(desk: Desk, release_id: str) -> Release:
    over = desk.ends(release_id)
    assert "changed outside" not in desk.said(release_id)
    return over


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.CANARY])
def test_our_own_write_is_no_outside_change(
    desk: Desk, store: ForgetfulStore, strategy: Strategy
) -> None:
    release_id = loses_its_first_write(desk, store, strategy)
    assert never_drifts(desk, release_id).phase is Phase.SUCCEEDED
    assert desk.container()["image"].endswith(":2.0.0")


def test_an_abort_rolls_back_what_the_record_had_lost(desk: Desk, store: ForgetfulStore) -> None:
    release_id = loses_its_first_write(desk, store)
    advance_release(desk.context, release_id)
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    assert never_drifts(desk, release_id).phase is Phase.ABORTED
    assert desk.container()["image"].endswith(":1.0.0")
    found = desk.lab.read("deployments", "hello")["metadata"]
    assert "pilothouse.dev/release" not in found["annotations"]


def loses_its_plan(desk: Desk, store: ForgetfulStore, strategy: Strategy = Strategy.ROLLING) -> str:
    desk.rules = replace(desk.rules, approvals=replace(desk.rules.approvals, start=0))
    draft = a_release(Deploy("2.0.0", strategy), target=desk.target, rules=desk.rules, id="")
    draft = replace(draft, created_at=store.now())
    release_id = store.create(draft, dedup_key="", same_as="", operation="new").release.id
    before = store.load(release_id)
    advance_release(desk.context, release_id)
    assert any(intent.written for intent in store.load(release_id).intents)
    store.forget(before)
    assert store.load(release_id).plan is None
    return release_id


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.CANARY])
def test_a_plan_that_was_lost_is_made_for_what_was_found(
    desk: Desk, store: ForgetfulStore, strategy: Strategy
) -> None:
    release_id = loses_its_plan(desk, store, strategy)
    over = never_drifts(desk, release_id)
    assert (over.phase, over.from_version) == (Phase.SUCCEEDED, "1.0.0")
    assert desk.container()["image"].endswith(":2.0.0")


def test_an_abort_after_a_lost_plan_rolls_back_to_what_was_found(
    desk: Desk, store: ForgetfulStore
) -> None:
    release_id = loses_its_plan(desk, store)
    advance_release(desk.context, release_id)
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    assert never_drifts(desk, release_id).phase is Phase.ABORTED
    assert desk.container()["image"].endswith(":1.0.0")
    assert "pilothouse.dev/release" not in desk.lab.read("deployments", "hello")["metadata"].get(
        "annotations", {}
    )
