"""Enough people, and someone of each group that must agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.releases.engine.votes import adds_nothing, groups_missing, is_enough
from bot.releases.facts.people import Person, Vote, Voters
from bot.releases.facts.plan import ApprovalGate

GATE = ApprovalGate("promote", 2, False, 1_000, "hold", voters=Voters((), ("S0SRE", "S0SEC")))


def votes(*groups: str) -> tuple[Vote, ...]:
    """One person for each text of groups."""
    return tuple(
        Vote(Person("T1", f"U{number}"), number, tuple(one.split()))
        for number, one in enumerate(groups)
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), ("S0SRE", "S0SEC")),
        (("S0SRE",), ("S0SEC",)),
        (("S0SRE", "S0SRE"), ("S0SEC",)),
        (("S0SRE", "S0SEC"), ()),
        (("S0SRE S0SEC",), ("S0SEC",)),  # no one stands for two
        (("S0SRE S0SEC", "S0SRE"), ()),  # the first stands for the other then
        (("S0OTHER", ""), ("S0SRE", "S0SEC")),
    ],
)
def test_each_group_needs_someone_of_its_own(
    given: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    assert groups_missing(GATE, votes(*given)) == missing
    assert is_enough(GATE, votes(*given)) == (not missing)


def test_a_number_alone_is_enough_where_no_group_is_named() -> None:
    gate = replace(GATE, voters=Voters())
    assert is_enough(gate, votes("", "")) and not is_enough(gate, votes(""))


def test_a_vote_beyond_the_number_counts_for_a_missing_group_alone() -> None:
    given, (sre, sec) = votes("S0SRE", "S0SRE"), votes("S0SRE", "S0SEC")
    assert adds_nothing(GATE, given, sre) and not adds_nothing(GATE, given, sec)
    assert not adds_nothing(GATE, given[:1], sre)
