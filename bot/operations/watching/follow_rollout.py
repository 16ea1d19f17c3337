"""A rollout outside Pilothouse gets one message in its app's channel, edited until the rollout is
over; a failure is posted beside it, once."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, replace

from bot.operations.context import App, Context
from bot.operations.delivery.budgets import MOVING, OVER
from bot.operations.delivery.edit_message import edit_message
from bot.operations.delivery.post_once import post_once
from bot.operations.delivery.send_copies import post_copy
from bot.operations.lifecycle.check_start import busy_with
from bot.operations.queries.observe_app import observe_app
from bot.operations.queries.show_history import roll_backs_to
from bot.operations.replies import RolloutCard
from bot.operations.watching.watched import app_of_subject, subject_of
from bot.ports import (
    ChannelUnavailable,
    ClusterUnreachable,
    Message,
    MessageGone,
    RateLimited,
    Refused,
    SlackUnavailable,
)
from bot.releases.assess.outside_rollout import RolloutState, outside_rollout
from bot.releases.facts.images import images_of
from bot.releases.facts.observation import Observation
from bot.releases.facts.rules import STARTER
from bot.releases.planning.refusals import managed_elsewhere

log = logging.getLogger(__name__)

KEPT_MS = 86_400_000
FOLLOWED_FOR_MS = 6 * 3_600_000
RETRY_MS = 5_000
ONCE_WITHIN_MS = 60_000
_PACES = ((30_000, 1_000), (300_000, 2_000), (FOLLOWED_FOR_MS, 10_000))
"""How old the rollout is at most, and how long until it is observed again; milliseconds."""
_WRITTEN = ("spec.template.spec.containers", "spec.template.metadata")


@dataclass(frozen=True)
class _Followed:
    """``before``: images; ``via``: the last others that were seen; ``shown``: a digest of the
    message as it stands; ``failed``: its failure was posted; ``missed``: it began while nobody
    watched, so nobody knows when; ``channel``: when it began, an app's own wins."""

    deployment: str
    before: tuple[str, ...]
    began_at: int
    ts: str = ""
    shown: str = ""
    failed: bool = False
    via: tuple[str, ...] = ()
    missed: bool = False
    channel: str = ""


def queue_rollout(
    context: Context,
    app: App,
    deployment: str,
    *,
    before: tuple[str, ...],
    manager: str,
    generation: int,
    order: int,
    missed: bool = False,
) -> None:
    """Called by the watcher, which does not post to Slack. Other watchers report the same change,
    and one may be late: that adds nothing. Another change joins the rollout that is followed.

    ``before``: images; ``generation``: of the Deployment after the change; ``order``: rises with
    the changes, so that a late watcher's report of an older one names nobody; ``missed``: it
    happened while nobody watched."""
    subject = subject_of(app, deployment)
    now = context.store.now()
    if generation <= int(context.store.peek(_over(subject)) or -1):
        return
    context.store.put_newest(_writer(subject), manager, order=order, ttl_ms=KEPT_MS)
    followed = _Followed(deployment, before, now, missed=missed, channel=app.channel)
    context.store.put_new(_kept(subject), json.dumps(asdict(followed)), ttl_ms=KEPT_MS)
    context.queue.wake(f"rollout:{subject}", now)


def follow_rollout(context: Context, subject: str) -> int | None:
    """Returns when to observe it again (milliseconds of Redis TIME), None when it is over."""
    kept = context.store.peek(_kept(subject))
    if kept is None:
        return None
    followed = _load(kept)
    app = app_of_subject(context, subject, followed.channel)
    if app is None or not app.channel:
        context.store.take(_kept(subject))
        return None
    try:
        card = _observe(context, app, subject, followed)
        wait_ms = _show(context, app, subject, followed, card)
    except (ClusterUnreachable, SlackUnavailable):
        return context.store.now() + RETRY_MS
    except Refused as refused:
        log.warning("%s is no longer followed: %s", subject, refused)
        context.store.take(_kept(subject))
        return None
    except (ChannelUnavailable, MessageGone):
        context.store.take(_kept(subject))  # no one can read it, or a person deleted it
        return None
    now = context.store.now()
    if wait_ms or not card.ended_at:
        return now + (wait_ms or _pace_ms(now - followed.began_at))
    return _end(context, app, subject, followed, card)


def _end(
    context: Context, app: App, subject: str, followed: _Followed, card: RolloutCard
) -> int | None:
    """A change that came after the last observation joined this rollout: it is one of its own."""
    context.store.put(_over(subject), str(card.generation), ttl_ms=ONCE_WITHIN_MS)
    context.store.take(_kept(subject))
    if card.taken_by:
        return None
    now = context.store.now()
    try:
        latest = _observe(context, app, subject, followed)
    except ClusterUnreachable:
        return None
    if latest.after == card.after and latest.rollout.state is card.rollout.state:
        return None
    again = _Followed(followed.deployment, card.after, now, channel=followed.channel)
    context.store.put_new(_kept(subject), json.dumps(asdict(again)), ttl_ms=KEPT_MS)
    return now


