"""What people asked of a release takes effect, or is dropped: Slack is asked again whether each may
ask it. The click itself was answered from the cache."""

from __future__ import annotations

from dataclasses import replace

from bot.operations.access.record_decision import record_effect
from bot.operations.access.refuse import denied_now
from bot.operations.access.roles import BeingRead, asker_now, last_known
from bot.operations.context import Context
from bot.operations.lifecycle.check_people import SLACK_AWAY_MS, waits_for_slack
from bot.operations.lifecycle.hold_in_queue import decided_key, freeze_of_held
from bot.policy.decision import Act, button
from bot.policy.permission_table import FORCED
from bot.ports import SlackUnavailable
from bot.releases.engine.decision import Decision
from bot.releases.engine.respond import respond
from bot.releases.facts.events import EventKind
from bot.releases.facts.release import Release
from bot.releases.facts.requests import Abort, Asked, Pause, PersonsRequest, Reject, Resume

WAITS_MS = 300_000
"""Then what goes forward is dropped: the person who asked no longer watches."""
BUSY_MS = 5_000
"""So long what makes safer waits for a process that reads the groups."""


def answer_requests(context: Context, release: Release) -> Decision:
    """Requests that still wait for Slack stay in the record; the Decision says when to try
    again."""
    decision = Decision(release)
    for asked in release.asked:
        if decision.release.phase.is_final:
            break
        try:
            decision = _answer(context, decision, asked)
        except SlackUnavailable as away:
            decision = _wait(context, decision, asked, away)
    return decision


def _answer(context: Context, decision: Decision, asked: Asked) -> Decision:
    """Raises SlackUnavailable."""
    now, request = context.store.now(), asked.request
    act = _act(request)
    try:
        asker = asker_now(context, request.by, makes_safer=act.makes_safer)
    except BeingRead:
        if not act.makes_safer or now < asked.at + BUSY_MS:
            raise
        asker = last_known(context, request.by)
    before = _without(decision, asked)
    denied = denied_now(context, asker, act, before.release)
    operation = f"{before.release.id}:{request.kind}:{request.by.user}:{asked.at}"
    record_effect(context, asker, act, denied, before.release, operation=operation)
    if denied is not None:
        return _refused(context, before, request, denied.line, now)
    if isinstance(request, Resume) and (freeze := freeze_of_held(context, before.release)):
        return _refused(context, before, request, freeze, now)
    answered = respond(before.release, _with_note(request, asker.note), now)
    if answered.refusal:
        return _dropped(before, request, answered.refusal, now)
    return replace(answered, events=(*before.events, *answered.events)).wake(before.wake_at)


def _act(request: PersonsRequest) -> Act:
    if isinstance(request, Abort) and request.force:
        return Act(request.kind, FORCED)
    return button(request.kind)


def _without(decision: Decision, asked: Asked) -> Decision:
    release = decision.release
    left = tuple(one for one in release.asked if one != asked)
    return decision.changed(replace(release, asked=left))


def _with_note(request: PersonsRequest, note: str) -> PersonsRequest:
    return replace(request, note=note) if isinstance(request, Pause | Abort | Reject) else request


def _refused(
    context: Context, decision: Decision, request: PersonsRequest, why: str, now: int
) -> Decision:
    """What is held may be decided about again."""
    if decision.release.held is not None:
        context.store.take(decided_key(decision.release.held.behind))
    return _dropped(decision, request, why, now)


def _dropped(decision: Decision, request: PersonsRequest, why: str, now: int) -> Decision:
    text = f"{request.kind} by {request.by.display_name} was not carried out: {why}"
    return decision.record(now, EventKind.REMINDED, text, by=request.by)


def _wait(context: Context, decision: Decision, asked: Asked, away: SlackUnavailable) -> Decision:
    now = context.store.now()
    if now >= asked.at + WAITS_MS:
        why = f"Slack did not say whether they may ({away})"
        return _dropped(_without(decision, asked), asked.request, why, now)
    waiting = replace(
        decision, events=(*decision.events, *waits_for_slack(context, decision.release))
    )
    return waiting.wake(now + (away.retry_after_ms or SLACK_AWAY_MS))
