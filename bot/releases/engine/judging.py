"""Candidate and stable asked in the same seconds while the candidate is judged, and what their
answers do.

Deciding asks no pod: ``pods_to_sample`` names those that the next observation must ask, and the
observation holds the answers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bot.releases.engine.answers_after import with_reference
from bot.releases.engine.decision import Decision
from bot.releases.engine.judged_window import (
    AWAY_SHARE,
    Found,
    demand_of,
    has_both,
    is_judged,
    is_rolling,
    judged_hold,
    sides,
    versions_of,
    window_of,
)
from bot.releases.facts.answers import Answers, Cell
from bot.releases.facts.causes import Verdict
from bot.releases.facts.observation import AnswerSeen, Observation
from bot.releases.facts.plan import Probe, Side
from bot.releases.facts.release import Release
from bot.releases.judge.verdicts import Comparison, compare
from bot.releases.judge.words import compared_text

AT_ONCE = 8  # requests of one side in one observation
GAP_MS = 2_000
AT_ONCE_IN_A_ROLL = 4
ASKED_IN = 0.9  # of a window: the last answers are there before it ends


def pods_to_sample(release: Release, seen: Observation, now: int) -> tuple[str, ...]:
    """One name for each request, the sides in turn."""
    probe = release.plan.probe if release.plan else None
    if probe is None or not is_judged(release):
        return ()
    candidate, stable = sides(release, seen)
    if not candidate or not stable:
        return ()
    answers = release.progress.answers or Answers()
    if answers.asked and now < answers.last_at + GAP_MS:
        return ()
    most = AT_ONCE_IN_A_ROLL if is_rolling(release) else AT_ONCE
    count = min(most, _due(release, probe, now) - answers.asked)
    numbers = range(answers.asked, answers.asked + max(0, count))
    return tuple(
        side[number % len(side)].name for number in numbers for side in (candidate, stable)
    )


def next_sample_at(release: Release, now: int) -> int | None:
    """When pods must be asked next; None once all requests are made, or nothing is judged."""
    probe = release.plan.probe if release.plan else None
    if probe is None or not is_judged(release):
        return None
    answers = release.progress.answers or Answers()
    wanted = _wanted(release, probe, answers)
    if answers.asked >= wanted:
        return None
    due_at = now
    if (window := window_of(release)) is not None:
        begins, lasts = window
        due_at = begins + round(lasts * ASKED_IN * answers.asked / wanted)
    earliest = answers.last_at + GAP_MS if answers.asked else now
    return max(now + 1 if answers.asked else now, due_at, earliest)


def record_answers(decision: Decision, seen: Observation, now: int) -> Decision:
    """Count what was answered in this observation, and be woken for the next requests."""
    release = decision.release
    if not is_judged(release):
        return decision
    if seen.answers:
        new = {pod.name for pod in sides(release, seen)[0]}
        answers = _counted(release.progress.answers or Answers(), seen.answers, new, now)
        progress = replace(release.progress, answers=answers)
        release = with_reference(replace(release, progress=progress), answers.cells)
        decision = decision.changed(release)
    return (
        decision.wake(next_sample_at(decision.release, now))
        if has_both(release, seen)
        else decision
    )


def _counted(answers: Answers, seen: tuple[AnswerSeen, ...], new: set[str], now: int) -> Answers:
    came = [one for one in seen if one.outcome != "lost"]
    asked, failed = (
        Counter(one.pod for one in came),
        Counter(one.pod for one in came if one.outcome == "bad"),
    )
    cells = tuple(
        Cell(Side.CANDIDATE if pod in new else Side.STABLE, pod, now, count, failed[pod])
        for pod, count in asked.items()
    )
    bad = [f"{one.pod}: {one.why}" for one in came if one.outcome == "bad" and one.pod in new]
    lost = [f"{one.pod}: {one.why}" for one in seen if one.outcome == "lost"]
    return replace(
        answers,
        asked=answers.asked + len(seen) // 2,
        last_at=now,
        cells=(*answers.cells, *cells),
        lost=answers.lost + len(lost),
        why=bad[-1] if bad else answers.why,
        lost_why=lost[-1] if lost else answers.lost_why,
    )


def judge_answers(release: Release) -> Found | None:
    """What the answers so far say; None where none were asked for."""
    answers, plan = release.progress.answers, release.plan
    if answers is None or not answers.asked or plan is None or plan.probe is None or answers.over:
        return None
    compared = compare(answers.cells, demand_of(release, plan))
    text = f"{compared_text(compared, *versions_of(release, plan))} ({plan.probe.path})"
    if why := _away(answers, compared):
        return Found(Verdict.SOURCE_AWAY, f"{why}: {text}", compared)
    return Found(compared.verdict, text, compared, answers.why)


def _away(answers: Answers, compared: Comparison) -> str:
    """Why the answers say nothing about the candidate: stable fails as well, or what lies between
    kept the answers of a side away. "" where they do."""
    no_side = not (compared.candidate.requests and compared.stable.requests)
    if no_side or answers.lost >= AWAY_SHARE * 2 * answers.asked:
        return f"the pods' answers do not come through ({answers.lost_why})"
    if compared.stable.rate >= AWAY_SHARE:
        return "the version before fails as well"
    return ""


def _wanted(release: Release, probe: Probe, answers: Answers) -> int:
    """Requests of each side: the catalog's, and as many in proportion while a hold is longer."""
    gate = judged_hold(release)
    if gate is None or not gate.ms:
        return probe.requests
    return probe.requests + round(probe.requests * answers.extended_ms / gate.ms)


def _due(release: Release, probe: Probe, now: int) -> int:
    answers = release.progress.answers or Answers()
    wanted = _wanted(release, probe, answers)
    window = window_of(release)
    if window is None or not window[1]:
        return wanted
    begins, lasts = window
    return min(wanted, 1 + int(wanted * max(0, now - begins) / (lasts * ASKED_IN)))
