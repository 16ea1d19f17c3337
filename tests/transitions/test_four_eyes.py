"""An approval that the app's own strategy asks for cannot be avoided by choosing another way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.decide import decide
from bot.releases.facts.changes import Change, Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.people import Voters
from bot.releases.facts.release import Phase
from bot.releases.facts.rules import ApprovalRules, CanaryRules, Rules
from bot.releases.facts.target import Strategy
from tests.builders import T0, a_release, a_template, an_observation

ASKS = Rules(own_strategy=Strategy.CANARY)
TWO = Rules(own_strategy=Strategy.BLUEGREEN, approvals=ApprovalRules(promote=2))
NEW = Deploy("2.0.0", Strategy.ROLLING)


def begun(change: Change, rules: Rules) -> tuple[Phase, tuple[int, ...]]:
    release = replace(a_release(), change=change, rules=rules)
    decision = decide(release, an_observation(), T0)
    plan = decision.release.plan
    assert plan is not None, decision.release.cause
    return decision.release.phase, tuple(getattr(gate, "quorum", 0) for gate in plan.start)


@pytest.mark.parametrize(
    "change", [NEW, Reapply(a_template("1.0.0", labels={"app": "hello", "x": "y"}))]
)
def test_another_way_to_new_pods_asks_before_its_first_write(change: Change) -> None:
    assert begun(change, ASKS) == (Phase.AWAITING_APPROVAL, (1,))
    assert begun(change, TWO) == (Phase.AWAITING_APPROVAL, (2,))


@pytest.mark.parametrize("change", [Scale(5), Restart(), Undo(template=a_template("0.9.0"))])
def test_undo_restart_and_scale_ask_nobody(change: Change) -> None:
    assert begun(change, ASKS)[1] == ()


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(own_strategy=Strategy.CANARY, canary=CanaryRules(promote="automatic")),
        Rules(own_strategy=Strategy.CANARY, approvals=ApprovalRules(promote=0)),
    ],
)
def test_an_app_whose_own_way_asks_nobody_stays_so(rules: Rules) -> None:
    assert begun(NEW, rules)[1] == ()


def test_the_apps_own_canary_starts_without_asking() -> None:
    assert begun(Deploy("2.0.0", Strategy.CANARY), ASKS)[1] == ()


def test_an_emergency_strategy_waits_for_no_promotion() -> None:
    usual = (Strategy.CANARY, Strategy.BLUEGREEN)
    rules = replace(ASKS, strategies=usual, emergency=(Strategy.ROLLING,))
    assert begun(NEW, rules)[1] == ()
    assert begun(NEW, replace(rules, approvals=ApprovalRules(start=2)))[1] == (2,)


def test_whoever_must_agree_to_a_promotion_agrees_to_the_start_that_stands_in_for_it() -> None:
    sre, owners = Voters(("S0SRE",)), Voters(("S0OWNERS",))
    rules = replace(ASKS, approvals=ApprovalRules(1, 2, start_voters=owners, promote_voters=sre))
    release = replace(a_release(), change=NEW, rules=rules)
    plan = decide(release, an_observation(), T0).release.plan
    assert plan is not None
    assert [(gate.name, getattr(gate, "quorum", 0)) for gate in plan.start] == [
        ("start", 1),
        ("version", 2),
    ]
    assert [getattr(gate, "voters", None) for gate in plan.start] == [owners, sre]
