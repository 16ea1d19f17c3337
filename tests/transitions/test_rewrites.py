"""What a resume after drift writes again, and what the cluster's admission makes of a write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.releases.assess.intents import confirm_intents
from bot.releases.engine.decide import decide
from bot.releases.engine.rewrite import MAX_REWRITES
from bot.releases.facts.intent import Field, Intent, Kind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.requests import Resume
from tests.builders import (
    DEVELOPER,
    MINUTE,
    SECOND,
    T0,
    a_release,
    a_rolling_deployment,
    a_template,
    an_observation,
)
from tests.transitions.bluegreen import scenes
from tests.transitions.bluegreen.test_moments import ON_BLUE, ON_GREEN
from tests.transitions.test_requests import asked
from tests.transitions.ticks import (
    changes_of,
    claimed,
    half_rolled,
    patched,
    rolled,
    rolling,
    with_stable,
)

OURS = (("pilothouse", "Update", "", "spec.template.spec.containers[name=hello].image"),)
THEIRS = (("kubectl", "Update", "", "spec.template.spec.containers[name=hello].image"),)


# --- a resume writes under the conditions of the plan ---------------------------------------------


def test_a_selector_waits_until_the_candidate_has_its_pods_again() -> None:
    walk = scenes.plain().to_step("switch", gate="window")
    walk.cluster.select("hello", ON_BLUE)
    walk.cluster.deployments["hello-green"].replicas = 0
    for _ in range(4):
        walk.cluster.beat()
    walk.tick()
    assert walk.release.phase is Phase.DRIFTED
    walk.ask(Resume(DEVELOPER))
    for _ in range(6):
        walk.tick()
        walk.cluster.beat()
        assert walk.cluster.selected("hello"), "our own write left no ready endpoint"
    assert walk.cluster.services["hello"].selector == ON_GREEN


def at_war(tries: int) -> Release:
    """Something changes the template back as often as it is written."""
    seen = with_stable(half_rolled(), template=a_template("3.0.0"))
    release = asked(decide(rolling(), seen, T0 + SECOND).release, Resume(DEVELOPER))
    for number in range(tries):
        release = decide(release, seen, T0 + (3 + number) * SECOND).release
    return release


def test_a_value_that_does_not_stay_ends_the_release() -> None:
    assert at_war(MAX_REWRITES).phase is Phase.PROGRESSING
    over = at_war(MAX_REWRITES + 1)
    assert over.phase is Phase.ROLLING_BACK and over.cause is not None
    assert "template was written 5 times and did not stay" in over.cause.summary


def test_the_deadline_runs_while_values_are_written_again() -> None:
    seen = with_stable(half_rolled(), template=a_template("3.0.0"))
    late = decide(at_war(2), seen, T0 + 60 * MINUTE).release
    assert late.cause is not None and "not complete after" in late.cause.summary


# --- what admission makes of our write ------------------------------------------------------------


def by_digest(seen: Observation, managers: Any = OURS) -> Observation:
    """As a webhook leaves the template that we wrote: the tag has become a digest."""
    template = a_template("2.0.0")
    template["spec"]["containers"][0]["image"] += "@sha256:" + "a" * 64
    return with_stable(seen, template=template, managers=managers)


def digest_rolled(managers: Any = OURS) -> Observation:
    return by_digest(an_observation(claimed(a_rolling_deployment(new=1, old=3))), managers)


def test_what_admission_makes_of_our_write_is_the_intended_value() -> None:
    decision = decide(patched(a_release()), digest_rolled(), T0 + SECOND)
    assert decision.release.phase is Phase.PROGRESSING
    assert Field.TEMPLATE not in changes_of(decision)


def test_the_same_template_by_someone_else_is_drift() -> None:
    decision = decide(patched(a_release()), digest_rolled(THEIRS), T0 + SECOND)
    assert decision.release.phase is Phase.DRIFTED


def test_a_later_change_of_what_admission_made_is_drift() -> None:
    release = decide(patched(a_release()), digest_rolled(), T0 + SECOND).release
    assert decide(release, rolled(), T0 + 2 * SECOND).release.phase is Phase.DRIFTED


def written(before: str, after: Any) -> Intent:
    return Intent(
        Kind.DEPLOYMENT,
        "hello",
        Field.TEMPLATE,
        before=a_template(before),
        after=after,
        confirmed=False,
        written=True,
    )


@pytest.mark.parametrize(("arrived", "settled"), [("1.0.0", True), ("2.0.0", False)])
def test_a_rollback_takes_what_admission_makes_of_the_version_it_restores(
    arrived: str, settled: bool
) -> None:
    """A forward write that arrives late is no answer to it."""
    template, restored = a_template(arrived), a_template("1.0.0")
    template["spec"]["containers"][0]["image"] += "@sha256:" + "a" * 64
    intent = replace(written("7.0.0", restored), pending="restore")
    seen = with_stable(rolled(), template=template, managers=OURS)
    (now,), drift = confirm_intents((intent,), seen)
    assert not drift
    assert (now.confirmed, now.after == template) == (settled, settled)


@pytest.mark.parametrize(("rewritten", "settled"), [(1, True), (0, False)])
def test_a_resume_takes_what_admission_makes_of_the_value_written_again(
    rewritten: int, settled: bool
) -> None:
    """Else it would be written again and again, and changed each time."""
    template, wanted = a_template("1.0.0"), a_template("1.0.0")
    template["spec"]["containers"][0]["image"] += "@sha256:" + "a" * 64
    was_confirmed = replace(written("2.0.0", wanted), confirmed=True)
    intent = replace(was_confirmed, pending="rewrite", rewritten=rewritten)
    seen = with_stable(rolled(), template=template, managers=OURS)
    (now,), drift = confirm_intents((intent,), seen)
    assert not drift
    assert (not now.pending, now.after == template) == (settled, settled)
