"""A version whose release has succeeded is watched for `watch_after`: pods after against before. A
worsening is one loud message with the way back; nothing is rolled back by itself. Where pods of
both versions were asked, those of the new one are asked further, and compared with what the old one
answered.

The version is marked bad, and machines may not release its app until a person clears that.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from bot.operations.context import App, Context, left_to_newer
from bot.operations.delivery.budgets import MOVING, OVER
from bot.operations.delivery.find_card import find_card
from bot.operations.delivery.post_once import post_once
from bot.operations.lifecycle.begin_watch import KEPT_LONGER_MS, watch_key
from bot.operations.lifecycle.known_templates import templates_key
from bot.operations.lifecycle.lock_automation import keep_from_machines
from bot.operations.queries.observe_app import observe_app
from bot.operations.queries.show_history import roll_backs_to
from bot.operations.replies import WorsenedCard
from bot.policy.automation import AutomationLock
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    RateLimited,
    SlackUnavailable,
    UnknownSchema,
)
from bot.releases.assess.after_success import missing_pods, worsening
from bot.releases.assess.canary_comparison import baseline_of
from bot.releases.assess.rollout import newest, ready_pods
from bot.releases.engine.answers_after import judge_after, pods_to_ask, with_answers
from bot.releases.facts.ages import duration
from bot.releases.facts.answers import Answers
from bot.releases.facts.causes import Cause, FailureClass, Verdict
from bot.releases.facts.counts import counted
from bot.releases.facts.observation import DeploymentSeen, Observation
from bot.releases.facts.release import Phase, Release

PACE_MS = 10_000
RETRY_MS = 5_000
NOT_SAVED_MS = 1_000
_CODEC = TypeAdapter(Answers)


@dataclass(frozen=True)
class _Watched:
    """``then``: the counters of its pods at the first observation; ``template``: the hash of what
    the release left, "" before that. ``missing_since``: since when pods are not ready.
    ``answers``: what its pods answered, as JSON; "" before that."""

    then: dict[str, Any] = field(default_factory=dict)
    template: str = ""
    missing_since: int = 0
    answers: str = ""


def watch_after(context: Context, release_id: str) -> int | None:
    """Returns when to observe again (milliseconds of Redis TIME), None when the watch is over."""
    kept = context.store.peek(watch_key(release_id))
    if kept is None:
        return None
    again_at = _next(context, release_id, _Watched(**json.loads(kept)))
    if again_at is None:
        context.store.take(watch_key(release_id))
    return again_at


def _next(context: Context, release_id: str, watched: _Watched) -> int | None:
    try:
        release = context.store.load(release_id)
    except KeyError:
        return None
    except UnknownSchema:
        return left_to_newer(context)
    now = context.store.now()
    if not release.phase.is_final:
        return now + NOT_SAVED_MS
    app = context.catalog.find(release.target.app, release.target.cluster)
    if app is None or not _is_last(context, release):
        return None
    try:
        if now >= release.finished_at + release.rules.watch_after_ms:
            return _conclude(context, release, watched, now)
        return _watch(context, app, release, watched)
    except (ClusterUnreachable, SlackUnavailable):
        return now + RETRY_MS
    except RateLimited as limited:
        return now + limited.retry_after_ms
    except ChannelUnavailable:  # no one can read it
        return None


def _is_last(context: Context, release: Release) -> bool:
    """No other release of the app followed."""
    target = release.target
    if release.phase is not Phase.SUCCEEDED:
        return False
    last = next(iter(context.store.recent(target.app, target.cluster, limit=1)), None)
    return last is not None and last.id == release.id


def _watch(context: Context, app: App, release: Release, watched: _Watched) -> int | None:
    """Raises ClusterUnreachable, ChannelUnavailable, RateLimited, SlackUnavailable."""
    seen = observe_app(context, app)
    current = newest(seen.stable) if seen.stable is not None else None
    if seen.stable is None or current is None:
        return None
    kept = watched
    if not watched.template:
        if not _is_what_it_left(context, release, seen, seen.stable):
            return None
        watched = _Watched(baseline_of(seen)["stable"], current.template_hash)
    elif current.template_hash != watched.template:
        return None  # changed outside Pilothouse, which has its own message
    missing = missing_pods(seen, release.rules)
    watched = replace(watched, missing_since=(watched.missing_since or seen.at) if missing else 0)
    watched = _asked(context, release, seen, watched)
    if watched != kept:
        ttl_ms = release.rules.watch_after_ms + KEPT_LONGER_MS
        context.store.put(watch_key(release.id), json.dumps(asdict(watched)), ttl_ms=ttl_ms)
    cause = worsening(
        watched.then, watched.missing_since, seen, release.rules, since=release.finished_at
    ) or _of_answers(release, watched, seen.at)
    now = context.store.now()
    if cause is None:
        return now + PACE_MS
    wait_ms = _report(context, app, release, seen, seen.stable, cause)
    return now + wait_ms if wait_ms else None


def _asked(context: Context, release: Release, seen: Observation, watched: _Watched) -> _Watched:
    known = _answers(watched)
    names = pods_to_ask(release, seen, known.asked, PACE_MS)
    if not names or release.plan is None or release.plan.probe is None:
        return watched
    cluster = context.cluster(release.target.cluster)
    answers = cluster.sample_pods(release.target, names, release.plan.probe)
    known = with_answers(release, known, answers, seen.at)
    return replace(watched, answers=_CODEC.dump_json(known).decode())


def _answers(watched: _Watched) -> Answers:
    return _CODEC.validate_json(watched.answers) if watched.answers else Answers()


def _of_answers(release: Release, watched: _Watched, now: int) -> Cause | None:
    found = judge_after(release, _answers(watched), now)
    if found is None or found.verdict is not Verdict.BAD:
        return None
    evidence = (found.why,) if found.why else ()
    return Cause(FailureClass.VERDICT, found.detail, evidence)


def _conclude(context: Context, release: Release, watched: _Watched, now: int) -> int | None:
    """Once, in the card's thread: what answers said, or why they said nothing. A watch that ends
    calls no version good.

    Raises ChannelUnavailable, RateLimited, SlackUnavailable.
    """
    channel, ts = context.store.card(release.id)
    line = _conclusion(release, watched, now)
    if not line or not ts:
        return None
    message = context.render.notice(line)
    key = f"{watch_key(release.id)}:end"
    posted = post_once(context, channel, key, lambda: message, rank=MOVING, thread_ts=ts)
    return now + posted.wait_ms if posted.wait_ms else None


def _conclusion(release: Release, watched: _Watched, now: int) -> str:
    if release.plan is None or release.plan.probe is None or not watched.template:
        return ""
    watch = f"Watched for {duration(release.rules.watch_after_ms)} after it succeeded"
    found = judge_after(release, _answers(watched), now)
    if found is None:
        return (
            f"{watch}, by pods alone: there are no answers of the version before to compare with."
        )
    if found.is_away:
        return f"{watch}, by pods alone: {found.detail}"
    return f"{watch}: {found.detail}"


def _is_what_it_left(
    context: Context, release: Release, seen: Observation, stable: DeploymentSeen
) -> bool:
    key = templates_key(seen.cluster_uid, release.target.namespace, stable.name)
    known = context.store.last_healthy(key)
    left = next((template for template, _, by in known if by == release.id), stable.template)
    return bool(left == stable.template)


def _report(
    context: Context,
    app: App,
    release: Release,
    seen: Observation,
    stable: DeploymentSeen,
    cause: Cause,
) -> int:
    """Each part may be repeated; the message is found again by its key. Returns milliseconds to
    wait, 0 when it is posted."""
    card = _card(context, app, release, seen, stable, cause)
    key = templates_key(seen.cluster_uid, release.target.namespace, stable.name)
    context.store.remember_bad(
        key, stable.template, version=release.to_version, why=cause.summary, release_id=release.id
    )
    if card.locks_machines:
        now = context.store.now()
        lock = AutomationLock(release.to_version, release.id, cause.summary, now)
        keep_from_machines(context, release, lock)
    posted = post_once(
        context,
        release.channel,
        watch_key(release.id),
        lambda: context.render.worsened(card),
        rank=OVER,
    )
    return posted.wait_ms


def _card(
    context: Context,
    app: App,
    release: Release,
    seen: Observation,
    stable: DeploymentSeen,
    cause: Cause,
) -> WorsenedCard:
    ready, found = len(ready_pods(stable)), release.as_found
    pods = counted(stable.replicas, "pod")
    now = f"After, on {release.to_version}: {ready} of {pods} ready."
    before = ""
    if found is not None and found.stable.available is not None:
        were = f"{found.stable.available} of {counted(found.stable.replicas, 'pod')}"
        before = f"Before, on {release.from_version or 'the version before'}: {were} available. "
    backs = roll_backs_to(context, app, seen, stable)
    wanted = (one for one in backs if one.version == release.from_version)
    return WorsenedCard(
        release,
        cause,
        f"{before}{now}",
        next(wanted, next(iter(backs), None)),
        locks_machines=context.catalog.has_machine(release.target),
        card=find_card(context, release.id),
    )