def _observe(context: Context, app: App, subject: str, followed: _Followed) -> RolloutCard:
    """Raises ClusterUnreachable."""
    if app.only_watched:
        seen = context.cluster(app.target.cluster).observe(app.target, candidate="")
    else:
        seen = observe_app(context, app)
    serves = seen.stable is None or seen.stable.name == followed.deployment
    if not serves:  # the Deployment of a kept pair that does not serve
        seen = replace(seen, stable=seen.candidate, candidate=seen.stable)
    stable, now = seen.stable, context.store.now()
    rollout = outside_rollout(seen, app.rules)
    running = busy_with(context, app.target)
    is_over = rollout.is_over or running is not None or now - followed.began_at > FOLLOWED_FOR_MS
    own = followed.deployment == app.target.deployment
    card = RolloutCard(
        app.target.label if own else f"{followed.deployment} of {app.target.label}",
        rollout,
        followed.before,
        images_of(stable.template) if stable is not None else (),
        context.store.peek(_writer(subject)) or "",
        followed.began_at,
        generation=stable.generation if stable is not None else 0,
        ended_at=now if is_over else 0,
        taken_by=running.id if running is not None else "",
        via=followed.via,
        missed=followed.missed,
    )
    if app.only_watched or not serves or stable is None:
        return card
    return _with_undo(context, app, seen, card)


def _with_undo(context: Context, app: App, seen: Observation, card: RolloutCard) -> RolloutCard:
    """To the newest version that was seen healthy; not where another tool would revert that."""
    assert seen.stable is not None
    managed = managed_elsewhere(seen.stable, _WRITTEN)
    if managed and app.rules.managed_elsewhere == "refuse":
        return replace(card, managed=managed)
    return replace(card, roll_back=next(iter(roll_backs_to(context, app, seen, seen.stable)), None))


def _show(context: Context, app: App, subject: str, followed: _Followed, card: RolloutCard) -> int:
    """Returns milliseconds to wait, 0 when the channel shows it. Raises ChannelUnavailable,
    MessageGone, SlackUnavailable."""
    message = context.render.rollout(card)
    digest = hashlib.sha256(repr(message).encode()).hexdigest()[:16]
    name = f"rollout:{subject}:{followed.began_at}"
    rank = OVER if card.ended_at else MOVING
    if card.after not in (followed.before, followed.via):
        followed = replace(followed, via=card.after)
        _save(context, subject, followed)
    try:
        if not followed.ts:
            posted = post_once(context, app.channel, name, lambda: message, rank=rank)
            if posted.wait_ms:
                return posted.wait_ms
            shown = digest if posted.is_fresh else ""
            followed = replace(followed, ts=posted.ts, shown=shown)
            _save(context, subject, followed)
        if followed.shown != digest:
            wait_ms = edit_message(
                context, name, app.channel, followed.ts, lambda: message, rank=rank
            )
            if wait_ms:
                return wait_ms
            followed = replace(followed, shown=digest)
            _save(context, subject, followed)
        return _post_failure(context, app, subject, followed, card)
    except RateLimited as limited:
        return limited.retry_after_ms


def _post_failure(
    context: Context, app: App, subject: str, followed: _Followed, card: RolloutCard
) -> int:
    """An edit wakes nobody."""
    if followed.failed or card.rollout.state is not RolloutState.FAILING:
        return 0

    def failure() -> Message:
        cause = card.rollout.cause
        what = f": {cause.summary}" if cause is not None else ""
        return context.render.notice(
            f"{card.app}, rolled by {card.manager or 'someone'} outside Pilothouse, fails{what}"
        )

    name = f"rollout:{subject}:{followed.began_at}:failed"
    wait_ms = post_once(context, app.channel, name, failure, rank=OVER).wait_ms
    for place in app.rules.failure_to:
        if not wait_ms and place not in (STARTER, app.channel):  # nobody here knows who started it
            wait_ms = post_copy(context, place, f"{name}:{place}", failure())
    if not wait_ms:
        _save(context, subject, replace(followed, failed=True))
    return wait_ms


def _pace_ms(age_ms: int) -> int:
    return next((pace for most, pace in _PACES if age_ms < most), _PACES[-1][1])


def _kept(subject: str) -> str:
    return f"rollout:{subject}"


def _writer(subject: str) -> str:
    """The field manager of the latest change that a watcher reported."""
    return f"rollout-by:{subject}"


def _over(subject: str) -> str:
    """The generation at which the last rollout ended: what a late watcher reports is not newer."""
    return f"rollout-over:{subject}"


def _save(context: Context, subject: str, followed: _Followed) -> None:
    context.store.put(_kept(subject), json.dumps(asdict(followed)), ttl_ms=KEPT_MS)


def _load(kept: str) -> _Followed:
    document = json.loads(kept)
    images = {key: tuple(document[key]) for key in ("before", "via")}
    return _Followed(**{**document, **images})
