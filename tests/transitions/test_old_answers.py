"""An API server that is behind answers with what was before: nothing is decided by it."""

from __future__ import annotations

from bot.releases.engine.decide import decide
from bot.releases.engine.old_answers import AGAIN_MS, OLD_FOR_MS
from bot.releases.facts.changes import Deploy
from bot.releases.facts.release import Phase
from tests.transitions.bluegreen.walk import Walk
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
