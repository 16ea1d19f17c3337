"""Redis loses its last second: the record is older than what the release wrote to the cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.operations.lifecycle.advance_release import advance_release
from bot.operations.lifecycle.control_release import control_release
from bot.operations.lifecycle.meet_error import TRIES, meet_error
from bot.ports import Cluster, ClusterUnreachable
from bot.releases.facts.changes import Change, Deploy, Restart, Undo
from bot.releases.facts.plan import ApprovalGate
from bot.releases.facts.release import GateState, Held, Phase, Release, RepeatedError
from bot.releases.facts.requests import Abort, Approve, Reject
from bot.releases.facts.rules import Rules
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


def starting_at_once(rules: Rules) -> Rules:
    return replace(rules, approvals=replace(rules.approvals, start=0))


def loses_its_plan(
    desk: Desk,
    store: ForgetfulStore,
    strategy: Strategy = Strategy.ROLLING,
    change: Change | None = None,
) -> str:
    desk.rules = starting_at_once(desk.rules)
    change = change or Deploy("2.0.0", strategy)
    draft = a_release(change, target=desk.target, rules=desk.rules, id="")
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


def test_a_restart_whose_plan_was_lost_restarts_no_pod_twice(
    desk: Desk, store: ForgetfulStore
) -> None:
    release_id = loses_its_plan(desk, store, change=Restart())
    written = desk.lab.read("deployments", "hello")["spec"]["template"]
    assert never_drifts(desk, release_id).phase is Phase.SUCCEEDED
    assert desk.lab.read("deployments", "hello")["spec"]["template"] == written


def test_an_undo_whose_plan_was_lost_returns_where_it_had_begun_to(
    desk: Desk, store: ForgetfulStore
) -> None:
    desk.rules = starting_at_once(desk.rules)
    assert desk.ends(desk.deploys("2.0.0")).phase is Phase.SUCCEEDED
    release_id = loses_its_plan(desk, store, change=Undo())
    assert desk.container()["image"].endswith(":1.0.0")
    assert never_drifts(desk, release_id).phase is Phase.SUCCEEDED
    assert desk.container()["image"].endswith(":1.0.0")


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


def is_as_found(desk: Desk) -> bool:
    claimed = "pilothouse.dev/release" in desk.lab.read("deployments", "hello")["metadata"].get(
        "annotations", {}
    )
    return not claimed and desk.container()["image"].endswith(":1.0.0")


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.CANARY])
def test_an_abort_before_anything_was_observed_again_rolls_back_what_was_written(
    desk: Desk, store: ForgetfulStore, strategy: Strategy
) -> None:
    release_id = loses_its_plan(desk, store, strategy)
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    over = desk.ends(release_id)
    assert over.phase is Phase.ABORTED and is_as_found(desk)


def test_a_rejection_after_a_lost_approval_rolls_back_what_was_written(
    desk: Desk, store: ForgetfulStore
) -> None:
    release_id = loses_its_first_write(desk, store)
    asks = store.load(release_id)
    assert asks.plan is not None and asks.phase is Phase.AWAITING_APPROVAL
    store.forget(replace(asks, progress=replace(asks.progress, gate=_unvoted(asks))))
    rejection = Reject(MANAGER, asks.plan.start[0].name, asks.plan.hash)
    control_release(desk.context, release_id, rejection, "Rejected.")
    over = desk.ends(release_id)
    assert over.phase is Phase.REJECTED and is_as_found(desk)


def _unvoted(release: Release) -> GateState:
    assert release.progress.gate is not None
    return replace(release.progress.gate, votes=())


def test_a_starter_who_lost_the_role_meanwhile_leaves_nothing_written(
    desk: Desk, store: ForgetfulStore
) -> None:
    """The first tick comes again, and refuses what it had begun."""
    release_id = loses_its_plan(desk, store)
    store.forget(replace(store.load(release_id), requested_by=MANAGER))
    over = desk.ends(release_id)
    assert over.cause is not None and "no longer has" in over.cause.summary
    assert over.phase is Phase.ROLLED_BACK and is_as_found(desk)


def test_what_nobody_decided_about_rolls_back_what_was_written(
    desk: Desk, store: ForgetfulStore
) -> None:
    """It was let continue and began, and Redis lost both."""
    release_id = loses_its_plan(desk, store)
    long_ago = store.now() - desk.rules.approvals.expires_ms
    store.forget(replace(store.load(release_id), held=Held("hello-9", long_ago)))
    over = desk.ends(release_id)
    assert over.phase is Phase.EXPIRED and is_as_found(desk)


def test_giving_up_after_errors_leaves_nothing_written(desk: Desk, store: ForgetfulStore) -> None:
    release_id = loses_its_plan(desk, store)
    store.forget(replace(store.load(release_id), errors=RepeatedError(TRIES, 1)))
    assert meet_error(desk.context, release_id, RuntimeError("again"))
    over = desk.ends(release_id)
    assert over.cause is not None and "an error of Pilothouse repeats" in over.cause.summary
    assert over.phase is Phase.ROLLED_BACK and is_as_found(desk)


def test_an_abort_waits_for_the_cluster_and_at_last_says_that_it_was_not_observed(
    desk: Desk, store: ForgetfulStore
) -> None:
    release_id = loses_its_plan(desk, store)
    control_release(desk.context, release_id, Abort(DEVELOPER), "Aborted.")
    context = replace(desk.context, clusters=NoClusters())
    wake_at = advance_release(context, release_id)
    waiting = store.load(release_id)
    assert waiting.phase is Phase.QUEUED and waiting.unreachable is not None and wake_at
    store.forget(replace(waiting, unreachable=replace(waiting.unreachable, since=1)))
    advance_release(context, release_id)
    assert store.load(release_id).phase is Phase.ABORTED
    assert "hello was not observed" in desk.said(release_id)


class NoClusters:
    def __getitem__(self, name: str) -> Cluster:
        raise ClusterUnreachable("time-out")

    def names(self) -> tuple[str, ...]:
        return ("local",)
