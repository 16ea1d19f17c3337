"""What pods answer after their release succeeded, against what the version before answered in the
last window in which both were asked: before against after.

A version may become worse at any time, so the watch is divided into blocks, and from each of them
on another test begins, with its share of what the watch may err by. The numbers of before are
spread over the blocks of a test beforehand, and a block counts once it is over, so that each holds
at any number of looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.releases.assess.rollout import newest
from bot.releases.engine.judged_window import AWAY_SHARE, Found, demand_of, versions_of
from bot.releases.facts.ages import duration
from bot.releases.facts.answers import Answers, Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.observation import AnswerSeen, Observation
from bot.releases.facts.plan import Plan, Side
from bot.releases.facts.release import Release
from bot.releases.judge.verdicts import Comparison, compare
from bot.releases.judge.words import compared_text

BLOCKS = 10
LONGEST = 5  # blocks of one test: before is spread over no more
USUAL_HOLD_MS = 120_000
"""Pods are asked as often as in a hold of so long."""
AT_ONCE = 8
FEWEST_LOST = 4  # of which most are lost, before that is said


def with_reference(release: Release, cells: Iterable[Cell]) -> Release:
    """Stable's answers are kept for the watch: those of the fullest window, of two the later."""
    old = tuple(one for one in cells if one.side is Side.STABLE)
    if sum(one.requests for one in old) < sum(one.requests for one in release.reference):
        return release
    return replace(release, reference=old)


def pods_to_ask(release: Release, seen: Observation, asked: int, pace_ms: int) -> tuple[str, ...]:
    """One name for each request, the new version's ready pods in turn; none where the version
    before was never asked."""
    probe = release.plan.probe if release.plan is not None else None
    current = newest(seen.stable) if seen.stable is not None else None
    if probe is None or not release.reference or current is None:
        return ()
    ready = sorted(pod.name for pod in current.pods if pod.ready and not pod.terminating)
    if not ready:
        return ()
    count = min(AT_ONCE, -(-probe.requests * pace_ms // USUAL_HOLD_MS))
    return tuple(ready[number % len(ready)] for number in range(asked, asked + count))


def with_answers(
    release: Release, answers: Answers, seen: Sequence[AnswerSeen], now: int
) -> Answers:
    came = [one for one in seen if one.outcome != "lost"]
    bad = [one for one in came if one.outcome == "bad"]
    lost = [one for one in seen if one.outcome == "lost"]
    at = _block_at(release, now)
    sums = {(one.pod, one.at): (one.requests, one.failures) for one in answers.cells}
    failed = Counter(one.pod for one in bad)
    for pod, asked in Counter(one.pod for one in came).items():
        requests, failures = sums.get((pod, at), (0, 0))
        sums[pod, at] = requests + asked, failures + failed[pod]
    return replace(
        answers,
        asked=answers.asked + len(seen),
        last_at=now,
        cells=tuple(Cell(Side.CANDIDATE, *where, *both) for where, both in sums.items()),
        lost=answers.lost + len(lost),
        why=f"{bad[-1].pod}: {bad[-1].why}" if bad else answers.why,
        lost_why=f"{lost[-1].pod}: {lost[-1].why}" if lost else answers.lost_why,
    )


def judge_after(release: Release, answers: Answers, now: int) -> Found | None:
    """None where nothing was asked. Never good: a watch ends, and passes nothing."""
    plan = release.plan
    if plan is None or plan.probe is None or not answers.asked:
        return None
    whole = compare((*answers.cells, *release.reference), demand_of(release, plan))
    text = _text(release, plan, whole, "since it succeeded")
    if answers.asked >= FEWEST_LOST and answers.lost >= AWAY_SHARE * answers.asked:
        why = f"the pods' answers do not come through ({answers.lost_why})"
        return Found(Verdict.SOURCE_AWAY, f"{why}: {text}", whole)
    if whole.stable.rate >= AWAY_SHARE:
        return Found(Verdict.SOURCE_AWAY, f"the version before failed as well: {text}", whole)
    for first in range((now - release.finished_at) // _block_ms(release)):
        if (bad := _worse_from(release, plan, answers, first, now)) is not None:
            return bad
    return Found(Verdict.TOO_LITTLE, text, whole, answers.why)


def _worse_from(
    release: Release, plan: Plan, answers: Answers, first: int, now: int
) -> Found | None:
    """The test of the blocks from ``first`` on that are over."""
    block_ms = _block_ms(release)
    over = min(first + LONGEST, (now - release.finished_at) // block_ms)
    demand = demand_of(release, plan)
    demand = replace(demand, alarm=demand.alarm / BLOCKS)
    cells = [
        one
        for one in (*answers.cells, *_before(release, first))
        if first <= one.at // block_ms < over
    ]
    compared = compare(cells, demand)
    if compared.verdict is not Verdict.BAD:
        return None
    since = "since it succeeded"
    if first:
        since = f"in the last {duration(now - release.finished_at - first * block_ms)}"
    later = [one for one in answers.cells if one.at // block_ms >= first]
    shown = compare((*later, *release.reference), demand)
    text = _text(release, plan, replace(shown, sick=compared.sick), since)
    return Found(Verdict.BAD, text, compared, answers.why)


def _text(release: Release, plan: Plan, compared: Comparison, since: str) -> str:
    new, old = versions_of(release, plan)
    path = plan.probe.path if plan.probe is not None else ""
    return f"{compared_text(compared, f'{new} {since}', f'{old} before')} ({path})"


def _before(release: Release, first: int) -> tuple[Cell, ...]:
    """The reference, spread over the blocks of a test in the order in which it was asked."""
    times = sorted({one.at for one in release.reference})
    block_ms, blocks = _block_ms(release), min(LONGEST, BLOCKS - first)
    block = {at: first + number * blocks // len(times) for number, at in enumerate(times)}
    sums: Counter[tuple[str, int]] = Counter()
    failed: Counter[tuple[str, int]] = Counter()
    for one in release.reference:
        where = one.pod, block[one.at] * block_ms
        sums[where] += one.requests
        failed[where] += one.failures
    return tuple(Cell(Side.STABLE, *where, sums[where], failed[where]) for where in sums)


def _block_ms(release: Release) -> int:
    return max(1, release.rules.watch_after_ms // BLOCKS)


def _block_at(release: Release, now: int) -> int:
    """When a block begins, since the release succeeded."""
    block_ms = _block_ms(release)
    return (now - release.finished_at) // block_ms * block_ms
