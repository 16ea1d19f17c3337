"""Do the votes at a gate suffice: their number, and one person of each group that must agree?"""

from __future__ import annotations

from collections.abc import Sequence

from bot.releases.facts.people import Vote
from bot.releases.facts.plan import ApprovalGate


def is_enough(gate: ApprovalGate, votes: Sequence[Vote]) -> bool:
    return len(votes) >= gate.quorum and not groups_missing(gate, votes)


def adds_nothing(gate: ApprovalGate, votes: Sequence[Vote], vote: Vote) -> bool:
    """The number is reached, and the vote brings no group that is still missing."""
    if len(votes) < gate.quorum:
        return False
    before = groups_missing(gate, votes)
    return len(groups_missing(gate, (*votes, vote))) == len(before)


def groups_missing(gate: ApprovalGate, votes: Sequence[Vote]) -> tuple[str, ...]:
    """Groups for which nobody has voted who does not already stand for another: one person never
    stands for two."""
    stands_for: dict[int, str] = {}

    def place(group: str, tried: set[int]) -> bool:
        for number, vote in enumerate(votes):
            if group not in vote.groups or number in tried:
                continue
            tried.add(number)
            held = stands_for.get(number)
            if held is None or place(held, tried):
                stands_for[number] = group
                return True
        return False

    return tuple(group for group in gate.voters.one_from_each if not place(group, set()))
