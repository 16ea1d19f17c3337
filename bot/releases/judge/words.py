"""A comparison as people read it."""

from __future__ import annotations

from bot.releases.facts.plan import Side
from bot.releases.judge.cells import Tally
from bot.releases.judge.verdicts import Comparison, SickPod


def compared_text(
    compared: Comparison, candidate: str, stable: str, *, what: str = "failed"
) -> str:
    """Both sides by their version.

    >>> from bot.releases.facts.causes import Verdict
    >>> found = Comparison(Verdict.BAD, Tally(940, 20), Tally(8800, 9))
    >>> compared_text(found, "2.0.0", "1.0.0")
    '2.1% of 940 requests failed on 2.0.0; 0.1% of 8,800 on 1.0.0'
    """
    text = (
        f"{rate_text(compared.candidate)} requests {what} on {candidate};"
        f" {rate_text(compared.stable)} on {stable}"
    )
    return f"{text}. {_sick_text(compared.sick, candidate, stable)}" if compared.sick else text


def _sick_text(sick: SickPod, candidate: str, stable: str) -> str:
    version = candidate if sick.side is Side.CANDIDATE else stable
    return (
        f"The pod {sick.name} is sick by itself: {rate_text(sick.own)} of it,"
        f" {rate_text(sick.others)} of the other pods of {version}"
    )


def rate_text(tally: Tally) -> str:
    """
    >>> rate_text(Tally(20, 20)), rate_text(Tally(8800, 9)), rate_text(Tally(0, 0))
    ('100% of 20', '0.1% of 8,800', 'none of 0')
    >>> rate_text(Tally(900_000, 9)), rate_text(Tally(20, 0)), rate_text(Tally(1000, 999))
    ('0.001% of 900,000', '0% of 20', '99.9% of 1,000')
    """
    requests = round(tally.requests)
    if not requests:
        return "none of 0"
    return f"{percent_text(tally.rate)} of {requests:,}"


def percent_text(rate: float) -> str:
    """One decimal, more where that would read as none, and none where it says nothing.

    >>> [percent_text(one) for one in (0, 0.00001, 0.0004, 0.05, 0.125, 0.9996, 1)]
    ['0%', '0.001%', '0.04%', '5%', '12.5%', '99.96%', '100%']
    """
    percent = rate * 100
    for digits in range(1, 6):
        text = f"{percent:.{digits}f}"
        if not rate or (float(text) > 0 and (float(text) < 100 or rate >= 1)):
            break
    return f"{text.rstrip('0').rstrip('.')}%"
