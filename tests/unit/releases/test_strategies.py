"""What every strategy has, beside its own tests."""

from __future__ import annotations

from typing import get_args

import pytest

from bot.commands.deploy_form import DeployForm
from bot.commands.table import Names
from bot.releases.facts.target import Strategy
from bot.releases.strategies import STRATEGIES
from bot.slack.blocks.modal import deploy_modal
from config.entry_types import StrategyName


@pytest.mark.parametrize("strategy", Strategy)
def test_a_strategy_can_be_planned_configured_and_chosen(strategy: Strategy) -> None:
    assert strategy in STRATEGIES
    assert strategy.value in get_args(StrategyName)
    assert strategy.value in str(deploy_modal(DeployForm((), strategy=strategy), Names()))
