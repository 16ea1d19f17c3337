"""From step to step, as far as one observation carries."""

from __future__ import annotations

from dataclasses import replace

from bot.releases.assess.conditions import serves_as_found
from bot.releases.assess.intents import (
    is_claimed_by_another,
    is_our_service,
    is_ours,
    service_named,
)
from bot.releases.assess.result import fell_back_to, reached
from bot.releases.assess.rollout import is_complete
from bot.releases.engine.capacity import report_taken_raise
from bot.releases.engine.counting import record_metrics
from bot.releases.engine.deadlines import step_ends_at, watch_deadline
from bot.releases.engine.decision import Decision, finish
from bot.releases.engine.drift import was_replaced
from bot.releases.engine.evidence import judge_roll
from bot.releases.engine.failures import judge_pods
from bot.releases.engine.gates import at_gates
from bot.releases.engine.judging import record_answers
from bot.releases.engine.manifests import applied_text
from bot.releases.engine.minimum import give_back_minimum
from bot.releases.engine.outcome import Outcome, Proceed, RollBack, Stop
from bot.releases.engine.probing import record_probe
from bot.releases.engine.proxies import have_followed, observe_leaving
from bot.releases.engine.reconcile import conditions_hold, reconcile
from bot.releases.engine.shares import ask_about_share
from bot.releases.engine.transitions import enter_step, roll_back
from bot.releases.engine.waiting import name_wait, without_wait
from bot.releases.facts.ages import duration
from bot.releases.facts.as_found import AsFound
from bot.releases.facts.causes import Cause, FailureClass
from bot.releases.facts.changes import Reapply, Scale
from bot.releases.facts.counts import counted
from bot.releases.facts.events import EventKind
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.plan import Condition, DeploymentGoal, ServiceGoal, Side, Step
from bot.releases.facts.release import Phase, Release, Rollback


def run_steps(decision: Decision, seen: Observation, now: int) -> Decision:
    while not decision.release.phase.is_final:
        steps, at_step = decision.release.steps, decision.release.progress.at_step
        if at_step >= len(steps):
            return _finish_steps(decision, seen, now)
        outcome = _in_step(decision, steps[at_step], seen, now)
        match outcome:
            case Proceed():
                decision = enter_step(_with_active_time(outcome.decision, now), at_step + 1, now)
            case Stop():
                return outcome.decision
            case RollBack():
                decision = roll_back(outcome, seen, now)
    return decision


def _with_active_time(decision: Decision, now: int) -> Decision:
    release = decision.release
    active = max(0, now - release.progress.began_at - release.progress.paused_ms)
    return decision.changed(replace(release, active_ms=release.active_ms + active))


