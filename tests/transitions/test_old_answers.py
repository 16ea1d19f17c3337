"""An API server that is behind answers with what was before: nothing is decided by it."""

from __future__ import annotations

from bot.releases.assess.after_write import after_write
from bot.releases.engine.decide import decide
from bot.releases.engine.old_answers import AGAIN_MS, OLD_FOR_MS
from bot.releases.facts.actions import DeleteDeployment
from bot.releases.facts.changes import Deploy
from bot.releases.facts.observation import Observation, Written
from bot.releases.facts.release import Phase
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.modelled_cluster import ModelledCluster
from tests.transitions.bluegreen.walk import Walk
from tests.transitions.test_canary_walks import a_walk as a_canary_walk
from tests.transitions.test_rolling_walks import a_walk


def rolling_back() -> Walk:
    """The claim and the template were written and observed, then the template was written back."""
    walk = a_walk(Deploy("2.0.0"))
    walk.tick()
    walk.tick()
    walk.tick()
    walk.abort()
    walk.tick()
    assert walk.release.phase is Phase.ROLLING_BACK
    return walk


def test_a_rollback_does_not_end_by_what_was_before_the_claim() -> None:
    walk = a_walk(Deploy("2.0.0"))
    before = walk.cluster.fork()
    walk = rolling_back()
    old = before.observe(walk.release, walk.now)
    assert old.stable is not None and old.stable.claim == ""
    decision = decide(walk.release, old, walk.now)
    assert decision.release == walk.release
    assert not decision.actions and not decision.events
    assert decision.wake_at == walk.now + AGAIN_MS
    assert walk.to_the_end().release.phase is Phase.ABORTED
    assert walk.cluster.state() == walk.before


def test_after_a_while_what_is_observed_is_so() -> None:
    """As after an etcd that was restored."""
    walk = rolling_back()
    hello = walk.cluster.deployments["hello"]
    hello.generation = 1
    later = walk.release.newest.since + OLD_FOR_MS
    decision = decide(walk.release, walk.look(), later)
    assert decision.release.newest.number == 1


# --- the candidate ------------------------------------------------------------------------------


def with_a_candidate() -> tuple[Walk, ModelledCluster]:
    """The candidate was observed a moment ago, and how the cluster stood before it was made."""
    walk = a_canary_walk()
    while "hello-canary" not in walk.cluster.deployments:
        walk.tick()
    before = walk.cluster.fork()
    del before.deployments["hello-canary"]
    walk.tick()
    assert walk.release.newest_candidate.uid == walk.cluster.deployments["hello-canary"].uid
    return walk, before


def without_it(walk: Walk, before: ModelledCluster) -> Observation:
    old = before.observe(walk.release, walk.now)
    assert old.candidate is None
    return old


def test_a_rollback_does_not_end_by_an_answer_from_before_the_candidate() -> None:
    walk, before = with_a_candidate()
    walk.abort()
    while walk.release.progress.at_step < 0 or walk.release.phase is not Phase.ROLLING_BACK:
        walk.tick()
    decision = decide(walk.release, without_it(walk, before), walk.now)
    assert decision.release == walk.release
    assert not decision.actions and not decision.events
    assert decision.wake_at == walk.now + AGAIN_MS
    assert walk.to_the_end().release.phase is Phase.ABORTED
    assert "hello-canary" not in walk.cluster.deployments


def test_a_candidate_that_was_just_made_is_not_reported_as_deleted() -> None:
    walk, before = with_a_candidate()
    decision = decide(walk.release, without_it(walk, before), walk.now)
    assert decision.release.phase is walk.release.phase and not decision.events


def test_a_candidate_that_is_gone_for_longer_than_an_answer_is_old_was_deleted() -> None:
    walk, before = with_a_candidate()
    later = walk.release.newest_candidate.appeared_at + OLD_FOR_MS
    decision = decide(walk.release, without_it(walk, before), later)
    assert decision.release.phase is Phase.DRIFTED


def test_a_candidate_as_it_was_before_it_was_scaled_decides_nothing() -> None:
    walk, _ = with_a_candidate()
    candidate = walk.cluster.deployments["hello-canary"]
    before = walk.cluster.fork()
    while candidate.generation == before.deployments["hello-canary"].generation:
        before = walk.cluster.fork()
        walk.tick()
    walk.tick()
    old = before.observe(walk.release, walk.now)
    decision = decide(walk.release, old, walk.now)
    assert decision.release == walk.release and not decision.actions


def test_the_answer_to_our_own_delete_is_believed_at_once() -> None:
    walk, _ = with_a_candidate()
    walk.abort()
    while not any(isinstance(one, DeleteDeployment) for one in walk.written):
        seen = walk.look()
        walk.tick()
    delete = walk.written[-1]
    gone = after_write(seen, delete, Written(None))
    assert gone is not None and gone.candidate is None
    assert walk.now < walk.release.newest_candidate.appeared_at + OLD_FOR_MS
    decision = decide(walk.release, gone, walk.now)
    assert decision.release != walk.release
    again = decide(decision.release, walk.look(), walk.now)
    assert again.wake_at != walk.now + AGAIN_MS or again.release != decision.release


# --- Services -----------------------------------------------------------------------------------


def test_a_service_as_it_was_before_the_switch_is_no_outside_change() -> None:
    walk = scenes.plain()
    before = walk.cluster.fork()
    while walk.cluster.services == before.services:
        walk.tick()
    walk.tick()
    before.deployments = walk.cluster.fork().deployments
    decision = decide(walk.release, before.observe(walk.release, walk.now), walk.now)
    assert decision.release == walk.release and not decision.events
    later = max(one.since for one in walk.release.newest_services) + OLD_FOR_MS
    changed = decide(walk.release, before.observe(walk.release, later), later)
    assert changed.release.phase is Phase.DRIFTED


def test_a_rollback_does_not_end_by_an_answer_from_before_the_preview() -> None:
    walk = scenes.with_preview()
    while "hello-preview" not in walk.cluster.services:
        walk.tick()
    walk.tick()
    walk.abort()
    old = walk.cluster.fork()
    del old.services["hello-preview"]
    decision = decide(walk.release, old.observe(walk.release, walk.now), walk.now)
    assert decision.release == walk.release and not decision.actions
    assert walk.to_the_end().release.phase is Phase.ABORTED
    assert "hello-preview" not in walk.cluster.services
