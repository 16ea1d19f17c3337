"""What all that is known of a judged version says together, and what a verdict does to the release.

Any source may call a version bad. Good needs every one that can: where metrics are counted, they
can, and the few requests of a probe need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.releases.engine.counting import judge_metrics, next_read_at
from bot.releases.engine.decision import Decision
from bot.releases.engine.failures import fail
from bot.releases.engine.judged_window import Found, is_rolling, judged_hold
from bot.releases.engine.judging import judge_answers, next_sample_at
from bot.releases.engine.outcome import Outcome, Proceed
from bot.releases.facts.ages import duration
from bot.releases.facts.answers import Answers
from bot.releases.facts.causes import Cause, FailureClass, Judgement, Verdict
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import Observation
from bot.releases.facts.release import GateState, Release
from bot.releases.facts.rules import JudgeRules
from bot.releases.judge.cells import Tally


def has_evidence(seen: Observation) -> bool:
    return bool(seen.answers) or seen.metrics is not None


def next_evidence_at(release: Release, now: int) -> int | None:
    times = (next_sample_at(release, now), next_read_at(release, now))
    return min((at for at in times if at is not None), default=None)


def evidence(release: Release) -> tuple[Found, ...]:
    """Of each source; () once people were asked about it."""
    answers = release.progress.answers
    if answers is not None and answers.over:
        return ()
    asked = judge_answers(release)
    return (*((asked,) if asked is not None else ()), *judge_metrics(release))


def deciding(found: Sequence[Found]) -> Found | None:
    """The one that says most against the version; None where nothing was asked or counted."""
    for verdict in (Verdict.BAD, Verdict.SOURCE_AWAY):
        for one in found:
            if one.verdict is verdict:
                return one
    counted = [one for one in found if one.source != "probe"] or list(found)
    little = (one for one in counted if one.verdict is Verdict.TOO_LITTLE)
    return next(little, counted[0] if counted else None)


def judge_roll(decision: Decision, seen: Observation, now: int) -> Outcome:
    """New pods beside old ones, from the first that is ready: bad stops the roll."""
    if not has_evidence(seen) or not is_rolling(decision.release):
        return Proceed(decision)
    found = deciding(evidence(decision.release))
    if found is None or found.verdict is not Verdict.BAD:
        return Proceed(decision)
    return stop_for_answers(decision, found, now)


def stop_for_answers(decision: Decision, found: Found, now: int, *, asks: bool = False) -> Outcome:
    """Worse beyond doubt. ``asks``: people decide, whatever the catalog says of failures."""
    decision = with_judgement(decision, judgement_of(found, now))
    release = decision.release
    answers = replace(release.progress.answers or Answers(), over=True)
    progress = replace(release.progress, answers=answers, gate=_passed_by_resume(release))
    evidence = (found.why,) if found.why else ()
    cause = Cause(FailureClass.VERDICT, f"worse than before: {found.detail}", evidence)
    return fail(decision.changed(replace(release, progress=progress)), now, cause, pause=asks)


def _passed_by_resume(release: Release) -> GateState | None:
    """Whoever resumes passes a judged hold; the rollback window stays open to its end."""
    gate, hold = release.progress.gate, judged_hold(release)
    return replace(gate, skipped=True) if gate and hold and hold.judged else gate


def judgement_of(found: Found, now: int) -> Judgement:
    """A record keeps a source that is away as too little, which older versions read."""
    compared = found.compared
    verdict = Verdict.TOO_LITTLE if found.is_away else found.verdict
    return Judgement(
        now,
        verdict,
        found.detail,
        found.is_away,
        _numbers(compared.candidate),
        _numbers(compared.stable),
        found.window,
        found.query,
        found.link,
    )


def _numbers(tally: Tally) -> tuple[int, int]:
    return round(tally.requests), round(tally.failures)


def with_judgement(decision: Decision, judgement: Judgement) -> Decision:
    release = decision.release
    decision = decision.changed(replace(release, judgements=(*release.judgements, judgement)))
    verdict = Verdict.SOURCE_AWAY if judgement.away else judgement.verdict
    text = f"{verdict.value.replace('_', ' ')}: {judgement.detail}"
    return decision.record(judgement.at, EventKind.JUDGED, text)


def may_extend(release: Release) -> bool:
    """Once a hold, where the catalog has ``judge`` and what was counted says too little."""
    rules, answers = release.rules.judge, release.progress.answers or Answers()
    return rules is not None and rules.extend_ms > 0 and not answers.extended_ms


def extended(decision: Decision, found: Found, now: int) -> Decision:
    release = decision.release
    rules = release.rules.judge or JudgeRules()
    answers = replace(release.progress.answers or Answers(), extended_ms=rules.extend_ms)
    progress = replace(release.progress, answers=answers)
    decision = decision.changed(replace(release, progress=progress))
    text = f"too little to say, {duration(rules.extend_ms)} longer: {found.detail}"
    decision = decision.record(now, EventKind.JUDGED, text)
    return decision.wake(next_evidence_at(decision.release, now))