def _in_step(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    """Proceed: the step is done and its gates are passed."""
    judged = judge_pods(decision, step, seen, now)
    if not isinstance(judged, Proceed):
        return judged
    named = _check_name(judged.decision, step, seen, now)
    if not isinstance(named, Proceed):
        return named
    decision = record_answers(record_probe(named.decision, seen, now), seen, now)
    decision = record_metrics(decision, seen, now)
    rolled = judge_roll(decision, seen, now)
    if not isinstance(rolled, Proceed):
        return rolled
    decision = rolled.decision
    reached = _reach(decision, step, seen, now)
    if isinstance(reached, RollBack):
        return reached
    asked = ask_about_share(reached.decision, step, seen, now)
    if not isinstance(asked, Proceed) or not isinstance(reached, Proceed):
        return asked if not isinstance(asked, Proceed) else reached
    return at_gates(reached.decision, step.gates, seen, now)


def _check_name(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    """The candidate's name, or the preview's, may be taken by an object that this release neither
    made nor adopted."""
    release = decision.release
    taken = "" if release.rollback is not None else _taken_name(release, step, seen)
    if not taken:
        return Proceed(decision)
    cause = Cause(
        FailureClass.DRIFT,
        f"something else created {taken} meanwhile; remove or rename it, then start again",
    )
    recorded = decision.record(now, EventKind.FAILURE, cause.summary)
    return RollBack(recorded, cause, Phase.ABORTED)


def _taken_name(release: Release, step: Step, seen: Observation) -> str:
    for goal in step.goals:
        if isinstance(goal, DeploymentGoal) and goal.side is Side.CANDIDATE:
            if seen.candidate is not None and not is_ours(release, seen.candidate):
                return release.candidate_name
        elif isinstance(goal, ServiceGoal) and goal.create_from is not None:
            service = service_named(seen, goal.name)
            if service is not None and not is_our_service(release, service):
                return goal.name
    return ""


def _reach(decision: Decision, step: Step, seen: Observation, now: int) -> Outcome:
    """Proceed: the goals are in effect and, unless the release already waits at a gate of the step,
    its conditions hold."""
    if step.after_ms:
        conditions = tuple(condition for goal in step.goals for condition in goal.when)
        has_left = conditions_hold(decision.release, seen, conditions)
        decision = observe_leaving(decision, now, has_left=has_left, after_ms=step.after_ms)
        if has_left and not have_followed(decision.release, now, after_ms=step.after_ms):
            return Stop(decision)
    reconciled = reconcile(decision, step.goals, seen, now)
    decision = reconciled.decision
    if decision.release.progress.gate is not None:
        return reconciled
    in_effect = isinstance(reconciled, Proceed) and not decision.actions
    left = ""
    if not in_effect or not conditions_hold(decision.release, seen, step.until):
        decision = name_wait(decision, step, seen, now)
        left = _left_at_deadline(decision.release, step, seen, now) if in_effect else ""
        if not left:
            return watch_deadline(report_taken_raise(decision, seen, now), step, seen, now)
    decision = without_wait(decision)
    if step.until:
        took = duration(now - decision.release.progress.began_at)
        text = f"done in {took}: {step.title}{left}"
        release = decision.release
        reached = replace(release, progress=replace(release.progress, reached_at=now))
        decision = decision.changed(reached).record(now, EventKind.STEP_DONE, text)
    return Proceed(decision)


def _left_at_deadline(release: Release, step: Step, seen: Observation, now: int) -> str:
    """What a way back leaves where everything is written and serves as found: pods that the
    Deployment's own bounds keep for as long as others are unready. "" while it waits."""
    ends, stable = step_ends_at(release), seen.stable
    others = tuple(one for one in step.until if one is not Condition.STABLE_BACK)
    if release.rollback is None or stable is None or ends is None or now < ends:
        return ""
    is_left = serves_as_found(release, stable) and conditions_hold(release, seen, others)
    return f"; {release.progress.waits_for}" if is_left else ""


def _finish_steps(decision: Decision, seen: Observation, now: int) -> Decision:
    given = give_back_minimum(decision, seen, now)
    if not isinstance(given, Proceed):
        return given.decision
    decision = given.decision
    release = decision.release
    if release.rollback is not None:
        text = _rolled_back_text(release, release.rollback, seen)
        return finish(decision, release.rollback.ends_as, now, text)
    return finish(decision, Phase.SUCCEEDED, now, _success_text(release, seen))


def _success_text(release: Release, seen: Observation) -> str:
    change = release.change
    if isinstance(change, Reapply) and change.shown:
        return applied_text(release, change)
    is_scale = isinstance(change, Scale)
    text = f"{release.target.label} {'has' if is_scale else 'is on'} {reached(release)}"
    return text + _unready(seen.stable) if is_scale and seen.stable is not None else text


def _rolled_back_text(release: Release, rollback: Rollback, seen: Observation) -> str:
    why = release.cause.summary if release.cause else ""
    if seen.stable is None or was_replaced(release, seen):
        kept = (step.title for step in rollback.steps if step.keeps_candidate)
        left = next(kept, "what the release made is removed")
        return f"{left}; {release.target.deployment} itself was deleted: {why}"
    if is_claimed_by_another(release, seen.stable):
        return f"{seen.stable.name} is left to release {seen.stable.claim}, which claimed it: {why}"
    word = rollback.ends_as.value.replace("_", " ")
    ending = why if why.startswith(word) else f"{word}: {why}"
    before = release.from_version
    found, is_as_before = fell_back_to(release)
    back = f"is back on {found}," if is_as_before else f"is on {found}, not back on {before};"
    return f"{release.target.label} {back} {ending}{_unready(seen.stable, release.as_found)}"


def _unready(stable: DeploymentSeen, found: AsFound | None = None) -> str:
    if is_complete(stable):
        return ""
    as_found = ", as found" if found and found.stable.available == stable.available else ""
    return f"; {stable.available} of {counted(stable.replicas, 'pod')} available{as_found}"
